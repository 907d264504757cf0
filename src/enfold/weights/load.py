"""Loading: every tensor of the checkpoint lands, every slot of the model is filled, or it raises.

What may be absent: a head that the checkpoint never had (initialised and said once, by name).
What may be left over: heads of the same family, and what the family's `drop` patterns list.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from enfold.errors import CheckpointError, nearest
from enfold.nn.init import initialise
from enfold.weights.awaited import unfilled
from enfold.weights.gathered import Gathered
from enfold.weights.packed import (
    Method,
    Reading,
    fill,
    held_by_layer,
    in_layers,
    in_time,
    linears,
    packed,
    put_in,
)
from enfold.weights.pieces import Pieces
from enfold.weights.place.homes import Homes
from enfold.weights.slots import Slot, slots

if TYPE_CHECKING:
    from enfold.files import Checkpoint
    from enfold.nn.quantized import QuantizedLinear
    from enfold.weights.names import NameTable

log = logging.getLogger("enfold")


@dataclass(slots=True)
class Terms:
    """How a checkpoint is to be read into a model.

    `names`: the architecture's table; `family`: the tables of all architectures of the family,
    whose tensors may be left over; `prefix`: the body's here; `prefixes`: those of the family.
    `complete`: the checkpoint claims to have this very architecture, so no head of it may be
    absent. `tie`: what the caller said of ties, None for nothing. `homes`: where tensors go, asked
    once the quantized layers are in.
    """

    title: str
    names: NameTable
    family: list[NameTable]
    prefix: str
    prefixes: tuple[str, ...]
    drop: tuple[str, ...] = ()
    complete: bool = False
    tie: bool | None = None
    ignore_mismatched_sizes: bool = False
    dtype: torch.dtype | None = None
    homes: Callable[[nn.Module, torch.dtype | None], Homes] = lambda model, dtype: Homes()
    std: Callable[[str], float] = lambda name: 0.02
    method: Method | None = None  # makes quantized layers of linear ones
    exact: tuple[str, ...] = ()  # ends of the names of layers that are not to be quantized
    measure: bool = False  # whether the errors of quantizing are computed
    pieces: tuple[Pieces, ...] = ()  # tensors that files hold otherwise than under their names


@dataclass(slots=True)
class Report:
    """What loading found: names in the checkpoint's spelling."""

    new: list[str] = field(default_factory=list)
    stored: set[str] = field(default_factory=set)  # computed tensors that the file holds, our names
    left_over: list[str] = field(default_factory=list)
    mismatched: list[tuple[str, tuple[int, ...], tuple[int, ...]]] = field(default_factory=list)
    errors: dict[str, float] = field(default_factory=dict)  # relative, of quantized weights
    homes: Homes = field(default_factory=Homes)  # where each tensor went

    def as_info(self) -> dict[str, Any]:
        """The dictionary that `output_loading_info=True` returns."""
        return {"missing_keys": set(self.new), "unexpected_keys": set(self.left_over),
                "mismatched_keys": set(self.mismatched), "error_msgs": [],
                "quantization_errors": self.errors}


def load(model: nn.Module, checkpoint: Checkpoint, terms: Terms) -> Report:
    """Fill `model`, built on the meta device, tensor by tensor."""
    if terms.pieces:
        checkpoint = Gathered(checkpoint, terms.pieces, terms.title, terms.dtype)
    if terms.method is not None:
        put_in(model, terms.method, _held(model, checkpoint, terms), terms.names.theirs,
               terms.exact)
    report, wanted, layers = Report(), slots(model, packed=False), packed(model)
    known = {name for slot in wanted for name in slot.names}
    known |= {f"{path}.{leaf}" for path, layer in layers.items() for leaf in layer.reads}
    keys = _match(checkpoint, terms, known, report)
    homes = report.homes = terms.homes(model, terms.dtype)
    _fill_packed(model, layers, keys, checkpoint, terms, report)
    fresh: list[Slot] = []
    for slot in wanted:
        value = _read(slot, keys, checkpoint, terms, report)
        if value is not None and slot.computed:
            report.stored.add(slot.name)
        if value is None:
            value = torch.empty(slot.tensor.shape, dtype=_dtype(slot.tensor, terms),
                                device=homes.device(slot.name))
            fresh.append(slot)
        slot.put(model, value)
    lacking = [slot for slot in fresh if not slot.computed]
    _refuse(lacking, keys, checkpoint, terms, report)
    initialise(model, [slot.name for slot in fresh], terms.std)
    for slot in fresh:
        homes.keep(model, slot.name.rpartition(".")[0])
    report.new = [terms.names.theirs(slot.name) for slot in lacking]
    if untold := unfilled(report.new):
        log.warning("%s: not in the checkpoint, so newly initialised: %s. Train the model before "
                    "using it",
                    terms.title, ", ".join(untold))
    return report


