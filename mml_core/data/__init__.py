"""Shards as the plan has them: opening, verifying, counting what is missing."""
