"""The page for people: a table, training curves, confusion, sample clips, data quality and settings in one file."""
