from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def quiet(monkeypatch, tmp_path_factory):
    """No progress bars; results of earlier runs are not found."""
    theirs = pytest.importorskip("datasets")
    theirs.disable_progress_bars()
    monkeypatch.setattr("enfold.data.executor.progress._disabled", True)
    monkeypatch.setenv("ENFOLD_CACHE", str(tmp_path_factory.getbasetemp() / "enfold-cache"))
