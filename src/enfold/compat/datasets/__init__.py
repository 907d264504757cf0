"""Names of inner modules of `datasets`, under the same paths: `datasets.utils.py_utils` and so on.

What is public there is in `enfold.data`; this is only for code that imports what is not.
"""
