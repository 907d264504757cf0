"""One rank of a run, for `test_ranks.py`: RANK, WORLD_SIZE, MASTER_PORT say which; OUT is a folder.

rank.py OUT KIND...     what each kind found goes to OUT/KIND.json
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch

MODEL = ("llama", "ForCausalLM")


def make(out: Path, data: Any, evaluated: Any = None, kind: Any = None, callbacks: Any = (),
         **arguments: Any) -> Any:
    import enfold
    from enfold.train.trainer import Trainer
    from tests.families.tiny import TINY
    from tests.train.trainer.runs import ours

    torch.manual_seed(0)
    config = enfold.AutoConfig.for_model(MODEL[0], **TINY[MODEL[0]].config())
    model = enfold.AutoModelForCausalLM.from_config(config)
    size = 4 // int(os.environ.get("WORLD_SIZE", 1))
    return ours(model, out, [], kind or Trainer, options={
        "train_dataset": data, "eval_dataset": evaluated, "callbacks": list(callbacks)},
        **{"per_device_train_batch_size": size, "per_device_eval_batch_size": size,
           "learning_rate": 1e-2, "lr_scheduler_type": "constant", **arguments})


def table(count: int) -> Any:
    from enfold.data import Dataset
    from tests.train.trainer.runs import rows

    return Dataset.from_list(rows("causal", count))


def stream(count: int) -> Any:
    return table(count).to_iterable_dataset(num_shards=1)


def uneven(out: Path) -> dict[str, Any]:
    """Streams of 13, 7 and 1 rows, over which ranks end at different times."""
    from tests.train.trainer.runs import curve

    made = make(out, stream(13), stream(7), max_steps=8, eval_strategy="steps", eval_steps=3,
                gradient_accumulation_steps=1)
    made.train()
    found = made.predict(stream(1))
    return {"loss": curve(made), "norm": curve(made, "grad_norm"), "epoch": curve(made, "epoch"),
            "eval": curve(made, "eval_loss"), "rows": len(found.predictions),
            "one": found.metrics["test_loss"]}


def averages(out: Path) -> dict[str, Any]:
    """The loss of one step, and the means of the batches of the ranks."""
    from tests.train.trainer.runs import curve

    made = make(out, table(4), max_steps=1, average_tokens_across_devices=False)
    with torch.no_grad():
        own = made.model(**next(iter(made.get_train_dataloader())))["loss"]
    each = made.ranks.gather(own).tolist()
    made.train()
    return {"loss": curve(made), "each": each}


def objects(out: Path) -> dict[str, Any]:
    """Predictions that are texts."""
    from enfold.train.trainer import Trainer

    class Texts(Trainer):
        def prediction_step(self, model: Any, inputs: Any, prediction_loss_only: bool,
                            ignore_keys: Any = None) -> Any:
            loss, _, labels = super().prediction_step(model, inputs, prediction_loss_only,
                                                      ignore_keys)
            return loss, [f"{row[0]}" for row in inputs["input_ids"].tolist()], labels

    made = make(out, None, kind=Texts, eval_use_gather_object=True)
    data = table(7)
    found = made.predict(data)
    return {"texts": found.predictions, "wanted": [str(ids[0]) for ids in data["input_ids"]]}


def nan(out: Path) -> dict[str, Any]:
    """Weights of rank 1 are no numbers in step 5: what each rank says."""
    try:
        dying(out, "nan")
    except FloatingPointError as error:
        said = [None, None]
        torch.distributed.all_gather_object(said, str(error))
        return {"said": said}
    raise RuntimeError("nobody noticed")


def killed(out: Path) -> dict[str, Any]:
    """Rank 1 is killed in step 5."""
    return dying(out, "killed")


def dying(out: Path, how: str) -> dict[str, Any]:
    from enfold.train.callbacks import TrainerCallback

    class Die(TrainerCallback):
        def on_step_begin(self, args: Any, state: Any, control: Any, model: Any = None,
                          **kwargs: Any) -> None:
            if state.global_step == 4 and args.process_index == 1:
                if how == "killed":
                    os.kill(os.getpid(), signal.SIGKILL)
                next(model.parameters()).data[:] = float("nan")

    make(out, table(40), callbacks=[Die()], max_steps=9, save_strategy="steps",
         save_steps=3).train()
    return {}


KINDS = {"uneven": uneven, "averages": averages, "objects": objects, "nan": nan, "killed": killed}


def main() -> None:
    torch.set_num_threads(1)
    out, *kinds = sys.argv[1:]
    for kind in kinds:
        found = KINDS[kind](Path(out) / kind)
        if os.environ.get("RANK", "0") == "0":
            (Path(out) / f"{kind}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
