"""Training a stage: networks learn together on the same clips, with exact resume."""
