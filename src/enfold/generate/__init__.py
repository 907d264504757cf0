"""Generation: the decoding loop, outside the model.

    config      GenerationConfig and generation_config.json; no torch
    resolve     one printable configuration out of arguments, checkpoint and defaults; no torch
    checks      settings that contradict each other, mean nothing or have no effect; no torch
    api         generate(): what `model.generate` calls
    prompt, rows    arguments -> rows of ids, padded on the left; the encoder's output
    session     the rows being written and the model's state on them: one call per step
    loop        decode(): greedy search and sampling, an iterator of steps
    beam        beam search and beam sampling
    processors, penalties, warpers    edits of the scores; `chain` puts them in order
    stopping    when a row is finished
    stream      tokens out as text while they are made
    output      what generate returns with return_dict_in_generate
    scores      the scores of the tokens that were chosen
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

PUBLIC = {
    "generate": "api", "GenerationConfig": "config", "decode": "loop", "Session": "session",
    "compute_transition_scores": "scores",
    "LogitsProcessor": "processors", "LogitsProcessorList": "processors",
    "StoppingCriteria": "stopping", "StoppingCriteriaList": "stopping",
    "BaseStreamer": "stream", "TextStreamer": "stream", "TextIteratorStreamer": "stream",
    "AsyncTextIteratorStreamer": "stream",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """The public names, imported when they are asked for: some need torch, some don't."""
    if name not in PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{PUBLIC[name]}"), name)
