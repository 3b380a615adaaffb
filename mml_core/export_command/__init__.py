"""The command `mml export`: a bundle as a graph that other programs run."""
