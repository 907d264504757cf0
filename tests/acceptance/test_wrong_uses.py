"""Wrong uses as people meet them, across the package, and exactly what each is told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from enfold import errors as e
from tests.acceptance import wrong_calls, wrong_files, wrong_models
from tests.acceptance.bench import Bench, Code, load

TABLE = wrong_files.TABLE | wrong_models.TABLE | wrong_calls.TABLE


@pytest.fixture(scope="module")
def bench(minilm: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("bench"))
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setenv("HF_HUB_CACHE", str(Path.cwd() / "cache"))
        patch.setattr(torch.cuda, "is_available", lambda: False)
        yield Bench(minilm)


@pytest.mark.parametrize("name", TABLE)
def test_message(name: str, bench: Bench) -> None:
    use, error, message = TABLE[name]
    with pytest.raises(error) as caught:
        use(bench)
    said = str(caught.value).replace(str(Path.cwd()), "HERE")
    assert said == message.replace("BROKEN", f"broken{bench.count}")


def test_there_are_many() -> None:
    assert len(TABLE) >= 45


def test_a_pickle_with_code_ran_nothing(bench: Bench) -> None:
    with pytest.raises(e.UnsafePickle):
        load(bench.pickled({"a": Code()}))
    assert not Path("owned").exists()
