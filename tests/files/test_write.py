"""Saving: huggingface's names and bytes, the older checkpoint safe until the new one is whole."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from enfold.errors import CheckpointError, FileMissing
from enfold.files import atomic_folder_write, open_checkpoint, write_checkpoint, write_json

NAMES = [f"model-0000{n}-of-00003.safetensors" for n in (1, 2, 3)]


def state(value: float = 1.0) -> dict[str, torch.Tensor]:
    return {name: torch.full((4,), float(value)) for name in ("a", "b", "c")}


def listed(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def values(folder: Path) -> set[float]:
    return {v for tensor in open_checkpoint(folder).items() for v in tensor[1].tolist()}


def test_one_file(tmp_path: Path) -> None:
    assert write_checkpoint(tmp_path / "m", state()) == ["model.safetensors"]
    assert listed(tmp_path / "m") == ["model.safetensors"]
    assert all(torch.equal(t, torch.ones(4)) for t in
               load_file(tmp_path / "m/model.safetensors").values())
    assert open_checkpoint(tmp_path / "m").metadata == {"format": "pt"}


def test_shards(tmp_path: Path) -> None:
    names = write_checkpoint(tmp_path, state(), max_shard_size=16)
    assert names == [*NAMES, "model.safetensors.index.json"]
    assert listed(tmp_path) == names
    text = (tmp_path / "model.safetensors.index.json").read_text()
    assert json.loads(text) == {"metadata": {"total_parameters": 12, "total_size": 48},
                                "weight_map": dict(zip("abc", NAMES, strict=True))}
    assert text == json.dumps(json.loads(text), indent=2, sort_keys=True) + "\n"
    assert values(tmp_path) == {1.0}


def test_pickles_and_variants(tmp_path: Path) -> None:
    assert write_checkpoint(tmp_path, state(), safe=False) == ["pytorch_model.bin"]
    assert set(torch.load(tmp_path / "pytorch_model.bin")) == {"a", "b", "c"}
    names = write_checkpoint(tmp_path, state(2), variant="fp16", max_shard_size="32")
    assert names == ["model.fp16-00001-of-00002.safetensors",
                     "model.fp16-00002-of-00002.safetensors", "model.safetensors.index.fp16.json"]
    assert open_checkpoint(tmp_path, variant="fp16").get("a")[0] == 2
    assert values(tmp_path) == {1.0}  # the plain one stays


def test_pickle_of_a_view_is_small(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, {"a": torch.zeros(1_000_000)[:4]}, safe=False)
    assert (tmp_path / "pytorch_model.bin").stat().st_size < 10_000


def test_saved_again_it_is_the_same_file(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "one", state())
    write_checkpoint(tmp_path / "two", open_checkpoint(tmp_path / "one"))
    one, two = ((tmp_path / n / "model.safetensors").read_bytes() for n in ("one", "two"))
    assert one == two


def test_onto_itself_while_mapped(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, state(1))
    mapped = open_checkpoint(tmp_path).get("a")
    write_checkpoint(tmp_path, {"a": mapped, "b": torch.full((4,), 5.0)})
    assert mapped.tolist() == [1] * 4
    write_checkpoint(tmp_path, state(7))
    assert mapped.tolist() == [1] * 4
    assert values(tmp_path) == {7.0}


def test_transformers_reads_it(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig(hidden_size=8, num_hidden_layers=2, num_attention_heads=2,
                                     intermediate_size=8, vocab_size=20)
    model = transformers.BertModel(config)
    model.save_pretrained(tmp_path / "theirs", max_shard_size="4KB")
    write_checkpoint(tmp_path / "ours", model.state_dict(), max_shard_size="4KB",
                     total_parameters=model.num_parameters())
    config.save_pretrained(tmp_path / "ours")
    for name in listed(tmp_path / "theirs"):
        if "safetensors" in name:
            ours = (tmp_path / "ours" / name).read_bytes()
            assert ours == (tmp_path / "theirs" / name).read_bytes(), name
    again = transformers.BertModel.from_pretrained(tmp_path / "ours")
    for name, tensor in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor)


@pytest.mark.parametrize("first", ["one", "shards", "more", "bin", "bin shards"])
@pytest.mark.parametrize("second", ["one", "shards", "bin", "bin shards"])
def test_what_was_saved_last_is_what_loads(tmp_path: Path, first: str, second: str) -> None:
    sizes = {"one": "1GB", "shards": 32, "more": 16, "bin": "1GB", "bin shards": 16}
    write_json(tmp_path / "config.json", {"old": 1})
    (tmp_path / "training_args.bin").write_text("not weights")
    for value, kind in ((1, first), (2, second)):
        write_checkpoint(tmp_path, state(value), max_shard_size=sizes[kind],
                         safe="bin" not in kind)
    assert values(tmp_path) == {2.0}
    left = [n for n in listed(tmp_path) if n not in ("config.json", "training_args.bin")]
    assert (tmp_path / "training_args.bin").exists()
    assert not [n for n in left if "old" in n or n.startswith(".")]
    with atomic_folder_write(tmp_path / "clean") as clean:
        wanted = write_checkpoint(clean, state(2), max_shard_size=sizes[second],
                                  safe="bin" not in second)
    stale = [n for n in left if n not in wanted]
    assert all("bin" in n for n in stale) and ("bin" in first) >= bool(stale)  # read after ours


def test_folder_is_taken_over_at_once(tmp_path: Path) -> None:
    target = tmp_path / "m"
    with atomic_folder_write(target) as staging:
        write_json(staging / "config.json", {})
        (staging / "sub").mkdir()
        write_json(staging / "sub" / "x.json", {})
        write_checkpoint(staging, state())
        assert listed(target) == [staging.name]
    assert listed(target) == ["config.json", "model.safetensors", "sub"]
    assert (target / "sub" / "x.json").exists()


def test_an_error_changes_nothing(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "m", state(1), max_shard_size=16)
    before = listed(tmp_path / "m")
    for folder in (tmp_path / "m", tmp_path / "new"):
        with pytest.raises(ZeroDivisionError):
            save_half(folder)
    assert listed(tmp_path / "m") == before
    assert values(tmp_path / "m") == {1.0}
    assert not (tmp_path / "new").exists()


def save_half(folder: Path) -> None:
    with atomic_folder_write(folder) as staging:
        write_checkpoint(staging, state(2), max_shard_size=16)
        raise ZeroDivisionError


def test_leftovers_of_killed_saves_are_swept(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    for pid in (dead.pid, os.getpid()):
        (tmp_path / f".enfold-saving-{pid}-x").mkdir()
    (tmp_path / f".enfold-saving-{dead.pid}-y").write_text("half a file")
    write_checkpoint(tmp_path, state())
    assert listed(tmp_path) == [f".enfold-saving-{os.getpid()}-x", "model.safetensors"]


def test_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise PermissionError(1, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    for value in (1, 2):
        write_checkpoint(tmp_path, state(value), max_shard_size=16)
    assert values(tmp_path) == {2.0}
    assert listed(tmp_path) == [*NAMES, "model.safetensors.index.json"]


KILLED = """
import json, os, shutil, sys
from pathlib import Path
import torch
from safetensors.torch import load_file
from enfold.files import atomic_folder_write, open_checkpoint, write_checkpoint, write_json

