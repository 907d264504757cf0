"""Datasets written out as CSV, JSON, Parquet, SQL and data frames, and made of them."""
