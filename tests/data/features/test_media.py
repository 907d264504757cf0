"""Images, audio and documents: encoded as they come, decoded when read."""

from __future__ import annotations

import io
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from enfold.data.features import (
    Audio,
    BioSequence,
    BioStructure,
    CastError,
    FeatureError,
    Features,
    Image,
    List,
    Mesh,
    Nifti,
    Pdf,
    Video,
    embed_array,
    to_array,
)
from enfold.data.features.files import FileFeature, _credentials
from enfold.data.features.image import encode_array, image_bytes
from enfold.data.features.resample import resample
from enfold.errors import ArgumentError, DependencyError

PIL = pytest.importorskip("PIL.Image")
soundfile = pytest.importorskip("soundfile")

FILES = [Image, Audio, Video, Pdf, Nifti, Mesh, BioSequence, BioStructure]


@pytest.fixture
def png(tmp_path: Path) -> Path:
    path = tmp_path / "a.png"
    PIL.fromarray(np.arange(24, dtype=np.uint8).reshape(2, 4, 3)).save(path)
    return path


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    path = tmp_path / "a.wav"
    times = np.arange(8000) / 8000
    stereo = np.stack([np.sin(2 * np.pi * 440 * times), np.zeros(8000)], axis=1)
    soundfile.write(path, stereo, 8000)
    return path


@pytest.mark.parametrize("kind", FILES)
def test_paths_and_bytes(kind: type[FileFeature], png: Path) -> None:
    feature, path, content = kind(), str(png), png.read_bytes()
    by_path, by_bytes = {"path": path, "bytes": None}, {"path": None, "bytes": content}
    for value, expected in [
            (path, by_path), (png, by_path), (content, by_bytes), (bytearray(content), by_bytes),
            ({"path": path}, by_path), ({"path": path, "bytes": content}, by_path),
            ({"bytes": content}, by_bytes),
            ({"path": "in.zip", "bytes": content}, {"path": "in.zip", "bytes": content})]:
        assert feature.encode_example(value) == expected
    with pytest.raises(FeatureError, match="Expected 'path' or 'bytes' in it: both are None"):
        feature.encode_example({"path": None})
    with pytest.raises(FeatureError, match=rf"{kind.__name__}: got a int. Expected a path, bytes"):
        feature.encode_example(3)
    with pytest.raises(FeatureError, match="both are None"):
        feature.decode_example({"path": None, "bytes": None})
    with pytest.raises(RuntimeError, match=rf"{kind.__name__}\(decode=False\) was asked to"):
        kind(decode=False).decode_example(by_path)
    decoded = object()
    assert feature.decode_example(decoded) is decoded


@pytest.mark.parametrize("storage", [
    pa.array(["p", None]), pa.array(["p", None], pa.large_string()),
    pa.array([b"b", None]), pa.array([b"b", None], pa.large_binary()),
    pa.array([{"path": "p"}, None]), pa.array([{"bytes": b"b"}, None]),
    pa.array([{"path": "p", "other": 1, "bytes": b"b"}, None]), pa.array([None, None]),
    pa.array([None, {"bytes": None, "path": "p"}, None])[1:],
])
def test_storage_as_the_real_library_casts_it(oracle: ModuleType, storage: pa.Array) -> None:
    cast = Image().cast_storage(storage)
    cast.validate(full=True)
    assert cast.type == Image().pa_type
    assert cast.to_pylist() == oracle.Image().cast_storage(storage).to_pylist()
    with pytest.raises(CastError, match="Audio: can't be made of int64. Expected paths"):
        Audio().cast_storage(pa.array([1]))
    with pytest.raises(CastError, match="can't be made of struct<x: int64>"):
        Pdf().cast_storage(pa.array([{"x": 1}]))


