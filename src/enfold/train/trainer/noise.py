"""NEFTune: noise on the embeddings while training (https://arxiv.org/abs/2310.05914)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from enfold.errors import ConfigError


class Noise:
    """A context in which embeddings get uniform noise of size alpha / sqrt(length * width)."""

    def __init__(self, model: nn.Module, alpha: float | None) -> None:
        self.model, self.alpha, self.hook = model, alpha, None

    hook: Any

    def __enter__(self) -> None:
        if self.alpha is None:
            return
        find = getattr(self.model, "get_input_embeddings", None)
        if find is None:
            raise ConfigError(f"neftune_noise_alpha is {self.alpha}, but "
                              f"{type(self.model).__name__} has no get_input_embeddings() to add "
                              "the noise to. Do: leave it out")
        self.hook = find().register_forward_hook(self._add)

    def __exit__(self, *error: object) -> None:
        if self.hook is not None:
            self.hook.remove()

    def _add(self, module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        if not module.training or self.alpha is None:
            return output
        size = self.alpha / (output.shape[1] * output.shape[2]) ** 0.5
        return output + torch.zeros_like(output).uniform_(-size, size)
