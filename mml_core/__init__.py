"""Multi-modal video action classification: decoding, flow, mutual learning and ensembles."""

__version__ = "0.1.0"
