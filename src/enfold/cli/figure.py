"""Curves as a picture, by matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from enfold.lazy import require

if TYPE_CHECKING:
    from enfold.cli.plot import Panel

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # told apart by all
MANY = 100  # points of a curve that is smoothed
LESS = ("loss", "error", "wer", "cer", "perplexity")  # the less the better


def save(path: Path, panels: Sequence[Panel], title: str) -> None:
    """Write a PNG with a panel for each, two in a row.  Raises DependencyError."""
    figures = require("matplotlib.figure", extra="plot")
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    figure = figures.Figure(figsize=(6.4 * columns, 3.8 * rows), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for panel, ax in zip(panels, axes, strict=False):
        _panel(ax, panel)
    for ax in axes[len(panels):]:
        ax.remove()
    figure.suptitle(title, fontsize=11)
    figure.savefig(path, dpi=130, format="png")


def _panel(ax: Any, panel: Panel) -> None:
    for place, (name, points) in enumerate(panel.curves.items()):
        steps, values = [x for x, _ in points], [y for _, y in points]
        color = COLORS[place % len(COLORS)]
        if len(points) > MANY:
            ax.plot(steps, values, color=color, alpha=0.25, linewidth=0.8)
            ax.plot(steps, _smooth(values), color=color, linewidth=1.6, label=f"{name}, averaged")
        else:
            dots = "o" if len(points) <= MANY // 4 else None
            ax.plot(steps, values, color=color, marker=dots, markersize=3.5, label=name)
        if name.startswith("eval_"):
            _best(ax, name, steps, values, color)
    ax.set_title(panel.title, fontsize=10)
    ax.set_xlabel("step", fontsize=9)
    ax.tick_params(labelsize=8)
    ax.margins(y=0.12)
    ax.grid(alpha=0.25)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(fontsize=8, frameon=False)


def _best(ax: Any, name: str, steps: Sequence[float], values: Sequence[float], color: str) -> None:
    """A ring around the best evaluation, with its value."""
    best = min(values) if name.endswith(LESS) else max(values)
    step = steps[values.index(best)]
    ax.plot([step], [best], "o", markersize=9, fillstyle="none", color=color)
    ax.annotate(f"{best:.4g}", (step, best), textcoords="offset points", xytext=(0, 8),
                ha="center", fontsize=8, color=color)


def _smooth(values: Sequence[float]) -> list[float]:
    """Means over a fiftieth of the curve around each point."""
    half = max(1, len(values) // 100)
    parts = [values[max(0, place - half):place + half + 1] for place in range(len(values))]
    return [sum(part) / len(part) for part in parts]
