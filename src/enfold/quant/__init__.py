"""Quantization: the formats, their configurations, and how they are stored."""
