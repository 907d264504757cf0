"""What an import costs, held by what is in `sys.modules` (seconds are for benchmarks)."""

from __future__ import annotations

import json

import pytest

import enfold

HEAVY = ("torch", "numpy", "pyarrow", "pandas", "transformers", "huggingface_hub", "tokenizers",
         "safetensors", "jinja2", "requests", "PIL", "soundfile")


def loaded(python, code: str, watched: tuple[str, ...]) -> set[str]:
    """Which of the `watched` packages a fresh process has after running `code`."""
    report = f"import json, sys; print(json.dumps([m for m in {watched!r} if m in sys.modules]))"
    done = python("-c", f"{code}\n{report}")
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_import_enfold_loads_nothing_heavy(python) -> None:
    assert loaded(python, "import enfold; dir(enfold)", HEAVY) == set()


@pytest.mark.parametrize("module", ["enfold.errors", "enfold.lazy", "enfold.config", "enfold.spec",
                                    "enfold.files", "enfold.text", "enfold.cli",
                                    "enfold.tasks.registry"])
def test_modules_below_the_models_load_no_torch(python, module: str) -> None:
    assert loaded(python, f"import {module}", ("torch", "pyarrow", "transformers")) == set()


def test_tokenizer_and_config_work_without_torch(python, minilm) -> None:
    code = f"""
from enfold import AutoConfig, AutoTokenizer
config = AutoConfig.from_pretrained({str(minilm)!r})
tokenizer = AutoTokenizer.from_pretrained({str(minilm)!r})
batch = tokenizer(["Two short texts", "in a batch"], padding=True)
assert config.hidden_size == 384
assert tokenizer.decode(batch["input_ids"][0], skip_special_tokens=True) == "two short texts"
"""
    assert loaded(python, code, ("torch", "pyarrow", "transformers")) == set()


def test_the_first_models_load_no_pyarrow(python) -> None:
    code = "from enfold import pipeline, AutoModelForCausalLM"
    assert loaded(python, code, ("pyarrow", "pandas", "transformers", "scipy", "sklearn")) == set()


def test_every_public_name_resolves() -> None:
    names = enfold.__all__
    assert list(names) == sorted(set(names), key=list(names).index), "a name is listed twice"
    missing = [name for name in names if getattr(enfold, name, None) is None]
    assert missing == []
    assert set(names) <= set(dir(enfold))


def test_an_unknown_name_says_what_is_near() -> None:
    with pytest.raises(AttributeError, match=r"pipelin.*'pipeline'"):
        enfold.pipelin  # noqa: B018 - the access raises
