"""Every name of transformers' TrainingArguments, of both versions, with 5.x's defaults."""

from __future__ import annotations

import ast
import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import enfold
from enfold.errors import ArgumentError, InputError
from enfold.train.arguments import Seq2SeqTrainingArguments, TrainingArguments
from enfold.train.arguments.limits import HELD, LIMITS, RETIRED, SCRIPTS
from enfold.train.arguments.older import OLDER

LIST = """
import dataclasses, json
from transformers import Seq2SeqTrainingArguments
fields = {}
for f in dataclasses.fields(Seq2SeqTrainingArguments):
    if f.init:
        default = f.default_factory() if f.default is dataclasses.MISSING else f.default
        fields[f.name] = getattr(default, "value", default)
print(json.dumps(fields))
"""
TENSORBOARD = {"report_to"}  # 5.x: none; here: TensorBoard where it is installed


@pytest.fixture(scope="module")
def newest() -> dict[str, object]:
    command = [sys.executable, "-c", LIST]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def older(oracle457: Callable[..., dict[str, object]]) -> dict[str, object]:
    return oracle457(LIST)


def accepts_all(defaults: dict[str, object]) -> None:
    Seq2SeqTrainingArguments(**defaults)
    for name, value in defaults.items():
        Seq2SeqTrainingArguments(**{name: value})


def test_every_name_of_5_is_taken_with_its_default(newest: dict[str, object]) -> None:
    accepts_all(newest)


def test_every_name_of_4_57_is_taken_with_its_default(older: dict[str, object]) -> None:
    accepts_all(older)


def test_defaults_are_those_of_5(newest: dict[str, object]) -> None:
    mine = {}
    for field in dataclasses.fields(Seq2SeqTrainingArguments):
        missing = field.default is dataclasses.MISSING
        mine[field.name] = field.default_factory() if missing else field.default  # type: ignore
    mine |= {name: rule.default for name, rule in OLDER.items() if name in newest}
    different = {name for name in newest if name not in mine or mine[name] != newest[name]}
    assert different == TENSORBOARD


def test_no_name_is_ours_alone(newest: dict[str, object], older: dict[str, object]) -> None:
    mine = {field.name for field in dataclasses.fields(Seq2SeqTrainingArguments)}
    assert mine - {"max_tokens_per_batch"} <= set(newest) | set(older)


PAIRS = [
    ("evaluation_strategy", "epoch", "eval_strategy", "epoch"),
    ("warmup_ratio", 0.1, "warmup_steps", 0.1),
    ("no_cuda", True, "use_cpu", True),
    ("per_gpu_train_batch_size", 4, "per_device_train_batch_size", 4),
    ("per_gpu_eval_batch_size", 4, "per_device_eval_batch_size", 4),
    ("gradient_checkpointing", True, "activation_checkpointing", True),
    (
        "gradient_checkpointing_kwargs",
        {"use_reentrant": False},
        "activation_checkpointing_kwargs",
        {"use_reentrant": False},
    ),
    ("torchdynamo", "eager", "torch_compile_backend", "eager"),
    ("adafactor", True, "optim", "adafactor"),
    ("group_by_length", True, "train_sampling_strategy", "group_by_length"),
    ("include_inputs_for_metrics", True, "include_for_metrics", ["inputs"]),
    ("push_to_hub_token", "t", "hub_token", "t"),
    ("push_to_hub_model_id", "me/m", "hub_model_id", "me/m"),
    ("fsdp_min_num_params", 100, "fsdp_config", {"min_num_params": 100}),
    (
        "fsdp_transformer_layer_cls_to_wrap",
        "Block",
        "fsdp_config",
        {"transformer_layer_cls_to_wrap": "Block"},
    ),
]


def test_every_older_name_is_in_the_table_below() -> None:
    assert {pair[0] for pair in PAIRS} == set(OLDER) - {"push_to_hub_organization"}


@pytest.mark.parametrize(("old", "value", "new", "same"), PAIRS)
def test_both_spellings_are_one_value(old: str, value: object, new: str, same: object) -> None:
    by_old, by_new = TrainingArguments("o", **{old: value}), TrainingArguments("o", **{new: same})
    both = TrainingArguments("o", **{old: value, new: same})
    assert getattr(by_old, new) == getattr(by_new, new) == getattr(both, new) == same
    assert getattr(by_old, old) == getattr(by_new, old) == value
    copied = dataclasses.replace(by_old)
    assert getattr(copied, new) == same


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"evaluation_strategy": "epoch", "eval_strategy": "steps"}, "eval_strategy='steps'"),
        ({"no_cuda": True, "use_cpu": False}, "use_cpu=False"),
        ({"warmup_ratio": 0.1, "warmup_steps": 50}, "warmup_steps=50"),
        ({"adafactor": True, "optim": "sgd"}, "optim='sgd'"),
        ({"gradient_checkpointing": True, "activation_checkpointing": False}, "=False"),
        ({"fsdp_min_num_params": 1, "fsdp_config": {"min_num_params": 2}}, "fsdp_config="),
    ],
)
def test_spellings_that_differ_raise(given: dict[str, object], named: str) -> None:
    with pytest.raises(InputError, match="contradicts") as raised:
        TrainingArguments("o", **given)
    assert named in str(raised.value)


