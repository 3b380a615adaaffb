"""Optical flow in batches, usable alone: TV-L1 on GPUs and processors, and OpenCV's algorithms behind the same interface."""
