"""The embedded data set: what is in it (catalogue), how clips look (motions, sprites, scene), encoding and rendering."""
