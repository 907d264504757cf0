"""Families: one page of data each: the spec computed from Config, the names, the heads."""
