"""Measurements of this project beside its peers; each module is a command."""