os.fsync = lambda handle: None  # a killed process loses nothing that it wrote
target, first, second = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
EVENTS = {"open", "os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir", "os.scandir"}

def save(value, size):
    tensors = {name: torch.full((4,), value) for name in "abc"}
    with atomic_folder_write(target) as staging:
        write_json(staging / "config.json", {"model_type": "x"})
        write_checkpoint(staging, tensors, max_shard_size=size)

def die_at(step):
    left = [step]
    def hook(event, args):
        if event in EVENTS and str(target) in str(args):
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), 9)
    sys.addaudithook(hook)

def plainly(folder):  # as the safetensors library's users read
    if (folder / "model.safetensors").exists():
        return load_file(folder / "model.safetensors")
    weights = json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"]
    return {k: load_file(folder / shard)[k] for k, shard in weights.items()}

seen, step = [], 0
while True:
    step += 1
    shutil.rmtree(target, ignore_errors=True)
    save(1.0, first)
    child = os.fork()
    if not child:
        die_at(step)
        save(2.0, second)
        os._exit(0)
    killed = os.waitpid(child, 0)[1] == 9
    ours = {x for _, t in open_checkpoint(target).items() for x in t.tolist()}
    theirs = {x for t in plainly(target).values() for x in t.tolist()}
    assert ours == theirs and ours in ({1.0}, {2.0}), (step, ours, theirs)
    assert json.loads((target / "config.json").read_text()) == {"model_type": "x"}
    seen.append(ours.pop())
    save(3.0, second)  # and a later save cleans up
    names = sorted(p.name for p in target.iterdir())
    assert {x for _, t in open_checkpoint(target).items() for x in t.tolist()} == {3.0}
    assert not [n for n in names if "old" in n or n[0] == "."], names
    if not killed:
        break
