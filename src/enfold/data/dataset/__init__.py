"""`Dataset`: Arrow tables behind a lazy plan, with the face of Hugging Face `datasets`."""

from enfold.data.dataset.dataset import Dataset

__all__ = ["Dataset"]
