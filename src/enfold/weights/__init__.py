"""Weights: names (ours <-> theirs), loading, saving, the public face of names."""
