"""The command `mml-flow`."""
