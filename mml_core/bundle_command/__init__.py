"""The command `mml bundle`: a row of a table as a folder that is used without a checkout."""
