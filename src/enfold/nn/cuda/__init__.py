"""Kernels for a GPU, in Triton, which torch's CUDA wheels bring along.  Without it torch's own
operations do the same.
"""
