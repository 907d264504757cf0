"""pandas, which pyarrow would import with the first list that it converts.

It does so to tell a Series from other things: a quarter of a second in each worker, though there
can be no Series before something else imports pandas.
"""

from __future__ import annotations

import importlib.util
import sys
from typing import Any

_NAME = b"pandas"
_left = False


def mentions_pandas(content: Any) -> bool:
    """Whether a job, pickled, has the name in it: what it imports and what it holds have."""
    return bool(content.find(_NAME) >= 0)


def leave_pandas() -> None:
    """Have pyarrow notice pandas when something else imports it; again is fine.

    What is noticed late is not all: a Series and a frame are, `pandas.NA` in a list is not.
    """
    global _left
    import pyarrow

    if "pandas" not in sys.modules and not _left:
        _left = True
        finder = _Pandas()
        sys.meta_path.insert(0, finder)  # type: ignore[arg-type]
        pyarrow.array([0])
        finder.hidden = False


class _Pandas:
    """A finder that hides pandas at first; then has pyarrow look again once it is there."""

    hidden = True

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name != "pandas":
            return None
        if self.hidden:
            raise ImportError("pandas is not looked for yet")
        sys.meta_path.remove(self)  # type: ignore[arg-type]
        spec = importlib.util.find_spec(name)
        loader: Any = spec and spec.loader
        if hasattr(loader, "exec_module"):
            load = loader.exec_module

            def exec_module(module: Any) -> None:
                from pyarrow.lib import _pandas_api

                load(module)
                _ = _pandas_api.pd  # imports it, which now is free

            loader.exec_module = exec_module
        return spec
