"""A model's linear layers quantized one after the other, each on what the quantized ones before it
give.

    report = calibrate(model, samples, Recipe("gptq", Rules(bits=4, group_size=128)))
    model.save_pretrained(folder)          # as AutoGPTQ, AutoAWQ or llm-compressor would

Reference: Frantar et al. 2022 (order of layers), Lin et al. 2023.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from enfold.errors import InputError
from enfold.nn.linear import Conv1D
from enfold.quant.calibrate.awq import awq, best_scales, fold, rounded_by
from enfold.quant.calibrate.gptq import Rules, gptq
from enfold.quant.calibrate.ranges import nearest_error, relative
from enfold.quant.calibrate.walk import Block, Sample, Seen, Shared, Walk
from enfold.quant.calibrate.write import Written, writer
from enfold.quant.group_linear import GroupLinear

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Recipe:
    """method: "gptq" or "awq".  layout: "gptq", "awq" or "compressed-tensors", how the layers are
    stored; by default as the method's own programs do.
    """

    method: str
    rules: Rules
    layout: str = ""


@dataclass(frozen=True, slots=True)
class LayerReport:
    """What became of a layer.  error: of its outputs on the samples, relative; nearest: what it
    would be if each weight was rounded to the nearest.  kept: why it stays plain, "" if it doesn't.
    """

    name: str
    error: float = 0.0
    nearest: float = 0.0
    format: str = ""
    kept: str = ""


@torch.no_grad()
def calibrate(model: Any, samples: Sequence[Sample], recipe: Recipe,
              progress: Progress | None = None) -> list[LayerReport]:
    """Quantize the linear layers of a model's blocks in place, by what goes into them.

    samples: arguments of the model's calls, such as {"input_ids": ids [1, T]}.  progress: called
    with each layer's name.  The model's config gets the `quantization_config` of the layout.
    """
    layout = recipe.layout or recipe.method
    if layout == "compressed-tensors":  # whose readers want groups that are runs of inputs
        recipe = replace(recipe, rules=replace(recipe.rules, static=True))
    written, reports = writer(layout, recipe.rules), []
    walk = Walk(model, samples)
    for path, stack in walk.stacks():
        for number, block in enumerate(walk.blocks(stack)):
            prefix = f"{path}.layers.{number}"
            for report in _block(block, prefix, recipe, written, model.names.theirs):
                reports.append(report)
                if progress is not None:
                    progress(report.name)
    if all(report.kept for report in reports):
        why = reports[0].kept if reports else "the model has no blocks of linear layers"
        raise InputError(f"{recipe.method}: no layer can be stored as {layout}: {why}. Do: another "
                         "--group-size, or --layout compressed-tensors")
    model.config.quantization_config = written.config([report.name for report in reports
                                                       if report.kept])
    return reports


def _block(block: Block, prefix: str, recipe: Recipe, written: Written,
           theirs: Callable[[str], str]) -> Iterator[LayerReport]:
    shared = block.shared()
    if recipe.method == "awq":
        for group in shared:
            _scale(block, group, recipe.rules)
    for group in shared:
        seen = block.seen(group.names[0])
        for name in group.names:
            path = theirs(f"{prefix}.{name}")
            yield _layer(block, name, path, seen, recipe, written)
        del seen


def _scale(block: Block, group: Shared, rules: Rules) -> None:
    """Fold AWQ's factors into a group of layers and their source."""
    if group.source is None:
        return
    seen, linears = block.seen(group.names[0]), block.linears()
    layers = [linears[name] for name in group.names]
    size = _fitting(rules.group_size, layers[0].in_features)
    s = best_scales([layer.weight for layer in layers], seen.hessian, seen.size,
                    rounded_by(rules.bits, size, rules.symmetric))
    fold(group.source, layers, s)


def _layer(block: Block, name: str, path: str, seen: Seen, recipe: Recipe,
           written: Written) -> LayerReport:
    linear, rules = block.linears()[name], recipe.rules
    made, why = written.layer(path, linear)
    if made is None:
        return LayerReport(path, kept=why)
    rules = replace(rules, group_size=made.scheme.group_size)
    weight = linear.weight.detach()
    weight = weight.t() if isinstance(linear, Conv1D) else weight
    if recipe.method == "gptq":
        held = gptq(weight, seen.hessian, rules)
    else:
        held = awq(weight, seen.hessian, rules.bits, rules.group_size, rules.symmetric,
                   rules.scale_dtype)
    made.hold(held)
    found: Tensor = made.dequantize(torch.float32)
    report = LayerReport(path, relative(found, weight, seen.hessian),
                         nearest_error(weight, seen.hessian, rules.bits, rules.group_size,
                                       rules.symmetric, rules.scale_dtype), made.describe())
    _replace(block.layer, name, made)
    return report


def _fitting(group_size: int, inputs: int) -> int:
    return group_size if group_size > 0 and inputs % group_size == 0 else -1


def _replace(layer: nn.Module, name: str, made: GroupLinear) -> None:
    parent, _, leaf = name.rpartition(".")
    setattr(layer.get_submodule(parent), leaf, made)
