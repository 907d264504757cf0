"""What TrainingArguments makes of values: enums, defaults that follow, checks, export."""

from __future__ import annotations

import dataclasses
import json
import pickle
from pathlib import Path

import pytest
import torch

from enfold.errors import InputError
from enfold.train.arguments import (
    IntervalStrategy,
    OptimizerNames,
    ParallelMode,
    SaveStrategy,
    SchedulerType,
    Seq2SeqTrainingArguments,
    TrainingArguments,
)


def test_words_become_enums_that_equal_them() -> None:
    args = TrainingArguments("o", eval_strategy="steps", save_strategy="best", optim="sgd")
    assert args.eval_strategy is IntervalStrategy.STEPS and args.eval_strategy == "steps"
    assert args.save_strategy is SaveStrategy.BEST
    assert args.optim is OptimizerNames.SGD
    assert args.lr_scheduler_type is SchedulerType.LINEAR


def test_defaults_follow_from_others() -> None:
    args = TrainingArguments(
        "~/o", eval_strategy="steps", logging_steps=7, load_best_model_at_end=True, report_to="none"
    )
    assert args.eval_steps == 7 and args.do_eval
    assert args.metric_for_best_model == "loss" and args.greater_is_better is False
    assert args.output_dir == str(Path.home() / "o")
    assert str(args.logging_dir).startswith(f"{args.output_dir}/runs/")
    assert args.report_to == []
    assert TrainingArguments().output_dir == "trainer_output"
    best = {"load_best_model_at_end": True, "eval_strategy": "epoch"}
    assert TrainingArguments("o", metric_for_best_model="f1", **best).greater_is_better is True
    assert TrainingArguments("o", torch_compile_mode="max-autotune").torch_compile_backend
    assert TrainingArguments("o", use_cpu=True).dataloader_pin_memory is False
    assert (
        TrainingArguments("o", include_num_input_tokens_seen=True).to_dict()[
            "include_num_input_tokens_seen"
        ]
        == "all"
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"eval_strategy": "sometimes"}, "IntervalStrategy: got 'sometimes', expected one of"),
        ({"optim": "adamm"}, "OptimizerNames: got 'adamm'"),
        ({"fp16": True, "bf16": True}, "fp16=True and bf16=True; choose one"),
        ({"fp16_full_eval": True, "bf16_full_eval": True}, "choose one"),
        ({"load_best_model_at_end": True}, "set eval_strategy"),
        ({"save_strategy": "best"}, "set eval_strategy"),
        ({"lr_scheduler_type": "reduce_lr_on_plateau"}, "set eval_strategy"),
        ({"logging_steps": 2.5}, "logging_steps=2.5 .*expected a whole number"),
        ({"save_steps": 0}, "save_steps=0"),
        ({"warmup_steps": -1}, "warmup_steps=-1; expected a number of at least 0"),
        ({"per_device_train_batch_size": 0}, "expected a number of at least 1"),
        ({"learning_rate": "1e-4"}, "learning_rate='1e-4'; expected a number"),
        ({"dataloader_prefetch_factor": 2}, "set dataloader_num_workers to 1 or more"),
        ({"tf32": True, "use_cpu": True}, "tf32=True on cpu; it is for NVIDIA GPUs"),
        ({"log_level": "loud"}, "log_level='loud'; expected one of"),
        ({"train_sampling_strategy": "best"}, "expected one of .'random'"),
        ({"lr_scheduler_kwargs": "{bad"}, "give a dict or a JSON file"),
        ({"fsdp_config": "no/such.json"}, "give a dict or a JSON file"),
        ({"fsdp": "all_of_it"}, "FSDPOption: got 'all_of_it'"),
        ({"accelerator_config": {"odd": 1}}, "accelerator_config.'odd'.*expected one of"),
    ],
)
def test_what_cannot_be_meant_raises(given: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        TrainingArguments("o", **given)


def test_accelerate_settings_that_change_nothing_pass() -> None:
    TrainingArguments("o", accelerator_config={"even_batches": True, "split_batches": False})
    with pytest.raises(NotImplementedError, match="accelerator_config.'split_batches'.=True"):
        TrainingArguments("o", accelerator_config='{"split_batches": "true"}')


def test_dictionaries_come_as_json_too(tmp_path: Path) -> None:
    file = tmp_path / "fsdp.json"
    file.write_text('{"fsdp_min_num_params": 3}')
    args = TrainingArguments(
        "o",
        lr_scheduler_kwargs='{"num_cycles": "2", "x": "1.5", "y": "true"}',
        fsdp="full_shard offload",
        fsdp_config=str(file),
    )
    assert args.lr_scheduler_kwargs == {"num_cycles": 2, "x": 1.5, "y": True}
    assert args.fsdp_config == {"min_num_params": 3}
    assert args.fsdp == ["full_shard", "offload"]
    assert (
        TrainingArguments("o", fsdp=True).fsdp is True and not TrainingArguments("o", fsdp="").fsdp
    )


def test_any_cadence_goes_with_the_best_model() -> None:
    args = TrainingArguments(
        "o", load_best_model_at_end=True, eval_strategy="epoch", save_strategy="steps"
    )
    assert args.load_best_model_at_end


def test_export_masks_tokens_and_keeps_the_rest() -> None:
    args = Seq2SeqTrainingArguments(
        "o", hub_token="secret", optim="sgd", include_for_metrics=["loss"]
    )
    exported = args.to_dict()
    assert exported["hub_token"] == "<HUB_TOKEN>" and exported["optim"] == "sgd"
    assert json.loads(args.to_json_string()) == exported
    assert "secret" not in str(args) + repr(args) + args.to_json_string()
    flat = args.to_sanitized_dict()
    assert flat["train_batch_size"] == 8
    assert {type(value) for value in flat.values()} <= {bool, int, float, str}
    del exported["hub_token"]
    again = Seq2SeqTrainingArguments(**exported, hub_token="secret")
    assert again == args


def test_copies_are_equal() -> None:
    args = TrainingArguments("o", warmup_ratio=0.1)
    assert pickle.loads(pickle.dumps(args)) == args == dataclasses.replace(args)


def test_where_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    args = TrainingArguments("o", use_cpu=True)
    assert args.device == torch.device("cpu") and args.n_gpu == 0
    assert (args.world_size, args.process_index, args.local_process_index) == (1, 0, 0)
    assert args.parallel_mode is ParallelMode.NOT_PARALLEL
    assert args.should_save and args.should_log and args.place_model_on_device is None
    with args.main_process_first():
        pass
    for name, value in {"WORLD_SIZE": "4", "RANK": "2", "LOCAL_RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    assert (args.world_size, args.process_index, args.local_process_index) == (4, 2, 0)
    assert args.parallel_mode is ParallelMode.DISTRIBUTED
    assert not args.should_save and args.should_log  # logs once on each machine
    assert args.get_process_log_level() == TrainingArguments("o").get_process_log_level()


@pytest.mark.parametrize(
    ("given", "steps"),
    [
        ({"warmup_steps": 30}, 30),
        ({"warmup_ratio": 0.1}, 21),
        ({"warmup_ratio": 1.0}, 205),
        ({}, 0),
    ],
)
def test_warmup_is_steps_or_a_fraction(given: dict[str, float], steps: int) -> None:
    assert TrainingArguments("o", **given).get_warmup_steps(205) == steps


def test_setters_set_and_check() -> None:
    args = (
        TrainingArguments("o")
        .set_training(learning_rate=1e-3, batch_size=4, num_epochs=2, gradient_checkpointing=True)
        .set_evaluate("steps", steps=5, batch_size=6)
        .set_testing(batch_size=7)
        .set_save("epoch", total_limit=2)
        .set_logging(steps=9, level="info")
        .set_push_to_hub("me/m", token="t")
        .set_optimizer("sgd", learning_rate=0.1)
        .set_lr_scheduler("cosine", warmup_steps=0.2)
        .set_dataloader(train_batch_size=3, num_workers=2, sampler_seed=1)
    )
    assert args.do_train and args.do_eval and args.do_predict and args.push_to_hub
    assert (args.per_device_train_batch_size, args.per_device_eval_batch_size) == (3, 8)
    assert args.optim is OptimizerNames.SGD and args.lr_scheduler_type is SchedulerType.COSINE
    assert (args.save_strategy, args.save_total_limit, args.data_seed) == ("epoch", 2, 1)
    before = dataclasses.asdict(args)
    with pytest.raises(InputError, match="save_steps=0"):
        args.set_save("steps", steps=0)
    assert dataclasses.asdict(args) == before
