"""The command `mml-attention`."""
