"""What fsdp= asks for, the modules that are units, and what can't be meant."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from enfold.errors import ConfigError
from enfold.train.arguments import TrainingArguments
from enfold.train.parallel import Ranks
from enfold.train.parallel.ranks import join
from enfold.train.parallel.sharding import Plan, plan, units
from enfold.train.parallel.shell import Shell
from tests.families.pairs import fresh


def planned(folder: Path, fsdp: Any, config: dict[str, Any] | None = None,
            **others: Any) -> Plan | None:
    return plan(TrainingArguments(str(folder), use_cpu=True, fsdp=fsdp, fsdp_config=config,
                                  **others))


@pytest.mark.parametrize(("fsdp", "config", "wanted"), [
    ("", None, None), ("no_shard", None, None), (True, None, Plan()),
    ("full_shard", None, Plan()), ("full_shard auto_wrap", {}, Plan()),
    ("shard_grad_op", None, Plan(release=False)), ("hybrid_shard", None, Plan(within=True)),
    ("hybrid_shard_zero2", None, Plan(release=False, within=True)),
    ("full_shard offload", None, Plan(offload=True)),
    ("full_shard", {"cpu_offload": True, "reshard_after_forward": False, "version": 2},
     Plan(release=False, offload=True)),
    ("full_shard", {"fsdp_transformer_layer_cls_to_wrap": "A,B"}, Plan(classes=("A", "B"))),
    ("full_shard", {"transformer_layer_cls_to_wrap": ["A"], "min_num_params": 9},
     Plan(classes=("A",), smallest=9)),
    ("full_shard", {"state_dict_type": "SHARDED_STATE_DICT"}, Plan(pieces=True)),
])
def test_words(tmp_path: Path, fsdp: Any, config: Any, wanted: Plan | None) -> None:
    assert planned(tmp_path, fsdp, config) == wanted


@pytest.mark.parametrize(("config", "others", "error", "message"), [
    ({"transformer_layer_cls_to_rap": "A"}, {}, ConfigError,
     "fsdp_config has 'transformer_layer_cls_to_rap' .nearest: 'transformer_layer_cls_to_wrap'"),
    ({"version": 1}, {}, NotImplementedError, r"version=1 is not implemented. Do: leave it out"),
    ({"activation_checkpointing": True}, {}, NotImplementedError, "gradient_checkpointing=True"),
    ({"state_dict_type": "LOCAL"}, {}, ConfigError, "state_dict_type is 'LOCAL', expected FULL"),
    ({}, {"fp16": True}, NotImplementedError, "fsdp with fp16=True .* Do: bf16=True"),
])
def test_what_can_not_be_meant(tmp_path: Path, config: Any, others: dict[str, Any],
                               error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        planned(tmp_path, "full_shard", config, **others)


def names(model: nn.Module, **given: Any) -> list[str]:
    shell = Shell(model)
    paths = {id(module): path for path, module in shell.named_modules()}
    return [paths[id(module)] for module in units(shell, Plan(**given))]


def test_units() -> None:
    model = fresh("t5", "ForConditionalGeneration").ours
    blocks = [f"model.body.{side}.layers.{n}" for side, count in
              (("encoder", 2), ("decoder", 3)) for n in range(count)]
    assert names(model) == blocks
    assert names(model, classes=("TransformerBlock",)) == blocks
    assert names(model, smallest=10**9) == []
    assert names(model, classes=("Shell",)) == []
    nested = nn.Sequential(nn.ModuleList([nn.ModuleList([nn.Linear(2, 2)]), nn.ReLU()]))
    assert names(nested) == ["model.0.0"]
    with pytest.raises(ConfigError, match=r"\('Layer',\), and no module is such; expected some of "
                                          r".*'TransformerBlock'"):
        names(model, classes=("Layer",))


def test_a_shell_shows_every_weight_once() -> None:
    model = fresh("llama", "ForCausalLM").ours
    shell = Shell(model)
    assert sorted(map(id, shell.parameters())) == sorted(map(id, model.parameters()))
    assert shell.config is model.config
    shell.train()
    assert model.training and model.body.training
    with pytest.raises(AttributeError):
        _ = shell.nothing_of_the_kind


def test_one_process_is_left_alone(tmp_path: Path) -> None:
    ranks = Ranks(TrainingArguments(str(tmp_path), use_cpu=True, fsdp="full_shard"))
    model, number = nn.Linear(2, 2), torch.tensor(3)
    assert (ranks.rank, ranks.world_size, ranks.main, ranks.sharded) == (0, 1, True, False)
    assert ranks.wrap(model) is model
    assert ranks.sum(number) is number and ranks.gather(number) is number
    ranks.barrier()
    with ranks.no_sync(model), ranks.whole(model):
        pass


def test_more_processes_than_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ConfigError, match="4 processes on a machine with 2 GPUs.* --nproc-per-node "
                                          "2, or TrainingArguments"):
        join(SimpleNamespace(device=torch.device("cuda", 1)))
