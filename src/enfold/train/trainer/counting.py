"""What a loss counts: the labels of a batch that are not -100.

A loss that is a mean over its batch becomes the mean over a whole optimizer step by
`loss * items of the batch / items of the step`, for every model alike.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

IGNORED = -100
QUESTION = ("start_positions", "end_positions")


def base_of(model: nn.Module) -> Any:
    """The model under adapters and compilation."""
    model = getattr(model, "_orig_mod", model)
    get_base = getattr(model, "get_base_model", None)
    return get_base() if callable(get_base) else model


def forward_names(model: nn.Module) -> list[str]:
    """The arguments of the model's forward, with the targets of its head."""
    base = base_of(model)
    named = [name for name, parameter in inspect.signature(base.forward).parameters.items()
             if parameter.kind is not inspect.Parameter.VAR_KEYWORD]
    return [*named, *(name for name in targets(base) if name not in named)]


def targets(base: Any) -> list[str]:
    """What the head of one of our models is trained on; nothing is known of others."""
    return list(getattr(getattr(base, "head", None), "targets", ()))


def label_names(model: nn.Module) -> list[str]:
    """The arguments of the forward that are labels, as the reference finds them."""
    base = base_of(model)
    names = targets(base) or forward_names(model)
    if QUESTION[0] in names:
        return [name for name in names if "label" in name or name in QUESTION]
    return [name for name in names if "label" in name]


def returns_loss(model: nn.Module) -> bool:
    """Whether the forward returns a loss unless told otherwise (`return_loss=True`)."""
    parameter = inspect.signature(base_of(model).forward).parameters.get("return_loss")
    return parameter is not None and parameter.default is True


def takes_items(model: nn.Module) -> bool:
    """Whether the forward names `num_items_in_batch`, by which it divides a sum then."""
    return "num_items_in_batch" in forward_names(model)


def shifts(model: nn.Module) -> bool:
    """Whether the loss compares position t with the label at t + 1."""
    base = base_of(model)
    spec = getattr(getattr(base, "head", None), "spec", None)
    if spec is not None:
        return bool(getattr(spec, "shift", type(spec).__name__ == "DoubleHeads"))
    if getattr(getattr(base, "config", None), "is_encoder_decoder", False):
        return False
    return getattr(base, "loss_type", None) == "ForCausalLM"


def count(batch: Mapping[str, Any], labels: list[str], shifted: bool) -> Tensor | None:
    """How many items the loss of a batch is a mean of, as a 0-d integer; None: unknown."""
    given = batch.get("shift_labels", batch.get("labels"))
    if given is None:
        given = next((batch[name] for name in labels if batch.get(name) is not None), None)
    if torch.is_tensor(given) and not given.is_floating_point() and given.dim() > 0 \
            and given.dtype != torch.bool:
        if shifted and "shift_labels" not in batch and given.dim() > 1:
            given = given[..., 1:]
        return given.ne(IGNORED).sum()
    rows = batch_rows(batch)
    return None if rows is None else torch.tensor(rows)


def batch_rows(batch: Any) -> int | None:
    """How many rows a batch has: the length of the first tensor in it."""
    if isinstance(batch, Mapping):
        batch = list(batch.values())
    if isinstance(batch, (list, tuple)):
        return next((rows for part in batch if (rows := batch_rows(part)) is not None), None)
    return int(batch.shape[0]) if getattr(batch, "shape", ()) else None


def reads(function: Callable[..., Any], name: str) -> bool:
    """Whether a function does something with its argument `name`.

    An override of `compute_loss` that looks at num_items_in_batch has divided by it; one that
    only has it in its signature returns the mean of its batch.
    """
    code = getattr(inspect.unwrap(getattr(function, "__func__", function)), "__code__", None)
    if code is None:  # a callable object, or a partial
        call = getattr(type(function), "__call__", None)  # noqa: B004 - its code is wanted
        code = getattr(call, "__code__", None)
    if code is None:
        return name in inspect.signature(function).parameters
    return _loads(code, name)


def accepts(function: Callable[..., Any], name: str) -> bool:
    """Whether a function can be called with the keyword `name`."""
    parameters = inspect.signature(function).parameters
    return name in parameters or any(p.kind is inspect.Parameter.VAR_KEYWORD
                                     for p in parameters.values())


def _loads(code: Any, name: str) -> bool:
    import dis

    for step in dis.get_instructions(code):
        named = step.argval if isinstance(step.argval, tuple) else (step.argval,)
        if step.opname.startswith("LOAD_") and name in named:
            return True
    return any(_loads(inner, name) for inner in code.co_consts if inspect.iscode(inner))