def test_images_decode(png: Path) -> None:
    image = Image().decode_example({"path": str(png), "bytes": None})
    assert (image.size, image.mode, image.filename) == ((4, 2), "RGB", str(png))
    assert Image(mode="L").decode_example({"path": None, "bytes": png.read_bytes()}).mode == "L"
    buffer, exif = io.BytesIO(), PIL.Exif()
    exif[PIL.ExifTags.Base.Orientation] = 8
    image.save(buffer, "JPEG", exif=exif)
    assert Image().decode_example({"path": "x", "bytes": buffer.getvalue()}).size == (2, 4)
    again = Image().encode_example(image)
    assert again == {"path": str(png), "bytes": None}
    fresh = PIL.open(io.BytesIO(buffer.getvalue()))
    assert PIL.open(io.BytesIO(Image().encode_example(fresh)["bytes"])).format == "JPEG"
    assert PIL.open(io.BytesIO(image_bytes(PIL.new("F", (1, 1))))).format == "TIFF"
    with pytest.raises(PIL.UnidentifiedImageError):
        Image().decode_example({"path": None, "bytes": b"no image"})


@pytest.mark.parametrize("dtype", ["bool", "uint8", "uint16", ">u2", "int16", "uint32", "int32",
                                   "float32", "float64"])
def test_arrays_keep_their_values(oracle: ModuleType, dtype: str) -> None:
    array = (np.arange(6).reshape(2, 3) % 2).astype(dtype)
    encoded = encode_array(array)
    assert encoded == oracle.features.image.encode_np_array(array)
    assert np.array_equal(PIL.open(io.BytesIO(encoded["bytes"])), array)


@pytest.mark.parametrize(("array", "told"), [
    (np.full((2, 3), 7, np.int64), "Downcasting array dtype int64 to int32"),
    (np.full((2, 3), 7, np.uint64), "Downcasting array dtype uint64 to uint32"),
    (np.full((2, 3, 3), 7, np.int64), "Downcasting array dtype int64 to uint8"),
    (np.full((2, 3), 7, np.int8), None), (np.full((2, 3), 7, np.float16), None),
    (np.full((2, 3, 1), 7, np.uint8), None), (np.full((2, 3, 2), 7, np.uint8), None),
])
def test_arrays_of_other_types(array: np.ndarray, told: str | None,
                               recwarn: pytest.WarningsRecorder) -> None:
    image = PIL.open(io.BytesIO(Image().encode_example(array)["bytes"]))
    assert np.array_equal(np.asarray(image).reshape(array.shape), array)
    assert [str(warning.message).split(", which")[0] for warning in recwarn] == (
        [f"Image: {told}"] if told else [])