def _held(model: nn.Module, checkpoint: Checkpoint, terms: Terms) -> dict[str, set[str]]:
    """Linear layer (our path) -> what the checkpoint has below it."""
    paths = {path for path, _ in linears(model)}
    names = [ours for key in checkpoint.keys()  # noqa: SIM118 - not a dict
             for spelling in spellings(key, terms.prefix, terms.prefixes)
             if (ours := _translate(terms.names, spelling)) is not None]
    return held_by_layer(names, paths)


def _fill_packed(model: nn.Module, layers: Mapping[str, QuantizedLinear],
                 keys: dict[str, list[str]], checkpoint: Checkpoint, terms: Terms,
                 report: Report) -> None:
    """Read the quantized layers, in the order of the model."""
    found = in_layers({name: present[0] for name, present in keys.items()}, layers)
    reading = Reading(terms.title, terms.dtype,
                      lambda theirs: report.homes.device(terms.names.ours(theirs)), terms.measure)
    for path in in_time(layers, found, checkpoint):
        layer = layers[path]
        if path not in found:
            theirs = terms.names.theirs(f"{path}.weight")
            raise CheckpointError(f"{terms.title}: checkpoint has no tensor {theirs!r} (needed by "
                                  f"{terms.names.line(path)}){nearest(theirs, checkpoint.keys())}. "
                                  "Do: check that config.json belongs to these weights")
        error = fill(layer, terms.names.theirs(path), found[path], checkpoint, reading)
        report.homes.keep(model, path)
        if error is not None:
            report.errors[terms.names.theirs(path)] = error


def _match(checkpoint: Checkpoint, terms: Terms, known: set[str],
           report: Report) -> dict[str, list[str]]:
    """Our name -> the checkpoint's keys for it.  A key that belongs nowhere raises."""
    found: dict[str, list[str]] = {}
    spare: dict[str, list[str]] = {}
    unexpected = []
    for key in checkpoint.keys():  # noqa: SIM118 - a Checkpoint, not a dict
        spelling, ours = _ours(key, terms, known)
        if ours is not None:
            place = spare if terms.names.stands_in(spelling) else found
            place.setdefault(ours, []).append(key)
        elif _may_stay(key, terms):
            report.left_over.append(key)
        else:
            unexpected.append(key)
    if unexpected:
        raise CheckpointError(_unexpected(unexpected, terms))
    return spare | found


def spellings(key: str, here: str, prefixes: tuple[str, ...]) -> list[str]:
    """What a key of a checkpoint may mean: itself, or with the body's prefix put on or changed."""
    stem, _, leaf = key.rpartition(".")
    if leaf in ("gamma", "beta"):  # what TensorFlow called weight and bias of a norm
        key = f"{stem}.{'weight' if leaf == 'gamma' else 'bias'}"
    bare = [key.removeprefix(f"{other}.") for other in prefixes if key.startswith(f"{other}.")]
    return [key, *(f"{here}.{name}" if here else name for name in (key, *bare))]


def _ours(key: str, terms: Terms, known: set[str]) -> tuple[str, str | None]:
    """(the spelling that fits, our name), or None for a name that isn't ours."""
    for spelling in spellings(key, terms.prefix, terms.prefixes):
        ours = _translate(terms.names, spelling)
        if ours in known:
            return spelling, ours
    return key, None


def _may_stay(key: str, terms: Terms) -> bool:
    """Whether a tensor without a place here is one that such a checkpoint may carry."""
    if any(fnmatchcase(key, pattern) for pattern in terms.drop):
        return True
    for spelling in spellings(key, terms.prefix, terms.prefixes):
        own = _translate(terms.names, spelling)
        if own is not None:
            if _part(own) == "pooler":  # a body without its pooler
                return True
            continue
        # another head's tensor, or one of the half of an encoder-decoder that is not built
        if any(_translate(table, spelling) for table in terms.family):
            return True
    return False


def _translate(names: NameTable, key: str) -> str | None:
    try:
        return names.ours(key)
    except KeyError:
        return None


