"""`datasets.io`: readers and writers of formats, over `enfold.data.io`."""
