"""Which layers of a model an adapter acts on.

A pattern is the whole name of a layer or its end after a dot; names are the ecosystem's
(`self_attn.q_proj`).  A pattern that fits none of these may be in our spelling (`attn.q`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import replace as replaced
from typing import Any

from torch import nn

from enfold.adapt.config import LayerConfig
from enfold.adapt.registry import Method
from enfold.errors import InputError, nearest
from enfold.weights.face import PublicFace
from enfold.weights.paths import replace

ALL_LINEAR = "all-linear"


def find_targets(model: nn.Module, config: LayerConfig, method: Method, *, strict: bool = True,
                 field: str = "target_modules") -> dict[str, nn.Module]:
    """path -> layer.  With `strict`, each pattern of a list has to fit some layer."""
    wanted, title = getattr(config, field), type(config).__name__
    layers = dict(candidates(model))
    if wanted is None:
        wanted = usual(model, layers, replaced(method, defaults=config.usual or method.defaults),
                       title)
        setattr(config, field, wanted)
    if isinstance(wanted, str):
        everything = wanted.lower() == ALL_LINEAR
        found = linears(model, layers) if everything else [
            path for path in layers if re.fullmatch(wanted, path)]
        if everything:
            setattr(config, field, set(found))
        missing = [] if found else [wanted]
    else:
        found, missing = _fitting(model, layers, wanted)
    if missing and (strict or not found):
        raise _unmatched(title, field, missing, layers)
    found = narrowed(found, config, field)
    for path in found:
        if not isinstance(_base(layers[path]), method.layers):
            kinds = ", ".join(kind.__name__ for kind in method.layers)
            raise InputError(f"{title}: {field} fits {path!r}, a {type(layers[path]).__name__}, "
                             f"expected one of {kinds}. Do: name layers inside it, for example by "
                             "'all-linear'")
    return {path: layers[path] for path in found}


def narrowed(paths: list[str], config: LayerConfig, field: str) -> list[str]:
    """Those that exclude_modules, modules_to_save and layers_to_transform leave."""
    found = _in_layers([path for path in paths if not _left_out(path, config)], config)
    if not found:
        raise InputError(f"{type(config).__name__}: exclude_modules, modules_to_save and "
                         f"layers_to_transform leave no layer of {field}="
                         f"{getattr(config, field)!r}. Do: correct them")
    return found


def candidates(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """(path, module) of a model, nothing from inside adapted layers."""
    from enfold.adapt.kept import Kept
    from enfold.adapt.layer import Adapted

    inside: tuple[str, ...] = ()
    for path, module in model.named_modules():
        if not path or (inside and path.startswith(inside)):
            continue
        if isinstance(module, Adapted | Kept):
            inside = (*inside, f"{path}.")
        yield path, module


def fits(path: str, pattern: str) -> bool:
    """Whether a pattern is a path or its end."""
    return path == pattern or path.endswith(f".{pattern}")


def linears(model: nn.Module, layers: dict[str, nn.Module]) -> list[str]:
    """All linear layers but those of the head."""
    head = model.get_submodule("head") if isinstance(model, PublicFace) else None
    heads = set() if head is None else {id(module) for module in head.modules()}
    out = getattr(model, "get_output_embeddings", lambda: None)()
    return [path for path, module in layers.items()
            if isinstance(_base(module), nn.Linear) and id(module) not in heads
            and module is not out]


def usual(model: nn.Module, layers: dict[str, nn.Module], method: Method, title: str) -> set[str]:
    """The method's usual targets, as ends of their names."""
    if found := called(model, layers, method.defaults):
        return found
    linear = {path.rpartition(".")[2] for path in linears(model, layers)}
    raise InputError(f"{title}: target_modules is None, and there are no usual ones for a "
                     f"{type(model).__name__}. Do: give the layers to adapt; it has "
                     f"{', '.join(sorted(linear)) or 'no linear layers'}")


