"""What tests of training share."""

from __future__ import annotations

import pytest

from enfold.data import enable_progress_bars


@pytest.fixture(autouse=True)
def progress_bars() -> None:
    """On, whatever tests of other parts left behind in this process."""
    enable_progress_bars()
