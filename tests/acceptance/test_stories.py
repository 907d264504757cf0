"""A trained Llama out of llama2.c tells its story word for word."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from enfold import AutoModelForCausalLM, AutoTokenizer, pipeline
from enfold.cli import main
from enfold.errors import CheckpointError, FileMissing
from enfold.weights.convert_llama2c import convert_llama2c

BOS, STEPS = 1, 200


@pytest.fixture(scope="module")
def source(shared_data: Path) -> Path:
    return shared_data / "models/stories260K"


@pytest.fixture(scope="module")
def stories(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stories")
    convert_llama2c(source / "stories260K.bin", source / "tok512.model", folder)
    return folder


@pytest.fixture(scope="module")
def expected(source: Path) -> str:
    text = (source / "expected_greedy.txt").read_text("utf-8")
    assert text.endswith("\n")  # the shell's
    return text[:-1]


def test_generate(stories: Path, expected: str) -> None:
    model = AutoModelForCausalLM.from_pretrained(stories)
    tokenizer = AutoTokenizer.from_pretrained(stories)
    ids = model.generate(torch.tensor([[BOS]]), max_new_tokens=STEPS, do_sample=False)
    assert ids.shape == (1, 1 + STEPS)
    assert tokenizer.decode(ids[0], skip_special_tokens=True) == expected


def test_pipeline(stories: Path, expected: str) -> None:
    story = pipeline("text-generation", model=stories)
    start = "Once upon a time"
    for prompt in ("", start):
        steps = STEPS - len(story.tokenizer(prompt)["input_ids"]) + 1
        [found] = story(prompt, max_new_tokens=steps, do_sample=False)
        assert found["generated_text"] == expected


def test_command(stories: Path, expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["run", "text-generation", "--model", str(stories),
                 "--set", f"max_new_tokens={STEPS}", "--set", "do_sample=false", ""])
    assert (code, capsys.readouterr().out) == (0, f"{expected}\n")


def test_transformers_reads_the_folder(stories: Path, expected: str) -> None:
    import transformers

    theirs = transformers.AutoModelForCausalLM.from_pretrained(stories)
    tokenizer = transformers.AutoTokenizer.from_pretrained(stories)
    ids = theirs.generate(torch.tensor([[BOS]]), max_new_tokens=STEPS, do_sample=False)
    assert tokenizer.decode(ids[0], skip_special_tokens=True) == expected
    ours = AutoModelForCausalLM.from_pretrained(stories)
    torch.testing.assert_close(ours(ids).logits, theirs(ids).logits, rtol=1e-5, atol=1e-5)


def test_an_untied_output(source: Path, tmp_path: Path) -> None:
    words = torch.frombuffer(bytearray((source / "stories260K.bin").read_bytes()),
                             dtype=torch.int32)
    words[5] = -words[5]
    output = torch.randn(512, 64)
    path = tmp_path / "untied.bin"
    path.write_bytes(words.numpy().tobytes() + output.numpy().tobytes())
    convert_llama2c(path, source / "tok512.model", tmp_path / "out")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert torch.equal(model.lm_head.weight, output)
    assert not torch.equal(model.model.embed_tokens.weight, output)


def test_a_story_ends_where_the_next_begins(stories: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(stories)
    assert model.generation_config.eos_token_id == [BOS, 2]


@pytest.mark.parametrize(("make", "error", "says"), [
    (lambda data: None, FileMissing, "x.bin: no such file, expected a checkpoint of llama2.c"),
    (lambda data: data[:20], CheckpointError, "x.bin: the header is [], expected seven numbers"),
    (lambda data: b"24ka" + data[4:], CheckpointError,
     "Do: export with `export.py --version 0` of llama2.c"),
    (lambda data: data[:-4], CheckpointError,
     "x.bin: has 1,056,536 bytes, its header asks for 1,056,540. Do: fetch the file again"),
])
def test_what_is_no_checkpoint(make, error, says: str, source: Path, tmp_path: Path) -> None:
    data, path = make((source / "stories260K.bin").read_bytes()), tmp_path / "x.bin"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(error) as caught:
        convert_llama2c(path, source / "tok512.model", tmp_path / "out")
    assert says in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_another_models_tokenizer(source: Path, shared_data: Path, tmp_path: Path) -> None:
    other = shared_data / "tokenizers/mistral/tokenizer.model.v1"
    with pytest.raises(CheckpointError, match="for 512 tokens, but .* has 32000. Do: give"):
        convert_llama2c(source / "stories260K.bin", other, tmp_path / "out")
    with pytest.raises(FileMissing, match="none.model: no such file"):
        convert_llama2c(source / "stories260K.bin", tmp_path / "none.model", tmp_path / "out")
