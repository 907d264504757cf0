"""`Audio`: an audio file, decoded by soundfile when it is looked into.

Shapes: C channels, T samples; `audio["array"]` is [T], the mean of the channels.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cached_property
from io import BytesIO
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from enfold.data.features.errors import FeatureError
from enfold.data.features.files import Encoded, FileFeature, Tokens, is_local, read_bytes
from enfold.data.features.resample import resample
from enfold.lazy import require


@dataclass
class Audio(FileFeature):
    """Audio: in as a path, bytes, {"array", "sampling_rate"}; out as `AudioDecoder`.

    sampling_rate: Hz to resample to; None leaves each file's.
    num_channels: 1 (mean) or 2; None leaves each file's.  stream_index: None or 0.
    decode: False hands out {"bytes", "path"}.
    """

    sampling_rate: int | None = None
    decode: bool = True
    num_channels: int | None = None
    stream_index: int | None = None
    id: str | None = field(default=None, repr=False)
    dtype: ClassVar[str] = "dict"
    _type: str = field(default="Audio", init=False, repr=False)

    def _encode_object(self, value: Any) -> Encoded | None:
        if hasattr(value, "get_all_samples"):
            samples = value.get_all_samples()
            return self._wav(np.asarray(samples.data), samples.sample_rate)
        if not isinstance(value, dict):
            return None
        if value.get("array") is not None:
            return self._wav(np.asarray(value["array"]), value["sampling_rate"])
        path = value.get("path") or ""
        return self._raw(value) if path.endswith("pcm") and os.path.isfile(path) else None

    def _raw(self, value: dict[str, Any]) -> Encoded:
        if value.get("sampling_rate") is None:
            raise FeatureError(f"Audio: {value['path']} has raw samples. Expected a "
                               "'sampling_rate' beside its path")
        content = value.get("bytes") or read_bytes(value["path"])
        return self._wav(np.frombuffer(content, dtype="<i2").astype(np.float32) / 32767,
                         value["sampling_rate"])

    def _wav(self, samples: np.ndarray, sampling_rate: int) -> Encoded:
        samples = _with_channels(np.atleast_2d(samples.astype(np.float32)), self.num_channels)
        buffer = BytesIO()
        require("soundfile", "media").write(buffer, samples.T, int(sampling_rate), format="WAV")
        return {"bytes": buffer.getvalue(), "path": None}

    def _decode(self, path: str | None, content: bytes | None,
                tokens: Tokens | None) -> AudioDecoder:
        if self.stream_index not in (None, 0):
            raise NotImplementedError(f"Audio: got stream_index={self.stream_index}, and soundfile "
                                      "reads the first stream. Do: leave it out")
        require("soundfile", "media")
        data = content
        if content is None and path is not None and not is_local(path):
            data = read_bytes(path, tokens)
        return AudioDecoder(path, data, self, {"path": path, "bytes": content})

    def _cast_lists(self, storage: pa.Array) -> pa.Array:
        raise self._cannot_cast(storage)

    def _cast_struct(self, storage: pa.Array) -> pa.Array:
        if storage.type.get_field_index("array") >= 0:
            return self._encode_rows(storage)
        return super()._cast_struct(storage)


class AudioDecoder:
    """The samples of a file, read when first asked for.

    audio["array"]: float32 [T].  audio["sampling_rate"]: Hz.  audio["path"].  The methods are
    those of torchcodec's AudioDecoder: `get_all_samples()`, `get_samples_played_in_range(start,
    stop)` in seconds, with `.data` a torch tensor float32 [C, T]; `metadata`.
    """

    def __init__(self, path: str | None, content: bytes | None, feature: Audio,
                 encoded: Encoded) -> None:
        self._source: Any = path if content is None else BytesIO(content)
        self._path, self._feature, self._hf_encoded = path, feature, encoded

    def __getitem__(self, key: str) -> Any:
        if key == "array":
            return self.samples.mean(axis=0) if len(self.samples) > 1 else self.samples[0]
        if key == "sampling_rate":
            return self.sample_rate
        if key == "path":
            return self._path
        raise KeyError(f"audio has no {key!r}. Expected 'array', 'sampling_rate' or 'path'")

    @cached_property
    def samples(self) -> np.ndarray:
        """All samples, float32 [C, T]."""
        return self._samples_and_rate[0]

    @property
    def sample_rate(self) -> int:
        """Hz of `samples`."""
        return self._samples_and_rate[1]

    @cached_property
    def metadata(self) -> SimpleNamespace:
        """Of the file: sample_rate, num_channels, duration_seconds, path."""
        if isinstance(self._source, BytesIO):
            self._source.seek(0)
        info = require("soundfile", "media").info(self._source)
        return SimpleNamespace(sample_rate=info.samplerate, num_channels=info.channels,
                               duration_seconds=info.duration, path=self._path)

    def get_all_samples(self) -> SimpleNamespace:
        """data [C, T], sample_rate, pts_seconds, duration_seconds."""
        return self.get_samples_played_in_range()

    def get_samples_played_in_range(self, start_seconds: float = 0.0,
                                    stop_seconds: float | None = None) -> SimpleNamespace:
        """The samples from start to stop, as `get_all_samples`."""
        rate = self.sample_rate
        first = round(start_seconds * rate)
        stop = None if stop_seconds is None else round(stop_seconds * rate)
        part = np.ascontiguousarray(self.samples[:, first:stop])
        return SimpleNamespace(data=require("torch").from_numpy(part), sample_rate=rate,
                               pts_seconds=first / rate, duration_seconds=part.shape[1] / rate)

    @cached_property
    def _samples_and_rate(self) -> tuple[np.ndarray, int]:
        if isinstance(self._source, BytesIO):
            self._source.seek(0)
        samples, rate = require("soundfile", "media").read(self._source, dtype="float32",
                                                           always_2d=True)
        samples = _with_channels(samples.T, self._feature.num_channels)
        wanted = self._feature.sampling_rate or rate
        return resample(samples, rate, wanted), wanted


def _with_channels(samples: np.ndarray, channels: int | None) -> np.ndarray:
    if channels in (None, len(samples)):
        return samples
    if channels == 1:
        return np.asarray(samples.mean(axis=0, keepdims=True))
    if len(samples) == 1:
        return np.repeat(samples, int(channels or 1), axis=0)
    raise FeatureError(f"Audio: got {len(samples)} channels for num_channels={channels}. "
                       "Expected 1, or as many as there are")
