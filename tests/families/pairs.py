"""Pairs of models with the same weights, theirs (transformers) and ours, and inputs for them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any
from zlib import crc32

import torch
import transformers
from torch import Tensor

import enfold
from enfold.models.registry import FAMILIES, get_family
from enfold.spec import Base, DoubleHeads, EncDec, MultipleChoice, Seq2SeqLM, Span
from tests.families.tiny import EOS, PAD, TINY, VOCAB

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()

ARCHITECTURES = [(kind, suffix) for kind in FAMILIES for suffix in get_family(kind).heads]
VARIANTS = [(kind, tiny.lm, variant) for kind, tiny in TINY.items() for variant in tiny.variants]
CASES = [(kind, suffix, "base") for kind, suffix in ARCHITECTURES] + VARIANTS
LANGUAGE = [(kind, tiny.lm, variant) for kind, tiny in TINY.items()
            for variant in ("base", *tiny.variants)]


def ids(case: tuple[str, ...]) -> str:
    """A readable test id."""
    return "-".join(case)


@dataclass
class Pair:
    """Two models with the same weights, and the folder they came from."""

    kind: str
    suffix: str
    theirs: Any
    ours: Any
    folder: Path

    @property
    def encdec(self) -> bool:
        """Whether the model has an encoder and a decoder."""
        return isinstance(self.ours.spec, EncDec)

    @property
    def choices(self) -> bool:
        """Whether inputs are [batch, choices, time]."""
        return isinstance(self.ours.head.spec, MultipleChoice | DoubleHeads)

    def inputs(self, padding: str | None = None, batch: int = 2, length: int = 9) -> dict[str, Any]:
        """Seeded ids, each text ending in EOS, and a mask if a side is padded."""
        made = texts(batch * (2 if self.choices else 1), length, padding)
        if self.choices:
            made = {name: value.unflatten(0, (batch, 2)) for name, value in made.items()}
        if self.encdec and isinstance(self.ours.head.spec, Base | Seq2SeqLM | Span):
            top = self.ours.body.decoder.embed.token.num_embeddings
            made["decoder_input_ids"] = texts(batch, length - 3, None, top)["input_ids"]
        return made


def texts(batch: int, length: int, padding: str | None = None, top: int = VOCAB) -> dict[str, Any]:
    """Random texts [batch, length] that end in EOS; all but the first are padded on a side."""
    source = torch.Generator().manual_seed(batch * 100 + length)
    tokens = torch.randint(4, top, (batch, length), generator=source)
    mask = torch.ones(batch, length, dtype=torch.long)
    for row in range(batch):
        short = 0 if padding is None else min(row + (row > 0), length - 3)
        end = length if padding == "left" else length - short
        mask[row, end:] = 0
        mask[row, : short if padding == "left" else 0] = 0
        tokens[row, end - 1] = EOS
    tokens[mask == 0] = PAD
    return {"input_ids": tokens} if padding is None else {"input_ids": tokens,
                                                          "attention_mask": mask}


@cache
def pair(kind: str, suffix: str, variant: str = "base", attention: str = "sdpa") -> Pair:
    """The shared pair of an architecture and variant: not to be changed by a test."""
    return fresh(kind, suffix, variant, attention)


def fresh(kind: str, suffix: str, variant: str = "base", attention: str = "sdpa",
          **edits: Any) -> Pair:
    """A pair of its own."""
    folder = checkpoint(kind, suffix, variant, **edits)
    theirs = their_class(kind, suffix).from_pretrained(folder, attn_implementation=attention,
                                                       dtype=torch.float32)
    ours = our_class(kind, suffix).from_pretrained(folder, attn_implementation=attention)
    return Pair(kind, suffix, theirs.eval(), ours, folder)


def checkpoint(kind: str, suffix: str, variant: str = "base", **edits: Any) -> Path:
    """A folder that transformers saved, every parameter away from its initial value."""
    return _saved(kind, suffix, variant, tuple(sorted(edits.items())))


@cache
def _saved(kind: str, suffix: str, variant: str, edits: tuple[tuple[str, Any], ...]) -> Path:
    two = {"num_labels": 2} if suffix == "ForQuestionAnswering" else {}
    values = TINY[kind].config(variant) | two | dict(edits)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        config = getattr(transformers, f"{get_family(kind).title}Config")(**values)
        torch.manual_seed(crc32(f"{kind}{suffix}{variant}".encode()))
        model = their_class(kind, suffix)(config)
    perturb(model)
    folder = Path(mkdtemp(prefix="enfold-tiny-"))
    model.save_pretrained(folder)
    return folder


def perturb(model: Any) -> None:
    """Noise on every parameter and stored buffer: zero biases and unit norms hide mistakes."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "embed_positions" not in name or parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.1)
        for name, buffer in model.named_buffers():
            if name == "final_logits_bias":
                buffer.add_(torch.randn_like(buffer))


def their_class(kind: str, suffix: str) -> Any:
    """The class of transformers."""
    return getattr(transformers, get_family(kind).title + suffix)


def our_class(kind: str, suffix: str) -> Any:
    """Our class of the same name."""
    return getattr(enfold, get_family(kind).title + suffix)


def close(ours: Tensor, theirs: Tensor, relative: float = 1e-5) -> None:
    """Equal to `relative` of the reference's largest magnitude."""
    assert ours.shape == theirs.shape
    assert ours.dtype == theirs.dtype
    scale = float(theirs.detach().abs().max()) if theirs.numel() else 0.0
    error = float((ours.detach() - theirs.detach()).abs().max()) if theirs.numel() else 0.0
    assert error <= relative * max(scale, 1e-3), f"off by {error:.2e} at scale {scale:.2e}"


def flat(value: Any, name: str = "") -> Iterator[tuple[str, Tensor]]:
    """(path, tensor) of an output; caches are left out."""
    if isinstance(value, Tensor):
        yield name, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            if key != "past_key_values":
                yield from flat(inner, f"{name}.{key}")
    elif isinstance(value, tuple | list):
        for index, inner in enumerate(value):
            yield from flat(inner, f"{name}[{index}]")


def same_outputs(ours: Any, theirs: Any, relative: float = 1e-5) -> None:
    """All tensors of two outputs, by name."""
    mine, reference = dict(flat(ours)), dict(flat(theirs))
    assert list(mine) == list(reference)
    for name, tensor in reference.items():
        try:
            close(mine[name], tensor, relative)
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from None
