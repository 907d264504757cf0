"""The evaluations of a run as a table that grows by a line at a time.

     step  epoch    loss  eval_loss  accuracy
       10   0.50  0.6931     0.6542    0.6100
       20   1.00  0.5120     0.4410    0.8250 *

The star marks the best so far.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

SPEEDS = ("_runtime", "_samples_per_second", "_steps_per_second", "_model_preparation_time")
LEAST = 6  # characters of a number: 0.6931


class EvaluationTable:
    """Lines to print for evaluations; a new head comes with every new set of columns."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.widths: list[int] = []

    def lines(self, step: int, epoch: float | None, loss: float | None,
              metrics: Mapping[str, Any], best: bool = False) -> list[str]:
        """The line of an evaluation, below a head if there is none for its columns yet.

        loss: of training, the last one logged.  metrics: as on_evaluate gets them.
        """
        row = {"step": str(step), "epoch": _number(epoch, 2), "loss": _number(loss)}
        row |= {_short(name): _number(value) for name, value in shown(metrics).items()}
        head = []
        if list(row) != self.names or any(
                len(cell) > width for cell, width in zip(row.values(), self.widths, strict=True)):
            self.names = list(row)
            self.widths = [max(len(name), len(cell), LEAST) for name, cell in row.items()]
            head = [self._line(self.names)]
        return [*head, self._line(list(row.values())) + (" *" if best else "")]

    def _line(self, cells: Sequence[str]) -> str:
        return "  ".join(f"{cell:>{width}}"
                         for cell, width in zip(cells, self.widths, strict=True))


def shown(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The metrics without epoch and speed, the losses first."""
    found = {name: value for name, value in metrics.items()
             if name != "epoch" and not name.endswith(SPEEDS) and not isinstance(value, str)}
    return dict(sorted(found.items(), key=lambda pair: not pair[0].endswith("loss")))


def _short(name: str) -> str:
    """`accuracy` for eval_accuracy; eval_loss is told apart from the loss of training."""
    return name if name == "eval_loss" else name.removeprefix("eval_")


def _number(value: Any, digits: int = 4) -> str:
    if value is None:
        return "-"
    if isinstance(value, int):
        return str(value)
    if not hasattr(value, "__float__"):
        return "-"
    value = float(value)
    large = value and not 1e-3 <= abs(value) < 1e5
    return f"{value:.3e}" if large else f"{value:.{digits}f}"
