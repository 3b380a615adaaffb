"""The command `mml flow`."""
