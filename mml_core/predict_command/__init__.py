"""The command `mml predict`: what a bundle says of videos."""
