"""Families: one page of data each.  A page computes the spec from Config and lists names and heads."""
