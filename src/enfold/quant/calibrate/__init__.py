"""Quantization that looks at what goes through a layer: GPTQ and AWQ."""
