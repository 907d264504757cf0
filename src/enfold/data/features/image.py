"""`Image`: an image file, decoded by Pillow."""

from __future__ import annotations

import sys
import warnings
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np
import pyarrow as pa

from enfold.data.features.errors import CastError
from enfold.data.features.files import Encoded, FileFeature, Tokens, is_local, read_bytes
from enfold.errors import ArgumentError
from enfold.lazy import require

if TYPE_CHECKING:
    from PIL import Image as Pillow

_PNG_MODES = {"1", "L", "LA", "RGB", "RGBA"}
_WRITABLE = ["b1", "u1", "u2", "i2", "u4", "i4", "f4", "f8"]  # not i1: saving changes it
_NEAREST = {"i1": "i2", "f2": "f4", "i8": "i4", "u8": "u4"}
_LOSSY = {"i8", "u8"}


@dataclass
class Image(FileFeature):
    """Images: in as a path, bytes, a PIL image, a numpy array; out as PIL images.

    mode: what to convert them to ("RGB", "L", ..); None leaves each as it is.
    decode: False hands out {"bytes", "path"}.
    """

    mode: str | None = None
    decode: bool = True
    id: str | None = field(default=None, repr=False)
    dtype: ClassVar[str] = "PIL.Image.Image"
    _type: str = field(default="Image", init=False, repr=False)

    def _encode_object(self, value: Any) -> Encoded | None:
        if isinstance(value, (list, np.ndarray)):
            return encode_array(np.asarray(value))
        return encode_pillow(value) if is_pillow(value) else None

    def _decode(self, path: str | None, content: bytes | None,
                tokens: Tokens | None) -> Pillow.Image:
        pillow, ops = require("PIL.Image", "media"), require("PIL.ImageOps", "media")
        if content is None and path is not None and not is_local(path):
            content = read_bytes(path, tokens)
        image = pillow.open(path if content is None else BytesIO(content))
        image.load()  # closes the file: thousands of them may be decoded
        if image.getexif().get(pillow.ExifTags.Base.Orientation) is not None:
            image = ops.exif_transpose(image)
        converted = image.convert(self.mode) if self.mode and self.mode != image.mode else image
        return cast("Pillow.Image", converted)

    def _cast_lists(self, storage: pa.Array) -> pa.Array:
        if not (pa.types.is_list(storage.type) or pa.types.is_large_list(storage.type)
                or pa.types.is_fixed_size_list(storage.type)):
            raise self._cannot_cast(storage)
        try:
            return self._encode_rows(storage)
        except ValueError as error:
            raise CastError(f"Image: can't be made of {storage.type}: {error}. Expected lists "
                            "[height, width] or [height, width, channels] of numbers") from error


def is_pillow(value: Any) -> bool:
    """Whether it is a PIL image, without importing Pillow."""
    pillow = sys.modules.get("PIL.Image")
    return pillow is not None and isinstance(value, pillow.Image)


def encode_pillow(image: Pillow.Image) -> Encoded:
    """The path of the file that an image was opened from, else its bytes."""
    if path := getattr(image, "filename", ""):
        return {"path": path, "bytes": None}
    return {"path": None, "bytes": image_bytes(image)}


def image_bytes(image: Pillow.Image) -> bytes:
    """An image in the format it came in, else as PNG, or TIFF where PNG lacks its mode."""
    pillow = require("PIL.Image", "media")
    pillow.init()
    kept = image.format if image.format in pillow.OPEN and image.format in pillow.SAVE else None
    buffer = BytesIO()
    image.save(buffer, format=kept or ("PNG" if image.mode in _PNG_MODES else "TIFF"))
    return buffer.getvalue()


def encode_array(array: np.ndarray) -> Encoded:
    """An array [height, width] of numbers or [height, width, channels] of integers."""
    pillow = require("PIL.Image", "media")
    pixels = array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array
    image = pillow.fromarray(pixels.astype(_pixel_dtype(array)))
    return {"path": None, "bytes": image_bytes(image)}


def _pixel_dtype(array: np.ndarray) -> np.dtype:
    kind = f"{array.dtype.kind}{array.dtype.itemsize}"
    if array.ndim > 2:
        if array.dtype.kind not in "ui":
            raise ArgumentError(f"Image: got an array of {array.dtype} with channels. Expected "
                                "uint8: scale it to 0..255 and convert it")
        chosen, lossy = "u1", kind != "u1"
    elif kind in _WRITABLE:
        return array.dtype
    elif kind in _NEAREST:
        chosen, lossy = _NEAREST[kind], kind in _LOSSY
    else:
        raise ArgumentError(f"Image: got an array of {array.dtype}. Expected one of bool, uint8, "
                            "uint16, int16, uint32, int32, float32, float64")
    if lossy:
        to = np.dtype(chosen)
        warnings.warn(f"Image: Downcasting array dtype {array.dtype} to {to}, which Pillow "
                      f"can write ({to.str})", stacklevel=4)
    return np.dtype(chosen)
