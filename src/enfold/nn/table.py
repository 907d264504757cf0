"""Tables of vectors by index: words, positions, segments, distances."""

from __future__ import annotations

from torch import nn


class Table(nn.Embedding):
    """An Embedding whose values are not drawn when it is made: they are read or initialised later.

    On the meta device, where models are built, drawing them would have torch import its compiler
    (a second, 65 MB).
    """

    def reset_parameters(self) -> None:
        """Nothing: `initialise` and the loader give values."""
