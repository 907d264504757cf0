"""Modules: one per spec type, cache states, attention kernels.  Knows no family."""