def _read(slot: Slot, keys: dict[str, list[str]], checkpoint: Checkpoint, terms: Terms,
          report: Report) -> Tensor | None:
    """The tensor of a slot, or None if it is absent or (where that is allowed) of another shape."""
    present = [key for name in slot.names for key in keys.get(name, ())]
    if not present:
        return None
    value, key = checkpoint.get(present[0]), present[0]
    _check_ties(value, present, checkpoint, terms)
    value = report.homes.part(slot.name, value)
    if value.shape != slot.tensor.shape:
        report.mismatched.append((key, tuple(value.shape), tuple(slot.tensor.shape)))
        if not terms.ignore_mismatched_sizes:
            raise CheckpointError(
                f"{terms.title}: tensor {checkpoint.spelled(key)!r} has shape "
                f"{tuple(value.shape)}, expected "
                f"{tuple(slot.tensor.shape)} ({terms.names.line(slot.name)}). Do: check "
                "config.json against the weights, or load with ignore_mismatched_sizes=True to "
                "initialise it anew")
        return None
    if value.dtype.itemsize == 1 and slot.tensor.is_floating_point():
        raise CheckpointError(f"{terms.title}: tensor {checkpoint.spelled(key)!r} is of "
                              f"{value.dtype}, expected numbers of 16 bits or more: it is part of "
                              "a quantized weight. Do: download the checkpoint again, with all "
                              "its statistics and quantization_config in config.json")
    return report.homes.take(slot.name, value, _dtype(value, terms), checkpoint, key)


def _dtype(tensor: Tensor, terms: Terms) -> torch.dtype:
    return terms.dtype if terms.dtype is not None and tensor.is_floating_point() else tensor.dtype


def _check_ties(value: Tensor, present: list[str], checkpoint: Checkpoint, terms: Terms) -> None:
    """Several keys for one tied tensor must agree, unless the caller asked for the tie."""
    if terms.tie:
        return
    for other in present[1:]:
        twin = checkpoint.get(other)
        same = twin.data_ptr() == value.data_ptr() and twin.shape == value.shape
        if not same and not (twin.shape == value.shape and torch.equal(twin, value)):
            raise CheckpointError(
                f"{terms.title}: the config ties {present[0]!r} and {other!r}, but the checkpoint "
                "holds both with different values. Do: pass tie_word_embeddings=False to use "
                "both, or True to use the first for both")


def _refuse(lacking: list[Slot], keys: dict[str, list[str]], checkpoint: Checkpoint, terms: Terms,
            report: Report) -> None:
    """Raise for absent tensors that are not a head which the checkpoint never had."""
    reshaped = {terms.names.first(key) for key, _, _ in report.mismatched}
    bad = []
    for slot in lacking:
        theirs = terms.names.theirs(slot.name)
        part = _part(slot.name)
        partly = any(_part(name) == part for name in keys)
        claimed = terms.complete and part == "head"
        if theirs not in reshaped and (part == "body" or (partly and not report.mismatched)
                                       or claimed):
            bad.append((slot.name, checkpoint.spelled(theirs)))
    if not bad:
        return
    name, theirs = bad[0]
    more = f", nor {', '.join(repr(other) for _, other in bad[1:6])}" if len(bad) > 1 else ""
    more += f" and {len(bad) - 6} more" if len(bad) > 6 else ""
    raise CheckpointError(
        f"{terms.title}: checkpoint has no tensor {theirs!r}{more} (needed by "
        f"{terms.names.line(name)}){nearest(theirs, checkpoint.keys())}. Do: check that "
        f"config.json belongs to these weights{_tie_hint(name)}")


def _part(name: str) -> str:
    """body, head or pooler."""
    return "pooler" if name.startswith("body.pooler") else name.split(".")[0]


def _tie_hint(name: str) -> str:
    if name != "head.out.weight":
        return ""
    return ", or pass tie_word_embeddings=True if its output is the embedding"


def _unexpected(keys: list[str], terms: Terms) -> str:
    shown = ", ".join(map(repr, keys[:6])) + (f" and {len(keys) - 6} more" if len(keys) > 6 else "")
    near = nearest(keys[0], terms.names.backward)
    return (f"{terms.title}: the checkpoint holds tensors that the model has no place for: "
            f"{shown}{near}. "
            "Do: check that config.json belongs to these weights (layers, architecture)")
