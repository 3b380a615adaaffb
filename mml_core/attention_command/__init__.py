"""The command `mml attention`."""