assert seen == sorted(seen) and seen[0] == 1.0 and seen[-1] == 2.0, seen
print(len(seen))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize(("first", "second"), [(16, 16), (1000, 16), (16, 1000),
                                               (1000, 1000)])
def test_killed_at_every_step(tmp_path: Path, python: Callable[..., Any], first: int,
                              second: int) -> None:
    done = python("-c", KILLED, tmp_path / "m", first, second)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 10  # so many moments were tried


@pytest.mark.parametrize("size", [400, 16_000])
def test_full_disk(tmp_path: Path, size: int) -> None:
    write_checkpoint(tmp_path, state(1), max_shard_size=16)
    before = listed(tmp_path)
    big = {name: torch.zeros(size) for name in "abc"}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            write_checkpoint(tmp_path, big)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, old)
    assert listed(tmp_path) == before
    assert values(tmp_path) == {1.0}


def test_too_little_space_is_said_before_writing(tmp_path: Path,
                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("usage", (), {"free": 10})
    monkeypatch.setattr("shutil.disk_usage", lambda folder: usage)
    with pytest.raises(OSError, match=r"can't save 48 bytes: the disk has 10 left, and the older "
                                      r"checkpoint stays until the new one is complete"):
        write_checkpoint(tmp_path, state())
    assert listed(tmp_path) == []


def shared() -> dict[str, torch.Tensor]:
    whole = torch.zeros(10)
    return {"a": whole[:6], "other": torch.zeros(3), "b": whole[5:]}


@pytest.mark.parametrize(("tensors", "message"), [
    (shared, "can't save: 'a' and 'b' share memory. Expected tied tensors once: leave one out, or "
             ".clone() it"),
    (dict, "can't save to {folder}: no tensors were given"),
])
def test_what_cannot_be_saved(tmp_path: Path, tensors: Callable[[], dict[str, torch.Tensor]],
                              message: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        write_checkpoint(tmp_path, tensors())
    assert str(caught.value) == message.format(folder=tmp_path)


def test_neighbours_in_one_storage_are_fine(tmp_path: Path) -> None:
    whole = torch.arange(10.0)
    write_checkpoint(tmp_path, {"a": whole[:5], "b": whole[5:], "empty": whole[3:3]})
    assert open_checkpoint(tmp_path).get("b").tolist() == [5, 6, 7, 8, 9]


def test_saving_to_a_file(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("")
    with pytest.raises(FileMissing) as caught:
        write_checkpoint(tmp_path / "f", state())
    assert str(caught.value) == (f"can't save to {tmp_path / 'f'}: it is a file. Expected a "
                                 "folder, or a name that is free")
