"""The command `mml run`: the workflow for people."""
