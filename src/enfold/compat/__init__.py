"""Names of other libraries, for code and tests that import their inner modules."""
