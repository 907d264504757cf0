"""`enfold convert`: to GGUF and back."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import enfold
from enfold.files.gguf import GGUFFile
from enfold.weights.convert_llama2c import convert_llama2c

PROMPT = "Once upon a time"


@pytest.fixture(scope="session")
def stories(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trained Llama of 260,000 parameters as a folder."""
    source, folder = shared_data / "models" / "stories260K", tmp_path_factory.mktemp("s") / "tale"
    convert_llama2c(source / "stories260K.bin", source / "tok512.model", folder)
    return folder


def story(path: Path) -> str:
    tokenizer = enfold.AutoTokenizer.from_pretrained(path)
    model = enfold.AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
    ids = model.generate(**tokenizer(PROMPT, return_tensors="pt"), max_new_tokens=40)
    return tokenizer.decode(ids[0], skip_special_tokens=True)


@pytest.mark.parametrize("kind", ["f32", "f16", "bf16", "q8_0", "q4_0"])
def test_to_gguf_and_back(stories: Path, tmp_path: Path, command: Callable[..., Any],
                          kind: str) -> None:
    done = command("convert", stories, "--to", "gguf", "--type", kind, "--out", tmp_path)
    file = tmp_path / f"tale-{kind}.gguf"
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"{file}: ")
    assert "11 F32" in done.out or "47 F32" in done.out
    if kind != "q4_0":  # that changes the story
        assert story(file) == story(stories)
    back = tmp_path / "back"
    done = command("convert", file, "--to", "safetensors", "--out", back)
    assert done.code == 0, done.err
    assert "LlamaForCausalLM in torch." in done.out
    assert story(back) == story(file)


def test_gguf_to_gguf_of_another_type(stories: Path, tmp_path: Path,
                                      command: Callable[..., Any]) -> None:
    first, second = tmp_path / "first.gguf", tmp_path / "second.gguf"
    assert command("convert", stories, "--to", "gguf", "-o", first).code == 0
    assert GGUFFile(first).kind("output_norm.weight") == "F32"
    assert GGUFFile(first).kind("blk.0.attn_q.weight") == "F16"
    shown = command("info", first).out
    assert "family llama, task text-generation" in shown
    assert "535.8 kB  first.gguf" in shown
    done = command("convert", tmp_path, "--gguf-file", "first.gguf", "--to", "gguf", "--type",
                   "q8_0", "-o", second)
    assert done.code == 0, done.err
    assert GGUFFile(second).kind("blk.0.attn_q.weight") == "Q8_0"
    own = {"general.name", "general.file_type", "tokenizer.ggml.scores"}  # the merges' order now
    assert {key: value for key, value in GGUFFile(first).metadata.items() if key not in own} == {
        key: value for key, value in GGUFFile(second).metadata.items() if key not in own}


def test_scores_come_from_sentencepiece_or_from_the_merges(stories: Path, shared_data: Path,
                                                           tmp_path: Path,
                                                           command: Callable[..., Any]) -> None:
    assert (stories / "tokenizer.model").is_file()
    assert command("convert", stories, "--to", "gguf", "-o", tmp_path / "a.gguf").code == 0
    copy = shutil.copytree(stories, tmp_path / "copy")
    (copy / "tokenizer.model").unlink()
    assert command("convert", copy, "--to", "gguf", "-o", tmp_path / "b.gguf").code == 0
    texts = (shared_data / "models" / "stories260K" / "expected_greedy.txt").read_text()
    ids = [enfold.AutoTokenizer.from_pretrained(path)(texts)["input_ids"]
           for path in (stories, tmp_path / "a.gguf", tmp_path / "b.gguf")]
    assert ids[0] == ids[1] == ids[2]
    scores = [GGUFFile(tmp_path / name).metadata["tokenizer.ggml.scores"]
              for name in ("a.gguf", "b.gguf")]
    assert scores[0] != scores[1]


@pytest.mark.parametrize(("arguments", "code", "message"), [
    (["--to", "onnx"], 2, "invalid choice: 'onnx'"),
    ([], 2, "required: --to"),
    (["--to", "safetensors", "--type", "q8_0"], 1, "--type q8_0 is a GGUF type"),
    (["--to", "safetensors", "--out", __file__], 1, "is a file, expected a folder"),
    (["--to", "gguf", "--gguf-file", "x.gguf"], 1, "no file 'x.gguf'"),
])
def test_wrong_arguments(stories: Path, command: Callable[..., Any], arguments: list[str],
                         code: int, message: str) -> None:
    done = command("convert", stories, *arguments)
    assert done.code == code
    assert message in done.err


def test_a_tokenizer_that_can_not_be_read_is_left_out(stories: Path, tmp_path: Path,
                                                      command: Callable[..., Any]) -> None:
    model = enfold.AutoModelForCausalLM.from_pretrained(stories)
    from enfold.model.gguf import save_gguf

    save_gguf(model, tmp_path / "bare.gguf")
    done = command("convert", tmp_path / "bare.gguf", "--to", "safetensors", "-o", tmp_path / "out")
    assert done.code == 0
    assert "the tokenizer was left out" in done.err
    assert (tmp_path / "out" / "model.safetensors").is_file()


def test_an_architecture_that_enfold_lacks(stories: Path, tmp_path: Path,
                                           command: Callable[..., Any]) -> None:
    folder = shutil.copytree(stories, tmp_path / "tale")
    config = enfold.AutoConfig.from_pretrained(folder)
    config.architectures = ["LlamaForDivination"]
    config.save_pretrained(folder)
    done = command("convert", folder, "--to", "safetensors", "-o", tmp_path / "out")
    assert done.code == 1
    assert "names the architecture LlamaForDivination, expected one that enfold has" in done.err
    assert not (tmp_path / "out").exists()
