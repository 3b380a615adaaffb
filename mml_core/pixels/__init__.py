"""Compiled code over pixels of 8 bits: pictures resized to PyTorch's bits, and differences of frames.

The folder holds all that its machine code is made of (`mml_core.runtime.machine_code`).
"""
