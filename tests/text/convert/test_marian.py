"""Marian: two models and one vocabulary.  Ids against the reference are in test_transformers.py."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from enfold.errors import TokenizerError
from enfold.text.convert import build
from enfold.text.convert.marian import build_pair
from enfold.text.engine import Engine

VOCAB = ["</s>", "<unk>", "▁", "a", "b", "x", ">>fr<<", "<pad>", "xa", "▁x"]


def model(*texts: str, kind: int = 1) -> bytes:
    out = b""
    for text, type_, score in [("<unk>", 2, 0.0), *((t, 1, -1.0 - len(t)) for t in texts)]:
        name = text.encode()
        body = b"\n" + bytes([len(name)]) + name + b"\x15" + struct.pack("<f", score)
        out += b"\n" + bytes([len(body) + 2]) + body + b"\x18" + bytes([type_])
    return out + b"\x12\x02\x18" + bytes([kind])


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    (tmp_path / "source.spm").write_bytes(model("▁", "a", "b", "|"))
    (tmp_path / "target.spm").write_bytes(model("▁", "a", "x"))
    (tmp_path / "vocab.json").write_text(json.dumps({t: i for i, t in enumerate(VOCAB)}))
    return {path.name: path for path in tmp_path.iterdir()}


def test_each_side_finds_its_own_pieces(files: dict[str, Path]) -> None:
    source, target = (side.engine for side in build_pair(files, {}))
    assert source.encode("ab").ids == [2, 3, 4, 0]
    assert target.encode("xa").ids == [2, 5, 3, 0]
    assert target.encode("bb").ids == [2, 1, 0]
    assert build(files, "MarianTokenizer", {}).encode("ab").ids == [2, 3, 4, 0]


def test_an_unknown_character_is_looked_up_as_the_reference_does(files: dict[str, Path]) -> None:
    source = build_pair(files, {})[0].engine
    assert source.encode("x").ids == [2, 5, 0]
    assert source.encode("xx").ids == [2, 1, 0]


def test_language_prefix(files: dict[str, Path]) -> None:
    source, target = (side.engine for side in build_pair(files, {}))
    assert source.encode(">>fr<< a").ids == [6, 2, 3, 0]
    assert target.decode([6, 2, 5, 3, 0]) == ">>fr<< xa"


def test_pieces_without_an_id(files: dict[str, Path]) -> None:
    engine = Engine(*build_pair(files, {})[0])
    [found] = engine.encode(["a||b"])
    assert found.tokens == ["▁", "a", "|", "|", "b", "</s>"]
    assert engine.ids(found) == [2, 3, 1, 1, 4, 0]
    assert [engine.token(index) for index in range(len(VOCAB) + 1)] == [*VOCAB, None]
    assert engine.vocab() == {token: index for index, token in enumerate(VOCAB)}
    assert [engine.index(token) for token in ("|", "▁x", ">>fr<<")] == [None, 9, 6]
    assert engine.text([2, 8, 9, 3]) == "xa xa"


def test_added_tokens_come_after_the_vocabulary(files: dict[str, Path]) -> None:
    engine = Engine(*build_pair(files, {})[0])
    engine.rust.add_special_tokens(["new"])
    assert (engine.index("new"), engine.token(10), engine.vocab()["new"]) == (10, "new", 10)
    assert engine.ids(engine.encode(["anew"])[0]) == [2, 3, 10, 0]


def test_pieces_for_which_there_is_no_room_are_left_out(files: dict[str, Path]) -> None:
    files["vocab.json"].write_text(json.dumps({t: i for i, t in enumerate(VOCAB[:8])}))
    engine = Engine(*build_pair(files, {})[0])
    assert engine.ids(engine.encode(["||"])[0]) == [2, 1, 0]


def test_separate_vocabularies(files: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(TokenizerError, match=r"separate_vocabs needs target_vocab.json"):
        build_pair(files, {"separate_vocabs": True})
    path = tmp_path / "target_vocab.json"
    path.write_text(json.dumps({t: i for i, t in enumerate(["<unk>", "</s>", "x", "▁", "<pad>"])}))
    target = build_pair(files | {path.name: path}, {"separate_vocabs": True})[1].engine
    assert target.encode("x").ids == [3, 2, 1]


def test_trained_vocabulary_round_trip(shared_data: Path, lines: list[str]) -> None:
    folder = shared_data / "tokenizers/opus-mt-en-mg"
    source = build_pair({path.name: path for path in folder.iterdir()}, {})[0].engine
    unknown = source.token_to_id("<unk>")
    for line in lines[::20]:
        ids = source.encode(line).ids
        assert max(ids) < 54688
        if unknown not in ids and line.isascii():
            assert source.decode(ids) == " ".join(line.split())


@pytest.mark.parametrize(("vocab", "message"), [
    ({"</s>": 0, "<unk>": 2}, "2 tokens with ids up to 2, expected every id from 0"),
    ({"</s>": 0}, "no unknown token '<unk>'"),
])
def test_damaged_vocabulary(files: dict[str, Path], vocab: dict[str, int], message: str) -> None:
    files["vocab.json"].write_text(json.dumps(vocab))
    with pytest.raises(TokenizerError, match=message):
        build_pair(files, {})


def test_missing_and_foreign_models(files: dict[str, Path]) -> None:
    files["source.spm"].write_bytes(model("a", kind=2))
    with pytest.raises(NotImplementedError, match="expected Unigram as in all"):
        build_pair(files, {})
    del files["source.spm"]
    with pytest.raises(TokenizerError, match="needs source.spm"):
        build_pair(files, {})
