"""Steps of decoding as CUDA graphs.

Hundreds of small kernels make a step; a graph starts them all at once, so that the host's time for
each is paid once.  What it needs is a step of fixed shapes (`enfold.nn.step_fixed`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from enfold.nn.step import Stepper
from enfold.nn.step_fixed import FixedStepper, can_fix

Replay = Callable[[], object]


def captured(step: Any) -> Any:
    """A model's stepper, on a CUDA device as a graph; as it is where there can be none."""
    if not isinstance(step, Stepper) or not step.like.is_cuda or not can_fix(step):
        return step
    return Graph(FixedStepper(step.body, step.head, step.cache, step.capacity))


class Graph:
    """A step that is captured once its tensors have stayed where they are for a step.

    The first step over new tensors runs by itself, and starts what is started once: libraries,
    Triton's programs.  Others are replayed, until rows or room change.
    """

    def __init__(self, step: FixedStepper) -> None:
        self.step = step
        self.replay: Replay | None = None

    @torch.inference_mode()
    def __call__(self, ids: Tensor, positions: Tensor | None = None, mask: Tensor | None = None,
                 memory_mask: Tensor | None = None) -> Tensor:
        step = self.step
        if step.write(ids, positions, mask, memory_mask):
            self.replay, logits = None, step.compute()
        else:
            if self.replay is None:
                self.replay, self.logits = capture(step.compute, ids.device)
            self.replay()
            logits = self.logits.clone()  # the next step writes there
        step.cache.length += 1
        return logits


def capture(work: Callable[[], Tensor], device: torch.device) -> tuple[Replay, Tensor]:
    """(what does `work` again, where its result will be); the work itself is not done yet."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.device(device), torch.cuda.graph(graph, capture_error_mode="thread_local"):
        result = work()
    return graph.replay, result
