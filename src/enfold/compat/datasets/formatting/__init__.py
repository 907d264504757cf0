"""`datasets.formatting`: what is public of it is in `enfold.data.formatting`."""
