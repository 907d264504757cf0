"""`datasets.download`."""
