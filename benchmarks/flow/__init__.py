"""Optical flow: speed, bounds, parity, the pipeline around it."""
