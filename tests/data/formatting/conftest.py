"""The real `datasets` as the oracle."""

from tests.data.features.conftest import both, oracle

__all__ = ["both", "oracle"]
