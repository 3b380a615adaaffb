"""TV-L1 in PyTorch: the definition that the other engines are held against."""
