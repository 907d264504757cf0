"""What a pipeline checks before it runs: the model's head, the inputs' kind, the rows' length."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence
from typing import Any

from enfold.errors import InputError, TaskError, TokenizerError
from enfold.tasks.batching import Row, is_out_of_memory
from enfold.tasks.registry import find, fits, task_of_head


def describe(item: object) -> str:
    """An input as error messages show it."""
    text = repr(item)
    return f"{type(item).__name__} {text if len(text) <= 60 else text[:57] + '...'}"


def want_text(item: object, where: str) -> str:
    """`item` if it is a string, else an `InputError`."""
    if isinstance(item, str):
        return item
    raise InputError(f"{where}: got {describe(item)}, expected a string. "
                     "Do: pass a string, or a list or generator of strings")


def want_tokenizer(tokenizer: Any, where: str) -> Any:
    """`tokenizer` if there is one, else a `TokenizerError`."""
    if tokenizer is None:
        raise TokenizerError(f"{where}: this task reads text and no tokenizer was given. "
                             "Do: pass tokenizer=, an object, a folder or a name on the Hub")
    return tokenizer


def want_head(model: Any, task: str) -> None:
    """Raise `TaskError` if the model's class says that its head is for another task."""
    name = type(model).__name__
    made_for = task_of_head(name)
    entry, _ = find(task)
    if made_for is None or fits(entry, name):
        return
    raise TaskError(f"{task}: {name} has no head for this task, it is made for {made_for!r}. "
                    f"Do: load the checkpoint with {entry.auto}, or use task={made_for!r}")


def want_logits(output: Any, model: Any, task: str, name: str = "logits") -> Any:
    """The tensor `name` of a model's output, or a `TaskError` if its head does not give one."""
    if isinstance(output, dict) and name in output:
        return output[name]
    gives = ", ".join(output) if isinstance(output, dict) else type(output).__name__
    raise TaskError(f"{task}: {type(model).__name__} gives {gives} and no {name!r}. "
                    f"Do: load the checkpoint with {find(task)[0].auto}")


def accepted_inputs(model: Any) -> frozenset[str] | None:
    """The argument names that the model's forward takes, or None if it takes any."""
    parameters = inspect.signature(model.forward).parameters
    if "input_ids" not in parameters and any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return None
    return frozenset(parameters)


def position_limit(model: Any) -> int | None:
    """The longest row that fits into the model's table of positions; None if there is no table."""
    spec = getattr(model, "spec", None)
    stack = getattr(spec, "encoder", spec)
    table = getattr(getattr(stack, "embed", None), "position", None)
    if table is None:
        return None
    pad = getattr(table, "pad", None)  # positions start behind the pad token's
    return int(table.count - getattr(table, "offset", 0) - (0 if pad is None else pad + 1))


def check_lengths(rows: Iterable[Row], limit: int | None, where: str) -> None:
    """Raise `InputError` for a row without tokens, or one longer than the model's positions."""
    for row in rows:
        if not len(row):
            raise InputError(f"{where}: a text has no tokens at all. Do: leave empty texts out")
        if limit is not None and len(row) > limit:
            raise too_long(len(row), limit, where)


def too_long(length: int, limit: int, where: str) -> InputError:
    """The error for a row that the model has no positions for."""
    return InputError(f"{where}: a text has {length} tokens, the model has positions for {limit}. "
                      f"Do: pass truncation=True (with max_length={limit} if the tokenizer has no "
                      "limit), or cut the text into parts")


def explain(error: Exception, lengths: Sequence[int], model: Any, where: str) -> Exception:
    """`error` of a model's forward, or what it means if rows are longer than the config allows."""
    limit = model.config.to_dict().get("max_position_embeddings")
    if limit and max(lengths) > limit and not is_out_of_memory(error):
        return too_long(max(lengths), limit, where)
    return error
