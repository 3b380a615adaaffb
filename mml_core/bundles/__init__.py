"""Bundles: a row of a table as one folder that is used without a checkout (docs/use.md has the format)."""
