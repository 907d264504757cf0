"""Which engines run a case of the inference benchmark, and why the others do not."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import _engines
import _peers

Makers = dict[str, Callable[[], Any]]
GGUF = {"int8": "q8_0", "int4": "q4_0"}
PEERS = {"int8": ("ctranslate2", "openvino"), "int4": ("openvino",)}


class Lineup:
    """The engines that can be made and tried (`ready`), and why others can't (`failed`).

    kept: names of engines, None for all.
    """

    def __init__(self, makers: Makers, kept: set[str] | None,
                 attempt: Callable[[Any], Any]) -> None:
        self.ready: dict[str, Any] = {}
        self.failed: dict[str, str] = {}
        for name, make in makers.items():
            if kept is not None and name not in kept:
                continue
            print(f"{name} ...", file=sys.stderr)  # the last one, if it ends the process
            try:
                attempt(made := make())
            except Exception as error:  # whatever an engine raises
                reason = (str(error).splitlines() or [""])[0][:90]
                self.failed[name] = f"{type(error).__name__}: {reason}"
                print(f"{name} failed: {self.failed[name]}", file=sys.stderr)
            else:
                self.ready[name] = made


def writers_of(name: str, weights: str, quick: bool) -> Makers:
    """What makes each engine that generates with a format; quick: on tiny models, without most."""
    found: Makers = {"enfold": partial(_engines.enfold_writer, name, weights)}
    if weights == "bf16":
        found["transformers"] = partial(_engines.their_writer, name, weights)
    if weights == "int8":
        found["enfold int8 head"] = partial(_engines.enfold_writer, name, "int8-head")
    if quick:
        return found
    if weights in _engines.BITSANDBYTES:
        found["bitsandbytes"] = partial(_engines.their_writer, name, weights)
    if weights in GGUF:
        found["enfold gguf"] = partial(_engines.enfold_writer, name, GGUF[weights])
    if weights in _engines.GGUF:
        found["llama.cpp"] = partial(_engines.llama_cpp_writer, name, weights, 2100)
    for peer in PEERS.get(weights, ()):
        found[peer] = partial(_peers.WRITERS[peer], name, weights)
    return found


def readers_of(name: str, dtype: str, quick: bool) -> Makers:
    """What makes each encoder."""
    found: Makers = {"enfold": partial(_engines.enfold_reader, name, dtype)}
    if dtype != "int8":
        found["transformers"] = partial(_engines.their_reader, name, dtype)
    if not quick:
        found |= {peer: partial(make, dtype) for peer, make in _peers.READERS.items()
                  if (peer, dtype) != ("ctranslate2", "bfloat16")}
    return found
