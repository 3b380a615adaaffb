"""Processes, devices and threads: what jobs of all kinds need of the machine."""
