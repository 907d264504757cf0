"""GreedyLR: the rate rises while a metric improves and falls when it does not.

https://arxiv.org/abs/2512.14527
"""

from __future__ import annotations

from collections import deque
from typing import Any

from torch.optim import Optimizer

from enfold.errors import InputError

KEPT = (  # what state_dict holds, in transformers' names
    "factor", "min_lrs", "max_lrs", "patience", "verbose", "cooldown", "warmup",
    "cooldown_counter", "warmup_counter", "mode", "threshold", "threshold_mode", "best",
    "num_bad_epochs", "num_good_epochs", "eps", "last_epoch", "smooth", "window_size",
    "reset_start", "reset_start_original", "_last_lr", "_init_lrs",
)  # fmt: skip


class GreedyLR:
    """Divides the rate by `factor` after over `patience` improvements, multiplies it otherwise.

    Each call of `step(metric)` counts one improvement or one failure; what counts is a change
    beyond `threshold` (`abs` or `rel`) in the direction of `mode`. After a fall the next `cooldown`
    metrics are ignored, after a rise the next `warmup`. Rates stay in `min_lr`..`max_lr`; changes
    below `eps` are not made. After `reset_start` falls with every rate at its least, all starts
    anew. `smooth` averages the last `window_size` metrics first.
    """

    best: float
    num_bad_epochs: int
    num_good_epochs: int
    cooldown_counter: int
    warmup_counter: int
    _values: deque[float]
    _sum: float

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.95,
        patience: int = 10,
        threshold: float = 1e-6,
        threshold_mode: str = "abs",
        cooldown: int = 0,
        warmup: int = 0,
        min_lr: float | list[float] = 1e-3,
        max_lr: float | list[float] = 1.0,
        eps: float = 1e-8,
        verbose: bool = False,
        smooth: bool = False,
        window_size: int = 50,
        reset_start: int = 500,
    ) -> None:
        if factor >= 1.0:
            raise InputError(f"GreedyLR: got factor={factor}, expected one below 1")
        if mode not in ("min", "max") or threshold_mode not in ("rel", "abs"):
            raise InputError(
                f"GreedyLR: got mode={mode!r}, threshold_mode={threshold_mode!r}; "
                "expected min or max, and rel or abs"
            )
        self.optimizer = optimizer
        self.mode, self.factor, self.patience = mode, factor, patience
        self.threshold, self.threshold_mode = threshold, threshold_mode
        self.cooldown, self.warmup, self.eps, self.verbose = cooldown, warmup, eps, verbose
        self.smooth, self.window_size = smooth, window_size
        self.reset_start = self.reset_start_original = reset_start
        self.min_lrs, self.max_lrs = self._each("min_lr", min_lr), self._each("max_lr", max_lr)
        self.last_epoch = 0
        self._init_lrs = self._rates()
        self._last_lr = self._rates()
        self._start()

    def step(self, metrics: float, epoch: int | None = None) -> None:
        """Take one value of the metric and change the rate if it is time to."""
        value = self._smoothed(float(metrics))
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = self.num_good_epochs = 0
        elif self.warmup_counter > 0:
            self.warmup_counter -= 1
            self.num_bad_epochs = self.num_good_epochs = 0
        else:
            self._count(value)
            if self.num_good_epochs > self.patience:
                self._rise()
            elif self.num_bad_epochs > self.patience:
                self._fall()
        self._last_lr = self._rates()

    def is_better(self, current: float, best: float) -> bool:
        """Whether `current` improves on `best` by more than the threshold."""
        sign = -1.0 if self.mode == "min" else 1.0
        if self.threshold_mode == "rel":
            bound = best * (1.0 + sign * self.threshold)
        else:
            bound = best + sign * self.threshold
        return sign * current > sign * bound

    def get_last_lr(self) -> list[float]:
        """The rate of each group after the last step."""
        return self._last_lr

    def state_dict(self) -> dict[str, Any]:
        """All but the optimizer."""
        state = {name: getattr(self, name) for name in KEPT}
        if self.smooth:
            state["_streaming_avg"] = {
                "window_size": self.window_size,
                "values": list(self._values),
                "sum": self._sum,
            }
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from `state_dict`; the optimizer's rates are set to it."""
        for name in KEPT:
            setattr(self, name, state_dict.get(name, getattr(self, name)))
        window = state_dict.get("_streaming_avg", {})
        self._values, self._sum = deque(window.get("values", ())), window.get("sum", 0.0)
        self._set_rates(self._last_lr)

    def _start(self) -> None:
        self.best = float("inf") if self.mode == "min" else float("-inf")
        self.num_bad_epochs = self.num_good_epochs = 0
        self.cooldown_counter = self.warmup_counter = 0
        self._values = deque()
        self._sum = 0.0

    def _count(self, value: float) -> None:
        if self.is_better(value, self.best):
            self.best, self.num_bad_epochs = value, 0
            self.num_good_epochs += 1
        else:
            self.num_good_epochs = 0
            self.num_bad_epochs += 1

    def _rise(self) -> None:
        self._change(
            [min(r / self.factor, top) for r, top in zip(self._rates(), self.max_lrs, strict=True)]
        )
        self.reset_start = self.reset_start_original
        self.warmup_counter, self.num_good_epochs = self.warmup, 0

    def _fall(self) -> None:
        self._change(
            [max(r * self.factor, low) for r, low in zip(self._rates(), self.min_lrs, strict=True)]
        )
        if all(rate <= low for rate, low in zip(self._rates(), self.min_lrs, strict=True)):
            self.reset_start -= 1
            if self.reset_start <= 0:
                self._set_rates(self._init_lrs)
                self._start()
                self.reset_start = self.reset_start_original
        self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0

    def _change(self, rates: list[float]) -> None:
        old = self._rates()
        self._set_rates(
            [n if abs(n - o) > self.eps else o for n, o in zip(rates, old, strict=True)]
        )
        if self.verbose:
            print(f"GreedyLR: step {self.last_epoch}: {old} -> {self._rates()}")

    def _smoothed(self, value: float) -> float:
        if not self.smooth:
            return value
        self._values.append(value)
        self._sum += value
        if len(self._values) > self.window_size:
            self._sum -= self._values.popleft()
        return self._sum / len(self._values)

    def _rates(self) -> list[float]:
        return [float(group["lr"]) for group in self.optimizer.param_groups]

    def _set_rates(self, rates: list[float]) -> None:
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate

    def _each(self, name: str, value: float | list[float]) -> list[float]:
        groups = len(self.optimizer.param_groups)
        if not isinstance(value, (list, tuple)):
            return [value] * groups
        if len(value) != groups:
            raise InputError(f"GreedyLR: got {len(value)} values of {name} for {groups} groups")
        return list(value)


def get_greedy_schedule(optimizer: Optimizer, **settings: Any) -> GreedyLR:
    """A GreedyLR over `optimizer`."""
    return GreedyLR(optimizer, **settings)
