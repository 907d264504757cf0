"""`enfold convert MODEL --to gguf | safetensors`: one format of checkpoints to the other."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

from enfold.cli.info import size
from enfold.cli.models import as_saved
from enfold.errors import EnfoldError, InputError

PLAIN = {"f32": "float32", "f16": "float16", "bf16": "bfloat16"}


def main(args: Namespace) -> int:
    """Load, write, and say what was written."""
    print(to_gguf(args) if args.to == "gguf" else to_safetensors(args))
    return 0


def to_gguf(args: Namespace) -> str:
    """Write one file with weights, configuration and vocabulary."""
    from enfold import AutoModelForCausalLM, AutoTokenizer
    from enfold.model.gguf import save_gguf

    kind = args.type or "f16"
    out = Path(args.out or f"{stem(args)}-{kind}.gguf")
    if out.is_dir():
        out = out / f"{stem(args)}-{kind}.gguf"
    where = places(args)
    tokenizer = AutoTokenizer.from_pretrained(args.model, **where)
    model = AutoModelForCausalLM.from_pretrained(args.model, dtype="auto", **where)
    counts = save_gguf(model, out, tokenizer, kind=kind, name=stem(args))
    listed = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
    return f"{out}: {size(out.stat().st_size)}, tensors: {listed}"


def to_safetensors(args: Namespace) -> str:
    """Write a folder that enfold and transformers load."""
    import enfold

    if args.type not in (None, *PLAIN):
        raise InputError(f"--type {args.type} is a GGUF type, expected {', '.join(PLAIN)} for "
                         "safetensors")
    out, where = Path(args.out or stem(args)), places(args)
    if out.exists() and not out.is_dir():
        raise InputError(f"--out {out} is a file, expected a folder. Do: give another name")
    model = as_saved(args.model, where=where, dtype=PLAIN.get(args.type, "auto"))
    model.save_pretrained(out)
    try:
        enfold.AutoTokenizer.from_pretrained(args.model, **where).save_pretrained(out)
    except (EnfoldError, NotImplementedError) as error:
        print(f"enfold convert: the tokenizer was left out: {error}", file=sys.stderr)
    total = sum(path.stat().st_size for path in out.iterdir())
    return f"{out}: {size(total)}, {type(model).__name__} in {model.dtype}"


def places(args: Namespace) -> dict[str, Any]:
    """Arguments of from_pretrained that say where the model is."""
    given = {"revision": args.revision, "gguf_file": args.gguf_file}
    return {key: value for key, value in given.items() if value is not None}


def stem(args: Namespace) -> str:
    """A name for what is written: the model's, without folders and suffix."""
    return Path(args.gguf_file or args.model).resolve().name.removesuffix(".gguf")
