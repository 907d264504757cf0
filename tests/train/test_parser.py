"""EnfoldArgumentParser reads what HfArgumentParser reads."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, List, Literal, Optional, Union  # noqa: UP035 - as people write them

import pytest
import transformers

from enfold.errors import ConfigError, InputError
from enfold.train.arguments import Seq2SeqTrainingArguments, TrainingArguments
from enfold.train.parser import EnfoldArgumentParser, HfArg, HfArgumentParser


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Model:
    name: str
    size: int = 3
    rate: float = 0.5
    path: Optional[str] = None  # noqa: UP045
    layers: Optional[List[int]] = None  # noqa: UP006, UP045
    words: list[str] = field(default_factory=lambda: ["a", "b"], metadata={"help": "100% words"})
    fast: bool = False
    safe: bool = True
    maybe: Optional[bool] = None  # noqa: UP045
    colour: Colour = Colour.RED
    side: Literal["left", "right", 3] = "left"
    either: Union[int, str, None] = None  # noqa: UP007
    short: int = HfArg(default=1, aliases="-s", help="a short one")
    kept: int = field(default=0, init=False)


@dataclass
class Data:
    data_file: str = "x.csv"


LINES = [
    "--name n",
    "--name n --size 4 --rate 1e-3 --path p",
    "--name n --layers 1 2 3 --words x",
    "--name n --fast",
    "--name n --fast false --safe false",
    "--name n --no_safe",
    "--name n --no-safe",
    "--name n --maybe yes",
    "--name n --maybe 0",
    "--name n --side 3",
    "--name n --side right --either 3 -s 5",
    "--name n --data-file d",
    "--name=n --data_file=d",
]


@pytest.mark.parametrize("line", LINES)
def test_a_line_is_read_as_theirs(line: str) -> None:
    mine, theirs = (
        kind([Model, Data]).parse_args_into_dataclasses(line.split())
        for kind in (EnfoldArgumentParser, transformers.HfArgumentParser)
    )
    assert mine == theirs


def test_enums_come_by_value() -> None:
    (mine,) = EnfoldArgumentParser(Model).parse_args_into_dataclasses(
        ["--name", "n", "--colour", "blue"]
    )
    assert mine.colour == "blue"


@pytest.mark.parametrize(
    "line", ["--size 3", "--name n --size x", "--name n --colour green", "--name n --fast perhaps"]
)
def test_argparse_says_what_is_wrong(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        EnfoldArgumentParser(Model).parse_args_into_dataclasses(line.split())
    assert "error" in capsys.readouterr().err


def test_unknown_words_raise_or_come_back() -> None:
    parser = EnfoldArgumentParser([Data])
    with pytest.raises(InputError, match="no field for ..--odd"):
        parser.parse_args_into_dataclasses(["--odd", "1"])
    data, rest = parser.parse_args_into_dataclasses(["--odd", "1"], return_remaining_strings=True)
    assert data == Data() and rest == ["--odd", "1"]


def test_options_added_by_hand_come_in_a_namespace() -> None:
    parser = EnfoldArgumentParser(Data)
    parser.add_argument("--extra", type=int)
    data, others = parser.parse_args_into_dataclasses(["--extra", "3", "--data_file", "y"])
    assert data.data_file == "y" and others.extra == 3


def test_words_come_from_files_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "run.args").write_text("--name file --size 7")
    (tmp_path / "more.args").write_text("--size 8")
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "run.py"), "--rate", "2"])
    (model,) = EnfoldArgumentParser(Model).parse_args_into_dataclasses()
    assert (model.name, model.size, model.rate) == ("file", 7, 2.0)
    words = ["--more", str(tmp_path / "more.args"), "--path", "p"]
    (model,) = EnfoldArgumentParser(Model).parse_args_into_dataclasses(
        words, args_file_flag="--more"
    )
    assert (model.size, model.path) == (8, "p")
    (model,) = EnfoldArgumentParser(Model).parse_args_into_dataclasses(
        ["--name", "w"], look_for_args_file=False
    )
    assert model.size == 3


@pytest.mark.parametrize("how", ["dict", "json", "yaml"])
def test_dicts_and_files(how: str, tmp_path: Path) -> None:
    values: dict[str, Any] = {"name": "n", "layers": [1, 2], "data_file": "d", "fast": True}
    parser, file = EnfoldArgumentParser((Model, Data)), tmp_path / f"f.{how}"
    file.write_text(json.dumps(values))  # JSON is YAML
    parse: Any = getattr(parser, f"parse_{how}" + ("" if how == "dict" else "_file"))
    given = values if how == "dict" else file
    assert parse(given) == (Model("n", layers=[1, 2], fast=True), Data("d"))
    values["data_fil"] = 1
    file.write_text(json.dumps(values))
    with pytest.raises(InputError, match="'data_fil' .nearest: 'data_file'"):
        parse(given)
    assert parse(given, allow_extra_keys=True)[1] == Data("d")


@pytest.mark.parametrize(("how", "text"), [("json", "{"), ("yaml", "a: [")])
def test_damaged_files_are_named(how: str, text: str, tmp_path: Path) -> None:
    file = tmp_path / f"bad.{how}"
    file.write_text(text)
    with pytest.raises(ConfigError, match=f"bad.{how}: not"):
        getattr(EnfoldArgumentParser(Data), f"parse_{how}_file")(file)
    file.write_text("[1]")
    with pytest.raises(ConfigError, match="got a list, expected names with values"):
        getattr(EnfoldArgumentParser(Data), f"parse_{how}_file")(file)


def test_training_arguments_from_the_command_line() -> None:
    line = (
        "--output_dir out --evaluation_strategy steps --warmup_ratio 0.1 --no_cuda --fp16 false "
        "--learning-rate 3e-4 --optim sgd --optim_args momentum=0.9 --label_names a b "
        '--lr_scheduler_type cosine_with_restarts --lr_scheduler_kwargs {"num_cycles":2} '
        "--gradient_checkpointing --report_to none --no_dataloader_pin_memory --fsdp full_shard"
    )
    args, data = EnfoldArgumentParser([TrainingArguments, Data]).parse_args_into_dataclasses(
        line.split()
    )
    assert (args.eval_strategy, args.warmup_steps, args.use_cpu) == ("steps", 0.1, True)
    assert (args.learning_rate, args.optim, args.label_names) == (3e-4, "sgd", ["a", "b"])
    assert args.lr_scheduler_kwargs == {"num_cycles": 2}
    assert args.gradient_checkpointing and args.fsdp == ["full_shard"]
    assert data == Data()


def test_training_arguments_from_a_dict_take_older_names() -> None:
    values = {"output_dir": "o", "evaluation_strategy": "epoch", "data_file": "d", "no_cuda": True}
    args, data = HfArgumentParser((Seq2SeqTrainingArguments, Data)).parse_dict(values)
    assert args.eval_strategy == "epoch" and args.use_cpu and data.data_file == "d"


def test_help_shows_every_field(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        EnfoldArgumentParser([Model, Seq2SeqTrainingArguments]).parse_args(["--help"])
    shown = capsys.readouterr().out
    for name in ("--short", "-s", "100% words", "--eval_strategy", "--evaluation_strategy"):
        assert name in shown


def test_a_type_of_many_raises() -> None:
    @dataclass
    class Odd:
        x: int | float = 1

    with pytest.raises(InputError, match="'x' is of type int . float; expected one type"):
        EnfoldArgumentParser(Odd)


def test_a_type_out_of_reach_raises() -> None:
    class Local:
        pass

    @dataclass
    class Odd:
        x: Optional[Local] = None  # noqa: UP045

    with pytest.raises(InputError, match="Odd: can't tell the type of a field"):
        EnfoldArgumentParser(Odd)
