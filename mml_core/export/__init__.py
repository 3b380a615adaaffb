"""Bundles as graphs that other programs run: torch.export and ONNX (docs/export.md)."""
