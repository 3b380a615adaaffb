"""The embedded data set: its clips (catalogue, sound_classes), how they look (motions, figures, sprites, scene) and
sound (sound), how far everything is (depth) and what a sensor makes of that (sensor), encoding and rendering."""
