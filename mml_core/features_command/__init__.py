"""The command `mml features`: what networks see in videos, for other programs."""
