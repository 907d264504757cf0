"""Host overhead of greedy decoding: microseconds per token of models that compute next to nothing.

Goal: at most 1/3 of transformers' for a tiny Llama (hidden 16, 2 layers).

One `generate` of 128 tokens after 8, divided by 128; the tokens have to be the same. One thread.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from _models import checkpoint
from _report import Row, interleaved, run, timed, versus

MODELS = {"tiny-llama": "AutoModelForCausalLM", "tiny-gpt2": "AutoModelForCausalLM",
          "tiny-t5": "AutoModelForSeq2SeqLM"}
TOKENS = 128


def rows(quick: bool) -> list[Row]:
    """A row for each model."""
    import torch
    import transformers

    import enfold

    repeats, warm, found = (2, 1, []) if quick else (30, 3, [])
    prompt = torch.arange(8)[None] + 10
    for name, kind in MODELS.items():
        theirs, ours = (opened(library, kind, name) for library in (transformers, enfold))
        works = {"theirs": partial(written, theirs, prompt), "ours": partial(written, ours, prompt)}
        if not torch.equal(works["theirs"](), works["ours"]()):
            raise SystemExit(f"{name}: enfold's tokens differ from transformers'")
        times = interleaved({key: timed(work) for key, work in works.items()}, repeats, warm)
        found.append({"model": name, **versus(times["theirs"], times["ours"],
                      lambda seconds: seconds / TOKENS * 1e6, 3.0 if "llama" in name else None)})
    return found


def opened(library: Any, kind: str, name: str) -> Any:
    """A model of either library."""
    return getattr(library, kind).from_pretrained(checkpoint(name)).eval()


def written(model: Any, prompt: Any) -> Any:
    """The tokens of one generate."""
    return model.generate(input_ids=prompt, max_new_tokens=TOKENS, do_sample=False)


if __name__ == "__main__":
    run("overhead", __file__, __doc__, rows)
