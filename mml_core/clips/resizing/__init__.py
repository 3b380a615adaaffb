"""Resizing of pictures of 8 bits: bilinear and antialiased, to PyTorch's bits, in compiled code."""
