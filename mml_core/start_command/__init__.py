"""The command `mml start`: from a folder of videos to a data set file, a recipe for this machine, and what it costs."""
