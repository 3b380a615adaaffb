"""TV-L1 on processors."""
