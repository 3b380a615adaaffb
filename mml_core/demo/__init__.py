"""The embedded data set: its clips (catalogue), how they look (motions, sprites, scene), encoding and rendering."""
