"""What makes the virtual tokens: a table, in training perhaps with a network behind it.

    PromptEmbedding   [N, D]                              words before the text
    PromptEncoder     [N, D] through an MLP or LSTM       the same
    PrefixEncoder     [N, 2 L D], perhaps through an MLP  keys and values of each of L layers

The file of an adapter holds the result; so an adapter that is not trained is the table alone.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from enfold.adapt.prompts.config import (
    PrefixTuningConfig,
    PromptEncoderConfig,
    PromptEncoderReparameterizationType,
    PromptTuningConfig,
    PromptTuningInit,
)


class VirtualTokens(nn.Module):
    """A table of virtual tokens; `forward()` gives [N, width]."""

    def __init__(self, count: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(count, width)

    def forward(self) -> Tensor:
        return self.encode(self.embedding.weight)

    def encode(self, table: Tensor) -> Tensor:
        """What training puts behind the table."""
        return table


class PromptEmbedding(VirtualTokens):
    """Prompt tuning; words [V, D] is the model's table."""

    def __init__(self, config: PromptTuningConfig, words: Tensor) -> None:
        super().__init__(rows(config), width(config))
        if config.inference_mode or config.prompt_tuning_init == PromptTuningInit.RANDOM:
            return
        if config.prompt_tuning_init == PromptTuningInit.TEXT:
            ids = first_ids(config)
        else:
            ids = torch.randint(0, words.shape[0], (rows(config),))
        with torch.no_grad():
            self.embedding.weight.copy_(words[ids.to(words.device)])


class PromptEncoder(VirtualTokens):
    """P-tuning."""

    def __init__(self, config: PromptEncoderConfig, words: Tensor) -> None:
        dim = width(config)
        super().__init__(rows(config), dim)
        hidden = config.encoder_hidden_size or dim
        self.lstm_head = self.mlp_head = None
        if config.inference_mode:
            return
        if config.encoder_reparameterization_type == PromptEncoderReparameterizationType.LSTM:
            self.lstm_head = nn.LSTM(dim, hidden, config.encoder_num_layers, bidirectional=True,
                                     dropout=config.encoder_dropout, batch_first=True)
            self.mlp_head = perceptron(2 * hidden, 2 * hidden, dim)
        else:
            self.mlp_head = perceptron(dim, hidden, hidden, dim)

    def encode(self, table: Tensor) -> Tensor:
        if self.lstm_head is not None:
            table = self.lstm_head(table[None])[0][0]
        return table if self.mlp_head is None else self.mlp_head(table)


class PrefixEncoder(VirtualTokens):
    """Prefix tuning."""

    def __init__(self, config: PrefixTuningConfig, words: Tensor) -> None:
        dim, layers = width(config), config.num_layers or 0
        projected = config.prefix_projection and not config.inference_mode
        count = config.num_virtual_tokens or 0
        super().__init__(count, dim if projected else 2 * layers * dim)
        self.transform = None
        last: Any = self.embedding
        if projected:
            hidden = config.encoder_hidden_size or dim
            last = nn.Linear(hidden, 2 * layers * dim)
            self.transform = nn.Sequential(nn.Linear(dim, hidden), nn.Tanh(), last)
        if config.init_weights == "zero":
            for parameter in last.parameters():
                nn.init.zeros_(parameter)

    def encode(self, table: Tensor) -> Tensor:
        return table if self.transform is None else self.transform(table)


def first_ids(config: PromptTuningConfig) -> Tensor:
    """The tokens of the text that the prompt starts as, as many as there are virtual ones."""
    from enfold.text.auto import AutoTokenizer

    load: Any = AutoTokenizer.from_pretrained  # type: ignore[attr-defined]
    tokenizer = load(config.tokenizer_name_or_path, **(config.tokenizer_kwargs or {}))
    ids: list[int] = tokenizer(config.prompt_tuning_init_text)["input_ids"]
    count = rows(config)
    return torch.tensor((ids * -(-count // len(ids)))[:count])


def perceptron(*sizes: int) -> nn.Sequential:
    """Linear layers of these sizes with ReLU between."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def rows(config: Any) -> int:
    """Virtual tokens of encoder and decoder."""
    return int(config.num_virtual_tokens * config.num_transformer_submodules)


def width(config: Any) -> int:
    """The width of a virtual token."""
    return int(config.token_dim)
