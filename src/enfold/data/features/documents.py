"""`Video`, `Pdf`, `Nifti`, `Mesh`, `BioSequence`, `BioStructure`: decoded by packages of their own.

Each package is imported when a value is decoded; where it is missing, the error names it.
"""

from __future__ import annotations

import gzip
import os
import sys
from dataclasses import dataclass, field
from io import BytesIO, StringIO
from types import ModuleType
from typing import Any, ClassVar

from enfold.data.features.errors import FeatureError
from enfold.data.features.files import Encoded, FileFeature, Tokens, is_local, read_bytes
from enfold.errors import DependencyError
from enfold.lazy import require

_MESHES = ("glb", "gltf", "ply", "stl")
_STRUCTURES = {"pdb": ("PDBParser", "PDBIO"), "mmcif": ("MMCIFParser", "MMCIFIO")}


@dataclass
class Video(FileFeature):
    """Videos: in as a path or bytes; out as torchcodec's VideoDecoder, which takes the options."""

    decode: bool = True
    stream_index: int | None = None
    dimension_order: str = "NCHW"
    num_ffmpeg_threads: int = 1
    device: Any = "cpu"
    seek_mode: str = "exact"
    id: str | None = field(default=None, repr=False)
    dtype: ClassVar[str] = "torchcodec.decoders.VideoDecoder"
    _type: str = field(default="Video", init=False, repr=False)

    def _decode(self, path: str | None, content: bytes | None, tokens: Tokens | None) -> Any:
        video = require("torchcodec.decoders").VideoDecoder(
            _source(path, content, tokens), stream_index=self.stream_index,
            dimension_order=self.dimension_order, num_ffmpeg_threads=self.num_ffmpeg_threads,
            device=self.device, seek_mode=self.seek_mode)
        video._hf_encoded = {"path": path, "bytes": content}
        video.metadata.path = path
        return video


@dataclass
class Pdf(FileFeature):
    """PDF documents: in as a path, bytes, a pdfplumber PDF; out as the latter."""

    decode: bool = True
    id: str | None = field(default=None, repr=False)
    dtype: ClassVar[str] = "pdfplumber.pdf.PDF"
    _type: str = field(default="Pdf", init=False, repr=False)

    def _encode_object(self, value: Any) -> Encoded | None:
        if not _is_a(value, "pdfplumber.pdf", "PDF"):
            return None
        if name := getattr(value.stream, "name", None):
            return {"path": name, "bytes": None}
        value.stream.seek(0)
        return {"path": None, "bytes": value.stream.read()}

    def _decode(self, path: str | None, content: bytes | None, tokens: Tokens | None) -> Any:
        source = _source(path, content, tokens)
        opened = BytesIO(source) if isinstance(source, bytes) else source
        return require("pdfplumber").open(opened)


@dataclass
class Nifti(FileFeature):
    """NIfTI volumes: in as a path, bytes, a nibabel image; out as nibabel's Nifti1Image."""

    decode: bool = True
    id: str | None = field(default=None, repr=False)
    dtype: ClassVar[str] = "nibabel.nifti1.Nifti1Image"
    _type: str = field(default="Nifti", init=False, repr=False)

    def _encode_object(self, value: Any) -> Encoded | None:
        if not _is_a(value, "nibabel.spatialimages", "SpatialImage"):
            return None
        file = (value.file_map or {}).get("image")
        if file is not None and file.filename:
            return {"path": str(file.filename), "bytes": None}
        return {"path": None, "bytes": value.to_bytes()}

    def _decode(self, path: str | None, content: bytes | None, tokens: Tokens | None) -> Any:
        nibabel = require("nibabel")
        if path and path.startswith("gzip://"):
            path = path.split("::")[-1]
        source = _source(path, content, tokens)
        if not isinstance(source, bytes):
            return nibabel.load(source)
        packed = source[:2] == b"\x1f\x8b"
        return nibabel.Nifti1Image.from_bytes(gzip.decompress(source) if packed else source)


