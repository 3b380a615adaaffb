"""The embedded data set: its clips (catalogue), how they look (motions, sprites, scene), how far everything is
(depth) and what a sensor makes of that (sensor), encoding and rendering."""
