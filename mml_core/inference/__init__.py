"""Videos as networks are shown those of shards, and bundles that say what is in them."""
