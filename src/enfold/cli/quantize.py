"""`enfold quantize MODEL --method M`: quantize, say what it costs, and save."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from enfold.cli.info import size
from enfold.cli.models import as_saved
from enfold.errors import InputError

CALIBRATED = ("gptq", "awq")
ONLY = {"bits": ("gptq", "int4", "int8"), "group_size": ("gptq", "awq", "int4", "int8"),
        "asymmetric": ("gptq",), "act_order": ("gptq",), "static_groups": ("gptq",),
        "layout": CALIBRATED}
WIDTH = {"int4": 4, "int8": 8}
LENGTH = 512
FEW = 12


@dataclass(slots=True)
class Found:
    """What the command reports.  before, after: perplexity, or None; error: of the outputs."""

    model: str
    method: str
    before: float | None = None
    after: float | None = None
    error: float | None = None
    bytes_before: int = 0
    bytes_after: int = 0
    layers: list[dict[str, Any]] = field(default_factory=list)
    out: str | None = None


def main(args: Namespace) -> int:
    """Quantize, measure, save, and print what was found."""
    check(args)
    found = run(args)
    print(json.dumps(asdict(found), indent=2) if args.json else text(found))
    return 0


def check(args: Namespace) -> None:
    """Raise for options that the method does not have."""
    for name, methods in ONLY.items():
        if getattr(args, name) and args.method not in methods:
            raise InputError(f"--{name.replace('_', '-')} is not an option of --method "
                             f"{args.method}, only of {', '.join(methods)}. Do: leave it out")
    if args.method in WIDTH and args.bits not in (None, WIDTH[args.method]):
        raise InputError(f"--method {args.method} has {WIDTH[args.method]} bits, got --bits "
                         f"{args.bits}. Do: --method gptq --bits {args.bits}")
    if args.static_groups and not args.act_order:
        raise InputError("--static-groups only matters with --act-order. Do: give both, or "
                         "neither")
    if args.method in CALIBRATED and not args.text:
        raise InputError(f"--method {args.method} calibrates on a text. Do: give --text FILE, some "
                         "pages of what the model will read")
    if args.samples < 1:
        raise InputError(f"--samples is {args.samples}, expected at least 1")


def run(args: Namespace) -> Found:
    """Load, measure, quantize, measure again, save."""
    import torch

    found = Found(args.model, args.method)
    given, held = samples(args) if args.text else ([], [])
    plain = load(args)
    found.bytes_before = plain.get_memory_footprint()
    before = measure(plain, held)
    if args.method in CALIBRATED:
        model, found.layers = plain, calibrated(plain, given, args)
    else:
        del plain
        model, info = load(args, quantization_config=config(args), output_loading_info=True)
        found.layers = [{"name": name, "error": error}
                        for name, error in info["quantization_errors"].items()]
    with torch.no_grad():
        after = measure(model, held)
    if isinstance(before, float) and isinstance(after, float):
        found.before, found.after = before, after
    elif before is not None and not isinstance(after, float | None):
        from enfold.quant.calibrate.quality import relative_error

        found.error = relative_error(after, before)  # type: ignore[arg-type]
    found.bytes_after = model.get_memory_footprint()
    if args.out:
        save(model, args)
        found.out = args.out
    return found


def load(args: Namespace, **options: Any) -> Any:
    """The model as it was saved, in the type of the arguments."""
    return as_saved(args.model, where={"revision": args.revision}, dtype=args.dtype, **options)


def samples(args: Namespace) -> tuple[list[Any], list[Any]]:
    """Windows [1, T] of the text: those to calibrate with, those to measure on."""
    import enfold
    from enfold.quant.calibrate.quality import windows

    loaded = enfold.AutoConfig.from_pretrained(args.model, revision=args.revision)
    tokenizer = enfold.AutoTokenizer.from_pretrained(args.model, revision=args.revision)
    most = int(loaded.get("max_position_embeddings") or LENGTH)
    length = args.seq_length or min(LENGTH, most)
    if not 2 <= length <= most:
        raise InputError(f"--seq-length is {length}, expected 2 to {most}, the positions that the "
                         "model has")
    written = Path(args.text).read_text(encoding="utf-8")
    return windows(tokenizer(written)["input_ids"], length, args.samples)


def measure(model: Any, held: Sequence[Any]) -> float | list[Any] | None:
    """Perplexity of a model of next tokens, outputs of any other."""
    from enfold.quant.calibrate.quality import outputs, perplexity

    if not held:
        return None
    if model.config.is_encoder_decoder:
        raise NotImplementedError("quality of encoder-decoders is not measured. Do: leave --text "
                                  "out (int4, int8, fp8, nf4, fp4)")
    return perplexity(model, held) if model.can_generate() else outputs(model, held)


def calibrated(model: Any, given: Sequence[Any], args: Namespace) -> list[dict[str, Any]]:
    """Quantize the model in place; what became of each layer."""
    import torch

    from enfold.quant.calibrate.gptq import Rules
    from enfold.quant.calibrate.run import Recipe, calibrate

    symmetric = args.method == "gptq" and not args.asymmetric
    scales = torch.bfloat16 if model.dtype == torch.bfloat16 else torch.float16
    rules = Rules(args.bits or 4, args.group_size or 128, symmetric, args.act_order,
                  args.static_groups, args.damp, scales)
    said = (lambda name: print(name, file=sys.stderr)) if sys.stderr.isatty() else None
    reports = calibrate(model, [{"input_ids": ids} for ids in given],
                        Recipe(args.method, rules, args.layout or ""), said)
    return [asdict(report) for report in reports]


def config(args: Namespace) -> Any:
    """The configuration of a method that needs no text."""
    from enfold.quant.config import BitsAndBytesConfig
    from enfold.quant.torchao import TorchAoConfig

    if args.method in ("nf4", "fp4"):
        return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type=args.method)
    kinds = {"int4": "int4_weight_only", "int8": "int8_weight_only", "fp8": "float8_weight_only"}
    return TorchAoConfig(kinds[args.method], group_size=args.group_size)


def save(model: Any, args: Namespace) -> None:
    """Write the model and the tokenizer."""
    import enfold

    if Path(args.out).is_file():
        raise InputError(f"--out {args.out} is a file, expected a folder. Do: give another name")
    model.save_pretrained(args.out)
    enfold.AutoTokenizer.from_pretrained(args.model,
                                         revision=args.revision).save_pretrained(args.out)


def text(found: Found) -> str:
    """The report for a terminal."""
    done = [layer for layer in found.layers if not layer.get("kept")]
    kept = [layer for layer in found.layers if layer.get("kept")]
    lines = [f"{found.model}, {found.method}: {len(done)} layers quantized"
             + (f", {len(kept)} left as they are" if kept else ""),
             f"size        {size(found.bytes_before)} -> {size(found.bytes_after)}"]
    if found.before is not None and found.after is not None:
        lines.append(f"perplexity  {found.before:.4f} -> {found.after:.4f}")
    if found.error is not None:
        lines.append(f"outputs     {found.error:.2%} off")
    if done:
        lines += ["", *worst(done)]
    for why in dict.fromkeys(layer["kept"] for layer in kept):
        names = [layer["name"] for layer in kept if layer["kept"] == why]
        more = f" and {len(names) - 2} more" if len(names) > 2 else ""
        lines.append(f"left as they are, {why}: {', '.join(names[:2])}{more}")
    return "\n".join([*lines, *([f"\nThe model is in {found.out}"] if found.out else [])])


def worst(done: Sequence[dict[str, Any]]) -> list[str]:
    """The layers that are furthest off, relative, and what rounding to the nearest would give."""
    ranked = sorted(done, key=lambda layer: -layer["error"])
    mean = sum(layer["error"] for layer in done) / len(done)
    lines = [f"relative error by layer, mean {mean:.2%}" + (", the largest:" if len(done) > FEW
                                                            else ":")]
    for layer in ranked[:FEW]:
        near = f"  (nearest: {layer['nearest']:.2%})" if "nearest" in layer else ""
        lines.append(f"  {layer['name']:<48} {layer['error']:8.2%}{near}")
    return lines
