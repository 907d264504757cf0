"""Data: the API of Hugging Face `datasets` with an engine of its own on pyarrow."""
