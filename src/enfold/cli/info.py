"""`enfold info M`: what a model is, from its config alone; no weight is read."""

from __future__ import annotations

import json
from argparse import Namespace
from typing import Any

from enfold.files.hub import HubOptions, list_files, local_path
from enfold.models.registry import Family, Plan, get_family
from enfold.spec import describe
from enfold.tasks.registry import task_of_head

BITS = {"float32": 32, "bfloat16": 16, "int8": 8, "int4": 4}


def main(args: Namespace) -> int:
    """Print the report as text or JSON."""
    found = report(args.model, args.revision)
    print(json.dumps(found, indent=2) if args.json else text(found))
    return 0


def report(name: str, revision: str | None) -> dict[str, Any]:
    """Everything about the model, ready for JSON."""
    from enfold import AutoConfig

    config = AutoConfig.from_pretrained(name, revision=revision)
    family = get_family(config.model_type)
    plan = family.plan(config, suffix(family, config.architectures))
    parameters = count(plan, config)
    return {"model": name, "family": family.model_type, "architecture": plan.name,
            "task": task_of_head(plan.name),
            "dtype": str(config.dtype).removeprefix("torch.") if config.dtype else None,
            "spec": describe(plan.body), "parameters": parameters,
            "quantization": getattr(config, "quantization_config", None),
            "memory": {dtype: parameters * bits // 8 for dtype, bits in BITS.items()},
            "heads": [family.title + head for head in family.heads],
            "files": files(name, revision)}


def suffix(family: Family, architectures: list[str] | None) -> str:
    """The head that the config names, or the bare model where it names none that we know."""
    named = [name.removeprefix(family.title) for name in architectures or []]
    return next((head for head in named if head in family.heads), "Model")


def count(plan: Plan, config: Any) -> int:
    """Parameters, tied ones once, of the model built without memory for them."""
    import torch

    import enfold

    with torch.device("meta"):
        model = getattr(enfold, plan.name)(config)
    return sum(parameter.numel() for parameter in model.parameters())


def files(name: str, revision: str | None) -> dict[str, int | None]:
    """Sizes by file name; None for a repository's, whose sizes are not asked for."""
    folder = local_path(name)
    if folder is not None and folder.is_file():  # a GGUF file
        return {folder.name: folder.stat().st_size}
    names = list_files(name, HubOptions(revision=revision))
    return {file: (folder / file).stat().st_size if folder else None for file in names}


def text(found: dict[str, Any]) -> str:
    """The report for a terminal."""
    quantization = found["quantization"] or {}
    stored = None if quantization else found["dtype"]
    memory = [f"{dtype:<9} {size(bytes_):>9}" + ("  as stored" if dtype == stored else "")
              for dtype, bytes_ in found["memory"].items()]
    names = [name if bytes_ is None else f"{size(bytes_):>9}  {name}"
             for name, bytes_ in found["files"].items()]
    sections = {
        found["architecture"]: [f"family {found['family']}, task {found['task'] or 'none known'}, "
                                f"from {found['model']}"],
        "spec": found["spec"].splitlines(),
        "parameters": [f"{found['parameters']:,}"],
        "quantization": [f"{key} {value}" for key, value in quantization.items()
                         if not key.startswith("_") and value not in (None, False, [], {})],
        "memory of the weights": memory,
        "heads": found["heads"],
        "files": names,
    }
    return "\n".join("\n  ".join([title, *rows]) for title, rows in sections.items() if rows)


def size(count: float) -> str:
    """Bytes for people, in powers of 1000."""
    units = ["B", "kB", "MB", "GB", "TB"]
    while count >= 1000 and len(units) > 1:
        count, units = count / 1000, units[1:]
    return f"{count:.0f} B" if units[0] == "B" else f"{count:.1f} {units[0]}"