def called(model: nn.Module, layers: dict[str, nn.Module], ours: Collection[str]) -> set[str]:
    """The ends of the names of layers that we call by such ends."""
    if not isinstance(model, PublicFace):
        return set()
    found = [path for path in layers if any(fits(_ours(model, path), end) for end in ours)]
    return {_ending(path, found, layers) for path in found}


def place(model: nn.Module, path: str, module: nn.Module) -> None:
    """Put a module at a path."""
    if isinstance(model, PublicFace):
        replace(model, path, module)
        return
    parent, _, leaf = path.rpartition(".")
    setattr(model.get_submodule(parent), leaf, module)


def _fitting(model: nn.Module, layers: dict[str, nn.Module],
             wanted: Collection[str]) -> tuple[list[str], list[str]]:
    """(paths that fit a pattern, patterns that fit none)."""
    by_pattern = {pattern: [path for path in layers if fits(path, pattern)] for pattern in wanted}
    lacking = [pattern for pattern, found in by_pattern.items() if not found]
    if lacking and isinstance(model, PublicFace):
        for pattern in lacking:
            by_pattern[pattern] = [path for path in layers if fits(_ours(model, path), pattern)]
    hit = {path for found in by_pattern.values() for path in found}
    return ([path for path in layers if path in hit],
            sorted(pattern for pattern, found in by_pattern.items() if not found))


def _ending(path: str, chosen: list[str], layers: dict[str, nn.Module]) -> str:
    """The shortest end of a path that fits no layer but the chosen ones."""
    parts, others = path.split("."), set(layers) - set(chosen)
    ends = (".".join(parts[-count:]) for count in range(1, len(parts) + 1))
    return next(end for end in ends if not any(fits(other, end) for other in others))


def _ours(model: PublicFace, path: str) -> str:
    try:
        return model.names.ours(path).partition(".")[2]  # without "body" or "head"
    except KeyError:
        return ""


def _left_out(path: str, config: LayerConfig) -> bool:
    excluded = config.exclude_modules
    if isinstance(excluded, str) and re.fullmatch(excluded, path):
        return True
    if excluded and not isinstance(excluded, str) and any(fits(path, p) for p in excluded):
        return True
    return any(re.match(rf"(^|.*\.){re.escape(name)}($|\..*)", path)
               for name in config.modules_to_save or ())


def _in_layers(paths: list[str], config: LayerConfig) -> list[str]:
    """Those in the blocks of layers_to_transform."""
    wanted, lists = config.layers_to_transform, config.layers_pattern
    if wanted is None or wanted == []:
        return paths
    numbers = {wanted} if isinstance(wanted, int) else set(wanted)
    names = [lists] if isinstance(lists, str) else lists or [r"[^.]*"]
    patterns = [rf"(?:^|.*?\.){name}\.(\d+)\." for name in names]
    found = {path: next((m[1] for p in patterns if (m := re.match(p, path))), None)
             for path in paths}
    held = {int(number) for number in found.values() if number is not None}
    if missing := sorted(numbers - held):
        raise InputError(f"{type(config).__name__}: layers_to_transform names {missing}, but the "
                         f"layers of target_modules are in blocks {sorted(held)}"
                         + (f" of {names}" if lists else "") + ". Do: give some of these")
    return [path for path, number in found.items() if number is not None and int(number) in numbers]


def _base(module: nn.Module) -> nn.Module:
    from enfold.adapt.layer import Adapted

    return module.base_layer if isinstance(module, Adapted) else module


def _unmatched(title: str, field: str, missing: list[str], layers: Any) -> InputError:
    ends = {path.rpartition(".")[2] for path in layers}
    known = sorted({end for path, module in layers.items() for end in [path.rpartition(".")[2]]
                    if isinstance(_base(module), nn.Linear | nn.Embedding)} - {""})
    near = ", ".join(f"{pattern!r}{nearest(pattern, ends)}" for pattern in missing)
    return InputError(f"{title}: no layer fits {near} of {field}. Expected names or ends of names "
                      f"of layers: {', '.join(known)}. Do: correct the pattern, or leave it out")