def test_what_says_nothing_gives_way() -> None:
    args = TrainingArguments("o", warmup_ratio=0.0, warmup_steps=50, no_cuda=False, use_cpu=True)
    assert args.warmup_steps == 50 and args.use_cpu
    args = TrainingArguments("o", warmup_ratio=0.1, warmup_steps=0)
    assert args.warmup_steps == 0.1


def test_the_hub_name_has_its_owner() -> None:
    joined = {"push_to_hub_organization": "us", "push_to_hub_model_id": "m"}
    assert TrainingArguments("o", **joined).hub_model_id == "us/m"
    assert TrainingArguments("x/run", push_to_hub_organization="us").hub_model_id == "us/run"


def test_a_subclass_may_declare_an_older_name() -> None:
    @dataclasses.dataclass
    class Mine(TrainingArguments):
        gradient_checkpointing: bool = True
        extra: int = 3

    assert Mine("o").activation_checkpointing is True
    assert Mine("o", gradient_checkpointing=False).activation_checkpointing is False
    assert Mine("o", no_cuda=True, extra=4).use_cpu
    assert "secret" not in repr(Mine("o", hub_token="secret"))
    with pytest.raises(ArgumentError, match="extraa"):
        Mine("o", extraa=1)


OTHERS: dict[str, object] = {
    "fp16_opt_level": "O2", "mp_parameters": "x", "past_index": 0, "ray_scope": "all",
    "tpu_num_cores": 8, "half_precision_backend": "apex", "fp16_backend": "apex",
    "optim_target_modules": "all-linear", "skip_memory_metrics": False, "_n_gpu": 4,
    "debug": "underflow_overflow", "project": "mine",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(LIMITS | RETIRED))
def test_what_is_not_implemented_raises_by_name(name: str) -> None:
    value = OTHERS.get(name, True)
    with pytest.raises(NotImplementedError, match=f"{name}=.*not implemented: .*Leave {name} out"):
        Seq2SeqTrainingArguments("o", **{name: value})


@pytest.mark.parametrize("name", sorted(HELD))
def test_what_is_so_anyway_is_taken(name: str) -> None:
    for value in (True, False):
        TrainingArguments("o", **{name: value})


ELSEWHERE = {  # how a field takes effect that no line of the Trainer reads
    "tf32": "set on torch by arguments/checking.py", "local_rank": "arguments/place.py",
    "accelerator_config": "checked: what it may say is so anyway",
    "log_level": "arguments/place.py",
    "log_level_replica": "arguments/place.py", "log_on_each_node": "arguments/place.py",
    "save_on_each_node": "arguments/place.py", "use_cpu": "arguments/place.py",
    "per_device_eval_batch_size": "arguments/place.py, as eval_batch_size",
    "ddp_timeout": "arguments/place.py, as ddp_timeout_delta",
    "warmup_steps": "arguments/place.py, as get_warmup_steps",
}


def read_names(folder: Path) -> set[str]:
    """Attributes that are read, and words, in the files of a folder but those of arguments/."""
    found: set[str] = set()
    for file in folder.rglob("*.py"):
        if file.parent.name != "arguments":
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                    found.add(node.attr)
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.add(node.value)
    return found


def test_every_field_takes_effect_or_is_in_a_table() -> None:
    package = Path(enfold.__file__).parent
    read = read_names(package / "train") | {*LIMITS, *HELD, *SCRIPTS, *ELSEWHERE}
    fields = {field.name for field in dataclasses.fields(Seq2SeqTrainingArguments)}
    assert not fields - read, "nothing reads these"
    assert ELSEWHERE.keys() <= fields
    place = (package / "train" / "arguments" / "place.py").read_text()
    assert all(f"self.{name}" in place for name, where in ELSEWHERE.items() if "place" in where)


def test_an_unknown_name_names_its_neighbours() -> None:
    with pytest.raises(ArgumentError, match="'lerning_rate' .nearest: 'learning_rate'"):
        TrainingArguments("o", lerning_rate=1)
