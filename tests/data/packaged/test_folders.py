"""imagefolder and its like against the real library."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image as Pillow

from enfold.data.load import load_dataset

Write = Callable[[str, str | bytes], str]


def picture(value: int) -> bytes:
    sink = io.BytesIO()
    Pillow.new("RGB", (2, 2), (value, 0, 0)).save(sink, "png")
    return sink.getvalue()


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def writer(name: str, content: str | bytes) -> str:
        path = tmp_path / "d" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    return writer


def plain(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value.getpixel((0, 0)) if hasattr(value, "getpixel") else
            [plain({"x": one})["x"] for one in value] if isinstance(value, list) else value
            for key, value in row.items()}


def compare(tmp_path: Path, name: str = "imagefolder", **options: Any) -> Any:
    place = str(tmp_path / "d")
    theirs = datasets.load_dataset(name, data_dir=place, cache_dir=str(tmp_path / "theirs"),
                                   **options)
    ours = load_dataset(name, data_dir=place, **options)
    assert list(ours) == list(theirs)
    for split in theirs:
        assert repr(ours[split].features) == repr(theirs[split].features)
        key = str if "label" not in theirs[split].features else repr
        assert sorted(map(key, map(plain, ours[split]))) == sorted(
            map(key, map(plain, theirs[split])))
    return ours


@pytest.mark.parametrize("drop_metadata", [None, True, False])
@pytest.mark.parametrize("drop_labels", [None, True, False])
def test_labels(write: Write, tmp_path: Path, drop_labels: Any, drop_metadata: Any) -> None:
    for number, name in enumerate(("train/cat/1.png", "train/dog/2.PNG", "test/cat/3.png")):
        write(name, picture(number))
    compare(tmp_path, drop_labels=drop_labels, drop_metadata=drop_metadata)


@pytest.mark.parametrize("drop_labels", [None, True, False])
@pytest.mark.parametrize("files", [("1.png", "sub/2.png"), ("cat/1.png", "cat/2.png")])
def test_depths(write: Write, tmp_path: Path, drop_labels: Any, files: Any) -> None:
    for name in files:
        write(name, picture(1))
    compare(tmp_path, drop_labels=drop_labels)


@pytest.mark.parametrize("drop_metadata", [None, True])
@pytest.mark.parametrize("drop_labels", [None, False])
@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_metadata(write: Write, tmp_path: Path, form: str, drop_labels: Any,
                  drop_metadata: Any) -> None:
    for split in ("train", "test"):
        write(f"{split}/a.png", picture(1))
        write(f"{split}/s/b.png", picture(2))
        rows = {"file_name": ["s/b.png", "a.png"], "caption": ["two", "one"], "n": [2, 1]}
        if form == "csv":
            write(f"{split}/metadata.csv", "file_name,caption,n\ns/b.png,two,2\na.png,one,1\n")
        elif form == "jsonl":
            write(f"{split}/metadata.jsonl", '{"file_name": "s/b.png", "caption": "two", "n": 2}\n'
                  '{"file_name": "a.png", "caption": "one", "n": 1}\n')
        else:
            pq.write_table(pa.table(rows), tmp_path / "d" / split / "metadata.parquet")
    ours = compare(tmp_path, drop_labels=drop_labels, drop_metadata=drop_metadata)
    if not drop_metadata:
        assert ours["train"]["caption"] == ["two", "one"]


def test_several_files_a_row(write: Write, tmp_path: Path) -> None:
    write("a.png", picture(1))
    write("b.png", picture(2))
    write("metadata.jsonl", '{"file_names": ["a.png", "b.png"], "left_file_name": "b.png"}\n')
    ours = compare(tmp_path)
    assert list(ours["train"].features) == ["images", "left"]


def test_archives(write: Write, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    with zipfile.ZipFile(tmp_path / "d" / "a.zip", "w") as archive:
        archive.writestr("a.png", picture(7))
        archive.writestr("metadata.csv", "file_name,k\na.png,z\n")
    compare(tmp_path)
    stream = load_dataset("imagefolder", data_dir=str(tmp_path / "d"), split="train",
                          streaming=True)
    assert [plain(row) for row in stream] == [{"image": (7, 0, 0), "k": "z"}]


def test_other_media(write: Write, tmp_path: Path) -> None:
    write("audio/a.wav", b"x")
    write("pdf/a.pdf", b"x")
    write("video/a.mp4", b"x")
    for name, feature in (("audio", "Audio"), ("pdf", "Pdf"), ("video", "Video")):
        found = load_dataset(f"{name}folder", data_dir=str(tmp_path / "d" / name), split="train")
        assert type(found.features[name]).__name__ == feature
        path = found.data.column(name)[0].as_py()["path"]
        assert os.path.basename(path).startswith("a.")


@pytest.mark.parametrize(("name", "message"), [
    ("../a.png", "leads out of it"), ("/etc/passwd", "Absolute paths"),
    ("s/../../a.png", "leads out of it"), ("file:///etc/passwd", "URL schemes")])
def test_paths_stay_in_the_folder(write: Write, tmp_path: Path, name: str, message: str) -> None:
    write("a.png", picture(1))
    write("metadata.csv", f"file_name,k\n{name},1\n")
    with pytest.raises(ValueError, match=f"Invalid metadata file_name.*{message}"):
        load_dataset("imagefolder", data_dir=str(tmp_path / "d"))


def test_what_metadata_lacks(write: Write, tmp_path: Path) -> None:
    write("a.png", picture(1))
    write("metadata.csv", "name,k\na.png,1\n")
    with pytest.raises(ValueError, match=r"`file_name`.*must be present.*\['name', 'k'\]"):
        load_dataset("imagefolder", data_dir=str(tmp_path / "d"))
    write("s/metadata.jsonl", '{"file_name": "a.png"}\n')
    with pytest.raises(ValueError, match="different extensions"):
        load_dataset("imagefolder", data_dir=str(tmp_path / "d"))
