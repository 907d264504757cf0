"""Opening checkpoints: which file is taken, shards, both formats, and what is said if none is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from enfold.errors import CheckpointError, FileMissing
from enfold.files import HubOptions, open_checkpoint, write_checkpoint
from enfold.files.checkpoint import add_variant


def put(folder: Path, name: str, **values: float) -> None:
    tensors = {key: torch.tensor([value], dtype=torch.float32) for key, value in values.items()}
    if name.endswith(".safetensors"):
        save_file(tensors, folder / name, metadata={"format": "pt"})
    else:
        torch.save(tensors, folder / name)


def put_index(folder: Path, name: str, **weight_map: str) -> None:
    content = {"metadata": {"total_size": 8}, "weight_map": weight_map}
    (folder / name).write_text(json.dumps(content))


@pytest.fixture
def everything(tmp_path: Path) -> Path:
    """A folder with every kind of weights, told apart by the value of the tensor `a`."""
    put(tmp_path, "model.safetensors", a=1)
    put(tmp_path, "model-00001-of-00001.safetensors", a=2)
    put_index(tmp_path, "model.safetensors.index.json", a="model-00001-of-00001.safetensors")
    put(tmp_path, "pytorch_model.bin", a=3)
    put(tmp_path, "pytorch_model-00001-of-00001.bin", a=4)
    put_index(tmp_path, "pytorch_model.bin.index.json", a="pytorch_model-00001-of-00001.bin")
    put(tmp_path, "model.fp16.safetensors", a=5)
    put(tmp_path, "model.bf16-00001-of-00001.safetensors", a=6)
    put_index(tmp_path, "model.safetensors.index.bf16.json",
              a="model.bf16-00001-of-00001.safetensors")
    put(tmp_path, "pytorch_model.fp16.bin", a=7)
    return tmp_path


@pytest.mark.parametrize(("removed", "options", "expected"), [
    ([], {}, 1), (["model.safetensors"], {}, 2),
    (["model.safetensors", "model.safetensors.index.json"], {}, 3),
    (["model.safetensors", "model.safetensors.index.json", "pytorch_model.bin"], {}, 4),
    ([], {"use_safetensors": False}, 3), ([], {"use_safetensors": True}, 1),
    ([], {"variant": "fp16"}, 5), ([], {"variant": "bf16"}, 6),
    ([], {"variant": "fp16", "use_safetensors": False}, 7),
])
def test_order(everything: Path, removed: list[str], options: dict[str, Any],
               expected: int) -> None:
    for name in removed:
        (everything / name).unlink()
    assert open_checkpoint(everything, **options).get("a").item() == expected


def test_face_of_a_checkpoint(tmp_path: Path) -> None:
    put(tmp_path, "model-00001-of-00002.safetensors", a=1, b=2)
    put(tmp_path, "model-00002-of-00002.safetensors", c=3, unlisted=4)
    put_index(tmp_path, "model.safetensors.index.json", a="model-00001-of-00002.safetensors",
              b="model-00001-of-00002.safetensors", c="model-00002-of-00002.safetensors")
    checkpoint = open_checkpoint(tmp_path)
    assert set(checkpoint.keys()) == {"a", "b", "c", "unlisted"}
    assert (len(checkpoint), "a" in checkpoint, "x" in checkpoint) == (4, True, False)
    assert (checkpoint.shape("a"), checkpoint.dtype("a")) == ((1,), torch.float32)
    assert checkpoint.nbytes("c") == 4
    assert {key: value.item() for key, value in checkpoint.items()} == {
        "a": 1, "b": 2, "c": 3, "unlisted": 4}
    assert dict(checkpoint)["c"].item() == 3
    assert checkpoint.metadata == {"format": "pt", "total_size": 8}
    assert [path.name for path in checkpoint.paths] == ["model-00001-of-00002.safetensors",
                                                        "model-00002-of-00002.safetensors"]
    with pytest.raises(CheckpointError, match=r"no tensor 'unlistd' \(nearest: 'unlisted'\)"):
        checkpoint.get("unlistd")


def test_the_index_decides(tmp_path: Path) -> None:
    put(tmp_path, "m-1.safetensors", a=1, b=1)
    put(tmp_path, "m-2.safetensors", a=2)
    put_index(tmp_path, "model.safetensors.index.json", b="m-1.safetensors", a="m-2.safetensors")
    assert open_checkpoint(tmp_path).get("a").item() == 2


def test_no_index_decides(tmp_path: Path) -> None:
    put(tmp_path, "m-1.safetensors", a=1, b=1)
    put(tmp_path, "m-2.safetensors", b=2, c=2)
    put_index(tmp_path, "model.safetensors.index.json", a="m-1.safetensors", c="m-2.safetensors")
    with pytest.raises(CheckpointError, match=r"tensor 'b' is in .*m-1.safetensors and in .*m-2.saf"
                                              r".*no index says which to take"):
        open_checkpoint(tmp_path)


def test_one_file(tmp_path: Path) -> None:
    put(tmp_path, "adapter_model.safetensors", a=1)
    put_index(tmp_path, "x.index.json", a="adapter_model.safetensors")
    for name in ("adapter_model.safetensors", "x.index.json"):
        assert open_checkpoint(tmp_path / name).get("a").item() == 1


def test_subfolder(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    put(tmp_path / "sub", "model.safetensors", a=1)
    assert open_checkpoint(tmp_path, HubOptions(subfolder="sub")).get("a").item() == 1


def test_missing_shard(tmp_path: Path) -> None:
    put_index(tmp_path, "model.safetensors.index.json", a="m.safetensors", b="m.safetensors",
              c="m.safetensors", d="m.safetensors")
    with pytest.raises(FileMissing) as caught:
        open_checkpoint(tmp_path)
    assert str(caught.value).startswith(
        f"{tmp_path / 'model.safetensors.index.json'}: the shard 'm.safetensors' is missing, which "
        f"holds the tensors a, b, c and 1 more. {tmp_path}: no file 'm.safetensors'")


def test_tensor_not_in_its_shard(tmp_path: Path) -> None:
    put(tmp_path, "m.safetensors", a=1)
    put_index(tmp_path, "model.safetensors.index.json", a="m.safetensors", b="m.safetensors")
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(tmp_path)
    assert str(caught.value).endswith(
        "index.json: tensor 'b' is said to be in 'm.safetensors', which does not hold it. Do: "
        "download or save the checkpoint again")


ALL = ("model.safetensors, model.safetensors.index.json, pytorch_model.bin, "
       "pytorch_model.bin.index.json")


@pytest.mark.parametrize(("held", "options", "message"), [
    ([], {}, f"no weights. Looked for {ALL}. Do: give a folder or repository that has the weights"),
    (["tf_model.h5"], {}, f"no weights. Looked for {ALL}. It has only TensorFlow weights. Do: "
     "convert them once with transformers 4: AutoModel.from_pretrained(name, from_tf=True) "
     "(from_flax=True for Flax), then model.save_pretrained(folder), and load that folder"),
    (["flax_model.msgpack"], {}, f"no weights. Looked for {ALL}. It has only Flax weights. Do: "),
    (["pytorch_model.bin"], {"use_safetensors": True},
     "no weights. Looked for model.safetensors, model.safetensors.index.json. It has "
     "pytorch_model.bin: load without use_safetensors=True"),
    (["model.safetensors"], {"variant": "fp16", "use_safetensors": True},
     "no weights. Looked for model.fp16.safetensors, model.safetensors.index.fp16.json. It has "
     "model.safetensors: load another than variant='fp16', or none"),
    (["model.fp16.safetensors"], {}, f"no weights. Looked for {ALL}. It has "
     "model.fp16.safetensors: give variant= for 'model.VARIANT.safetensors', or rename the file "
     "that is the model"),
])
def test_no_weights(tmp_path: Path, held: list[str], options: dict[str, Any],
                    message: str) -> None:
    for name in held:
        (tmp_path / name).touch()
    with pytest.raises(FileMissing) as caught:
        open_checkpoint(tmp_path, **options)
    assert str(caught.value).startswith(f"{tmp_path}: {message}")


def test_from_the_hub_then_from_the_cache(fake_hub, tmp_path: Path, no_sockets_later) -> None:
    write_checkpoint(tmp_path / "m", {"a": torch.ones(2), "b": torch.ones(3)}, max_shard_size=8)
    fake_hub.files = {path.name: path.read_bytes() for path in (tmp_path / "m").iterdir()}
    assert open_checkpoint("org/model").get("b").sum() == 3
    assert len(fake_hub.requests) == 1 + 2 * 3  # the list; HEAD and GET for two shards, the index
    no_sockets_later()
    assert open_checkpoint("org/model").get("a").sum() == 2
    assert open_checkpoint("org/model", HubOptions(revision="a" * 40)).get("a").sum() == 2


@pytest.fixture
def no_sockets_later(monkeypatch: pytest.MonkeyPatch):
    import socket

    from enfold.files import repo

    def block() -> None:
        def refuse(*args: object, **kwargs: object) -> None:
            raise ConnectionRefusedError("blocked")

        monkeypatch.setattr(socket.socket, "connect", refuse)
        repo.asked.clear()

    return block


def test_weights_not_in_the_cache(cached: Path, no_sockets: list[object]) -> None:
    with pytest.raises(FileMissing, match=r"org/model: model.safetensors is not in the cache, and "
                                          r"http://127.0.0.1:9 could not be reached"):
        open_checkpoint("org/model")


def test_hub_repository_without_weights(fake_hub) -> None:
    fake_hub.files["tf_model.h5"] = b""
    with pytest.raises(FileMissing, match="org/model: no weights.*only TensorFlow weights"):
        open_checkpoint("org/model")


def test_variant_names() -> None:
    name = "model.safetensors.index.json"
    assert add_variant(name, "fp16") == "model.safetensors.index.fp16.json"
    assert add_variant("model.safetensors", None) == "model.safetensors"
