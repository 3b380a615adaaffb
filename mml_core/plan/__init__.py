"""From a data set and recipes to everything that a run makes."""
