"""`enfold train RECIPE`: data, model, adapter and training of a YAML or JSON file."""

from __future__ import annotations

from argparse import Namespace

from enfold.errors import InputError


def main(args: Namespace) -> int:
    """Train, and print the plan before and the metrics after; or print a recipe to begin with."""
    if (args.recipe is None) == (args.example is None):
        raise InputError("expected a recipe, or --example TASK. Do: enfold train --example "
                         "text-classification > recipe.yaml")
    if args.example is not None:
        from enfold.train.recipes.examples import example

        print(example(args.example), end="")
        return 0
    from enfold.train.recipes import prepare, read_recipe

    run = prepare(read_recipe(args.recipe))
    main_process = run.args.process_index == 0
    if main_process:
        print(run.plan(), flush=True)
    if args.dry_run:
        return 0
    metrics = run.go(resume=args.resume)
    if main_process:
        print("\n" + "\n".join(f"{name:<28} {value:.4g}" for name, value in metrics.items()))
        print(f"\nThe model is in {run.recipe.output}")
    return 0