@dataclass
class Mesh(FileFeature):
    """3D meshes (glb, gltf, ply, stl): in as a path, bytes, a trimesh object; out as the latter."""

    decode: bool = True
    id: str | None = field(default=None, repr=False)
    dtype: ClassVar[str] = "trimesh.Trimesh"
    _type: str = field(default="Mesh", init=False, repr=False)

    def _encode_object(self, value: Any) -> Encoded | None:
        if not (_is_a(value, "trimesh", "Trimesh") or _is_a(value, "trimesh", "Scene")):
            return None
        metadata = value.metadata if isinstance(value.metadata, dict) else {}
        path = metadata.get("file_path") or metadata.get("file_name")
        if path and os.path.isfile(path):
            return {"path": path, "bytes": None}
        return {"path": os.path.basename(path or "mesh.glb"),
                "bytes": value.export(file_type="glb")}

    def _decode(self, path: str | None, content: bytes | None, tokens: Tokens | None) -> Any:
        trimesh = require("trimesh")
        name = (path or "").split("::")[0].split("?")[0]
        kind = os.path.splitext(name)[1].lower().lstrip(".")
        if kind not in _MESHES:
            raise FeatureError(f"Mesh: the kind of {path!r} is not known; decoding requires a "
                               f"'path' value that ends in one of .{', .'.join(_MESHES)}")
        source = _source(path, content, tokens)
        return trimesh.load(BytesIO(source) if isinstance(source, bytes) else source,
                            file_type=kind)


@dataclass
class BioSequence(FileFeature):
    """Biological sequences: in as a path, bytes, a SeqRecord; out as the file's first SeqRecord.

    format: as Bio.SeqIO names it: "fasta", "fastq", "genbank".
    """

    format: str = "fasta"
    decode: bool = True
    id: str | None = field(default=None, repr=False)
    dtype: ClassVar[str] = "Bio.SeqRecord.SeqRecord"
    _type: str = field(default="BioSequence", init=False, repr=False)

    def _encode_object(self, value: Any) -> Encoded | None:
        if not _is_a(value, "Bio.SeqRecord", "SeqRecord"):
            return None
        text = StringIO()
        _biopython("SeqIO").write(value, text, self.format)
        return {"path": None, "bytes": text.getvalue().encode()}

    def _decode(self, path: str | None, content: bytes | None, tokens: Tokens | None) -> Any:
        records = _biopython("SeqIO").parse(_text(path, content, tokens), self.format)
        record = next(iter(records), None)
        if record is None:
            raise FeatureError(f"BioSequence: {path or 'the bytes'}: no {self.format} record in it")
        return record


@dataclass
class BioStructure(FileFeature):
    """Molecular structures: in as a path, bytes, a Bio.PDB Structure; out as the latter.

    format: "pdb" or "mmcif".
    """

    format: str = "pdb"
    decode: bool = True
    id: str | None = field(default=None, repr=False)
    dtype: ClassVar[str] = "Bio.PDB.Structure.Structure"
    _type: str = field(default="BioStructure", init=False, repr=False)

    def __post_init__(self) -> None:
        if self.format not in _STRUCTURES:
            raise FeatureError(f"BioStructure: got format={self.format!r}. Expected one of "
                               f"{', '.join(map(repr, _STRUCTURES))}")

    def _encode_object(self, value: Any) -> Encoded | None:
        if not _is_a(value, "Bio.PDB.Structure", "Structure"):
            return None
        writer = getattr(_biopython("PDB"), _STRUCTURES[self.format][1])()
        writer.set_structure(value)
        text = StringIO()
        writer.save(text)
        return {"path": None, "bytes": text.getvalue().encode()}

    def _decode(self, path: str | None, content: bytes | None, tokens: Tokens | None) -> Any:
        parser = getattr(_biopython("PDB"), _STRUCTURES[self.format][0])(QUIET=True)
        name = os.path.splitext(os.path.basename(path or "structure"))[0]
        return parser.get_structure(name, _text(path, content, tokens))


def _biopython(module: str) -> ModuleType:
    try:
        return require(f"Bio.{module}")
    except DependencyError as error:  # another package has the name Bio
        raise DependencyError("this needs the package 'biopython', which is not installed. "
                              "Do: pip install biopython") from error


def _source(path: str | None, content: bytes | None, tokens: Tokens | None) -> str | bytes:
    """The path of a file of this machine, else its content."""
    if content is not None:
        return content
    return path if path and is_local(path) else read_bytes(path or "", tokens)


def _text(path: str | None, content: bytes | None, tokens: Tokens | None) -> StringIO:
    data = read_bytes(path or "", tokens) if content is None else content
    return StringIO(data.decode("utf-8"), newline=None)


def _is_a(value: Any, module: str, name: str) -> bool:
    """Whether it is an instance of a class, without importing its module."""
    loaded = sys.modules.get(module)
    return loaded is not None and isinstance(value, getattr(loaded, name))
