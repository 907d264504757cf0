"""What heads share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from enfold.config import Config
from enfold.nn.losses import IGNORED
from enfold.nn.outputs import BaseModelOutput, ModelOutput, MoEModelOutput, Seq2SeqModelOutput
from enfold.nn.tokens import wants_loss_only
from enfold.spec import Base, Stack


@dataclass(frozen=True, slots=True)
class Run:
    """What a head may need beside the hidden states: ids, the pooled first token, targets."""

    ids: Tensor | None = None
    pool: Callable[[Tensor], Tensor] | None = None
    targets: dict[str, Tensor] = field(default_factory=dict)
    items: Tensor | int | None = None
    keep: int | Tensor = 0
    choices: int = 0


class HeadModule(nn.Module):
    """A head: `forward(hidden [B, T, D], run)` gives results by name, with targets a loss."""

    targets: ClassVar[tuple[str, ...]] = ("labels",)
    output: ClassVar[type[ModelOutput]]
    output_encdec: ClassVar[type[ModelOutput] | None] = None
    output_sparse: ClassVar[type[ModelOutput] | None] = None  # on a body with routers
    pooled = False  # whether the body needs a pooler

    def __init__(self, spec: Any, body: Stack, config: Config) -> None:
        super().__init__()
        self.spec, self.config = spec, config

    def reads(self, run: Run, mask: Tensor | None) -> str:
        """What of the hidden states counts: "all", the "tokens" of mask [B, T], or the "first"."""
        return "all"

    @abstractmethod
    def forward(self, hidden: Tensor, run: Run) -> dict[str, Tensor | None]:
        """Logits and loss by name."""


class BaseHead(HeadModule):
    """No head."""

    targets = ()
    output, output_encdec = BaseModelOutput, Seq2SeqModelOutput
    output_sparse = MoEModelOutput

    def __init__(self, spec: Base, body: Stack, config: Config) -> None:
        super().__init__(spec, body, config)
        self.pooled = spec.pooled

    def forward(self, hidden: Tensor, run: Run) -> dict[str, Tensor | None]:
        return {"last_hidden_state": hidden, "pooler_output": run.pool(hidden) if run.pool
                else None}


def labelled(labels: Tensor | None, mask: Tensor | None, *, shift: bool = False) -> str:
    """What counts of hidden states [B, T] that only the loss of labels [B, T] is wanted of."""
    if labels is None or mask is None or not wants_loss_only() or labels.shape != mask.shape:
        return "all"
    counted, places = (labels[:, 1:], mask[:, :-1]) if shift else (labels, mask)
    return "all" if bool((counted.ne(IGNORED) & places.eq(0)).any()) else "tokens"


def dropped(x: Tensor, rate: float, training: bool) -> Tensor:
    """`x` with dropout in training."""
    return F.dropout(x, rate) if rate and training else x


def last_rows(hidden: Tensor, keep: int | Tensor) -> Tensor:
    """The last `keep` positions of hidden [B, T, D] (0: all), or those of a tensor of indices."""
    if isinstance(keep, Tensor):
        return hidden[:, keep]
    return hidden[:, -keep:] if keep else hidden


