"""Curves in a terminal: a line of braille dots (2 x 4 a character), marks for few points.

    loss
     1.20 ┤⠑⢄
          │  ⠑⠢⣀  o
     0.41 ┤     ⠉⠒⠤⠤o
          └──────────
          1         40   ── loss  o eval_loss
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

Points = Sequence[tuple[float, float]]
DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # by row and column of a character
MARKS = "ox+*#@%&"
FEW = 24  # points that are marks rather than a line


def draw(title: str, curves: Mapping[str, Points], width: int = 80, height: int = 12) -> str:
    """The curves below a title, at most `width` characters wide.

    The longest curve is a line; others are marks, each of its own.
    """
    every = [point for points in curves.values() for point in points]
    low, high = min(y for _, y in every), max(y for _, y in every)
    first, last = min(x for x, _ in every), max(x for x, _ in every)
    labels = [number(high), number((high + low) / 2), number(low)]
    margin = max(map(len, labels))
    columns = max(8, width - margin - 3)
    at = _Places((first, last), (low, high), columns, height)
    grid = [[" "] * columns for _ in range(height)]
    line = max(curves, key=lambda name: len(curves[name]))
    marks = dict(zip([name for name in curves if name != line], MARKS * len(curves), strict=False))
    if len(curves[line]) <= FEW and len(curves) == 1:
        marks[line] = MARKS[0]
    _line(grid, at, curves[line])
    for name, mark in marks.items():
        for point in curves[name]:
            column, row = at.cell(*point)
            grid[row][column] = mark
    shown = {0: labels[0], height // 2: labels[1], height - 1: labels[2]}
    rows = [f"{shown.get(place, ''):>{margin}} {'┤' if place in shown else '│'}"
            + "".join(cells).rstrip() for place, cells in enumerate(grid)]
    axis = f"{number(first)}{number(last):>{max(1, columns - len(number(first)))}}"
    legend = "  ".join(f"{marks.get(name, '──')} {name}" for name in curves)
    indent = " " * (margin + 2)
    return "\n".join([title, *rows, f"{indent[:-1]}└{'─' * columns}",
                      f"{indent}{axis}", f"{indent}{legend}, by step"])


class _Places:
    """From steps and values to dots of a canvas."""

    def __init__(self, steps: tuple[float, float], values: tuple[float, float], columns: int,
                 rows: int) -> None:
        self.steps, self.values = steps, values
        self.columns, self.rows = columns, rows

    def dot(self, step: float, value: float) -> tuple[int, int]:
        """Column and row, from the upper left, of the dot of a point."""
        return (_scaled(step, self.steps, self.columns * 2 - 1),
                self.rows * 4 - 1 - _scaled(value, self.values, self.rows * 4 - 1))

    def cell(self, step: float, value: float) -> tuple[int, int]:
        """The character that the dot is in."""
        column, row = self.dot(step, value)
        return column // 2, row // 4


def number(value: float) -> str:
    """A number in few characters."""
    if value == int(value) and abs(value) < 1e6:
        return str(int(value))
    return f"{value:.3g}" if 1e-3 <= abs(value) < 1e6 else f"{value:.1e}"


def _scaled(value: float, bounds: tuple[float, float], most: int) -> int:
    low, high = bounds
    return round((value - low) / (high - low) * most) if high > low else most // 2


def _line(grid: list[list[str]], at: _Places, points: Points) -> None:
    bits: dict[tuple[int, int], int] = {}
    for column, row in _joined([at.dot(*point) for point in points]):
        place = (row // 4, column // 2)
        bits[place] = bits.get(place, 0) | DOTS[row % 4][column % 2]
    for (row, column), dots in bits.items():
        grid[row][column] = chr(0x2800 + dots)


def _joined(dots: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The dots with those between each and the next."""
    found = list(dots)
    for (x, y), (next_x, next_y) in pairwise(dots):
        steps = max(abs(next_x - x), abs(next_y - y))
        found += [(x + round((next_x - x) * part / steps), y + round((next_y - y) * part / steps))
                  for part in range(1, steps)]
    return found
