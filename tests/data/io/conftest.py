"""The real `datasets`, and expressions evaluated with either library."""

from tests.data.features.conftest import both, oracle

__all__ = ["both", "oracle"]
