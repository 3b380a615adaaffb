"""TV-L1 on GPUs."""