@pytest.mark.parametrize(("array", "message"), [
    (np.zeros((2, 2, 3)), "an array of float64 with channels. Expected uint8: scale it"),
    (np.zeros((2, 2), "complex64"), "an array of complex64. Expected one of bool"),
])
def test_arrays_that_are_no_images(array: np.ndarray, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        Image().encode_example(array)


def test_columns_of_lists_become_images() -> None:
    with pytest.warns(UserWarning, match="int64 to int32"):
        cast = Image().cast_storage(pa.array([[[1, 2], [3, 4]], None]))
    assert np.asarray(PIL.open(io.BytesIO(cast[0]["bytes"].as_py()))).tolist() == [[1, 2], [3, 4]]
    assert cast[1].as_py() is None
    with pytest.raises(CastError, match=r"Image: can't be made of list<.*\[height, width\]"):
        Image().cast_storage(pa.array([[[1, 2], [3]]]))


def test_rows_decode_only_what_is_decoded(png: Path) -> None:
    features = Features({"i": Image(), "n": {"i": List(Image())}, "r": Image(decode=False)})
    row = {"i": png, "n": {"i": [str(png), None]}, "r": {"path": str(png)}}
    encoded = features.encode_example(row)
    assert encoded["n"] == {"i": [{"path": str(png), "bytes": None}, None]}
    decoded = features.decode_example(encoded)
    assert decoded["i"].size == decoded["n"]["i"][0].size == (4, 2)
    assert decoded["n"]["i"][1] is None and decoded["r"] == encoded["r"]
    batch = features.decode_batch({"i": [encoded["i"], None], "r": [encoded["r"]]})
    assert batch["i"][0].size == (4, 2) and batch["i"][1] is None and batch["r"] == [encoded["r"]]
    assert features.decode_column([None], "i") == [None]
    assert features.encode_example(decoded) == encoded


def test_images_are_inferred(png: Path) -> None:
    image = PIL.open(png)
    assert Features.infer({"i": [None, image], "l": [[], [image]]}) == {"i": Image(),
                                                                       "l": List(Image())}
    pictures = to_array([image, None])
    assert pictures.to_pylist() == [{"path": str(png), "bytes": None}, None]


def test_embedding(png: Path, tmp_path: Path, oracle: ModuleType) -> None:
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.write(png, "in.png")
    inside = f"zip://in.png::{archive}"
    storage = to_array([str(png), None, {"path": "x", "bytes": b"b"}, inside], Image())
    content = png.read_bytes()
    expected = [{"bytes": content, "path": "a.png"}, None, {"bytes": b"b", "path": "x"},
                {"bytes": content, "path": "in.png"}]
    expected[3]["path"] = "a.zip"  # the last part of the address, as in the real library
    assert Image().embed_storage(storage).to_pylist() == expected
    assert Image().embed_storage(storage, local_files=False, remote_files=False).equals(storage)
    assert oracle.Image().embed_storage(storage[:3]).to_pylist() == expected[:3]
    nested = to_array([[{"i": png}, None], None, []], List({"i": Image()}))
    assert embed_array(pa.chunked_array([nested]), List({"i": Image()})).to_pylist() == [
        [{"i": {"bytes": content, "path": "a.png"}}, None], None, []]
    assert Image().decode_example({"path": inside, "bytes": None}).size == (4, 2)


def test_tokens_go_with_the_files_of_their_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens: dict[str, str | bool | None] = {"me/data": "secret"}
    assert _credentials("hf://datasets/me/data@main/a.png", tokens) == {"token": "secret"}
    assert _credentials("hf://datasets/you/data/a.png", tokens) == {}
    monkeypatch.setenv("HF_ENDPOINT", "https://hub.example")
    url = "https://hub.example/datasets/me/data/resolve/main/a.png"
    assert _credentials(url, tokens) == {"headers": {"authorization": "Bearer secret"}}
    assert _credentials(f"zip://x::{url}", tokens) == {
        "https": {"headers": {"authorization": "Bearer secret"}}}
    assert _credentials(url.replace("hub.example", "evil.example"), tokens) == {}


def test_audio_decodes_when_looked_into(wav: Path) -> None:
    audio = Audio().decode_example({"path": str(wav), "bytes": None})
    assert audio["sampling_rate"] == audio.metadata.sample_rate == 8000
    assert audio["path"] == audio.metadata.path == str(wav)
    assert audio["array"].shape == (8000,) and audio["array"].dtype == np.float32
    samples = audio.get_samples_played_in_range(0.5, 0.75)
    assert samples.data.shape == (2, 2000) and samples.pts_seconds == 0.5
    assert audio.get_all_samples().duration_seconds == audio.metadata.duration_seconds == 1.0
    assert np.allclose(audio["array"], audio.get_all_samples().data.numpy().mean(axis=0))
    assert Audio().encode_example(audio) == {"path": str(wav), "bytes": None}
    by_bytes = Audio(sampling_rate=16000, num_channels=1).decode_example(
        {"path": None, "bytes": wav.read_bytes()})
    assert by_bytes.metadata.num_channels == 2
    assert by_bytes["array"].shape == (16000,) and by_bytes["sampling_rate"] == 16000
    with pytest.raises(KeyError, match="audio has no 'rate'. Expected 'array'"):
        audio["rate"]


def test_audio_encodes_arrays(tmp_path: Path) -> None:
    mono = np.linspace(-0.5, 0.5, 100)
    encoded = Audio().encode_example({"array": mono, "sampling_rate": 16000})
    audio = Audio().decode_example(encoded)
    assert np.allclose(audio["array"], mono, atol=1e-4) and audio["sampling_rate"] == 16000
    stereo = Audio(num_channels=2).encode_example({"array": mono, "sampling_rate": 16000})
    assert Audio().decode_example(stereo).samples.shape == (2, 100)
    raw = tmp_path / "a.pcm"
    (mono * 32767).astype("<i2").tofile(raw)
    pcm = Audio().encode_example({"path": str(raw), "sampling_rate": 8000})
    assert np.allclose(Audio().decode_example(pcm)["array"], mono, atol=1e-4)
    rows = [{"array": mono.tolist(), "sampling_rate": 16000}, None]
    stored = Audio().cast_storage(pa.array(rows))
    assert stored.to_pylist() == [encoded, None]


@pytest.mark.parametrize(("use", "kind", "message"), [
    (lambda wav: Audio(stream_index=1).decode_example({"path": wav, "bytes": None}),
     NotImplementedError, "got stream_index=1, and soundfile reads the first stream. Do: leave"),
    (lambda wav: Audio(num_channels=3).decode_example({"path": wav, "bytes": None})["array"],
     FeatureError, "got 2 channels for num_channels=3. Expected 1, or as many"),
    (lambda wav: Audio().encode_example(_as_pcm(wav)), FeatureError,
     "has raw samples. Expected a 'sampling_rate'"),
])
def test_audio_errors(wav: Path, use: Callable[[str], Any], kind: type[Exception],
                      message: str) -> None:
    with pytest.raises(kind, match=message):
        use(str(wav))


def _as_pcm(wav: str) -> dict[str, str]:
    path = Path(wav).with_suffix(".pcm")
    path.write_bytes(b"\0\0")
    return {"path": str(path)}


@pytest.mark.parametrize(("rate", "new_rate"), [(8000, 16000), (44100, 16000), (16000, 44100),
                                                (48000, 8000)])
def test_resampling_keeps_tones_and_drops_what_cannot_be_heard(rate: int, new_rate: int) -> None:
    times, new_times = np.arange(rate) / rate, np.arange(new_rate) / new_rate
    tone = resample(np.sin(2 * np.pi * 440 * times)[None], rate, new_rate)[0]
    assert tone.shape == new_times.shape
    inner = slice(new_rate // 20, -new_rate // 20)
    assert np.abs(tone - np.sin(2 * np.pi * 440 * new_times))[inner].max() < 2e-3
    if new_rate < rate:
        high = np.sin(2 * np.pi * 0.45 * rate * times)[None]
        assert np.abs(resample(high, rate, new_rate)[0][inner]).max() < 2e-3


@pytest.mark.parametrize(("feature", "package", "extra"), [
    (Video(), "torchcodec", "torchcodec"), (Pdf(), "pdfplumber", "pdfplumber"),
    (Nifti(), "nibabel", "nibabel"), (Mesh(), "trimesh", "trimesh"),
    (BioSequence(), "Bio", "biopython"), (BioStructure(), "Bio", "biopython"),
    (Image(), "PIL", r"'enfold\[media\]'"), (Audio(), "soundfile", r"'enfold\[media\]'"),
])
def test_a_missing_package_is_named(feature: FileFeature, package: str, extra: str,
                                    monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(DependencyError, match=rf"needs the package '.*install {extra}"):
        feature.decode_example({"path": "a.glb", "bytes": b"x"})


def test_documents_of_unknown_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trimesh", ModuleType("trimesh"))
    with pytest.raises(FeatureError, match="requires a 'path' value that ends in one of .glb"):
        Mesh().decode_example({"path": "a.xyz", "bytes": b"x"})
    with pytest.raises(FeatureError, match="got format='cif'. Expected one of 'pdb', 'mmcif'"):
        BioStructure(format="cif")


def test_a_decoder_of_ones_own_is_asked_for() -> None:
    class Bare(FileFeature):
        decode = True

    with pytest.raises(NotImplementedError, match="Bare: decoding is not written. Do: implement"):
        Bare().decode_example("x")
