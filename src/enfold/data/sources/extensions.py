"""Which format a file is of, by its name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from enfold.data.sources.opening import members
from enfold.errors import DataError

Format = tuple[str, dict[str, Any]]  # its name and the options that go with the extension

IMAGES = """apng blp bmp bufr bw cur dcx dds dib emf eps fit fits flc fli ftc ftu gbr gif grib h5
    hdf icb icns ico iim im j2c j2k jfif jp2 jpc jpe jpeg jpf jpg jpx mpeg mpg msp pbm pcd pcx pgm
    png pnm ppm ps psd pxr ras rgb rgba sgi tga tif tiff vda vst webp wmf xbm xpm"""
AUDIOS = """aiff au avr caf flac htk ircam mat4 mat5 mp3 mpc2k nist ogg opus paf pvf raw rf64 sd2
    sds svx voc w64 wav wavex wve xi"""
WITH_SOUND = "3g2 3gp asf avi f4v flv m4v mkv mov mp4 mxf nut ogm webm wma wmv"  # read for it
VIDEOS = "avi mkv mov mp4 mpeg"
MESHES = "glb gltf ply stl"

# extension -> format; what comes later in the table wins, as in `datasets`
FORMATS: dict[str, Format] = {f".{extension}": (name, options) for name, extensions, options in [
    ("csv", "csv", {}), ("csv", "tsv", {"sep": "\t"}), ("json", "json jsonl ndjson", {}),
    ("parquet", "parquet geoparquet gpq", {}), ("arrow", "arrow", {}), ("text", "txt", {}),
    ("conll", "conll", {}), ("conll", "conllu", {"comment_prefix": "#"}),
    ("webdataset", "tar", {}), ("xml", "xml", {}), ("hdf5", "hdf5 h5", {}), ("lance", "lance", {}),
    ("tsfile", "tsfile", {}), ("vortex", "vortex", {}),
    ("fasta", "fa fasta fna ffn faa frn afa", {}), ("genbank", "gb gbk genbank", {}),
    ("fastq", "fq fastq", {}), ("pdb", "pdb ent", {}), ("mmcif", "cif mmcif", {}),
    ("imagefolder", IMAGES, {}), ("audiofolder", f"{AUDIOS} {WITH_SOUND}", {}),
    ("videofolder", VIDEOS, {}),
    ("meshfolder", MESHES, {}), ("pdffolder", "pdf", {}), ("niftifolder", "nii", {}),
] for extension in extensions.split()}
KNOWN = [*FORMATS, ".zip"]
METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")  # beside images and sounds
FAVOURITES = (".parquet", ".lance", ".vortex", ".arrow", ".jsonl", ".json", ".csv")


def extensions(path: str) -> list[str]:
    """Every extension in a file's name, in lower case: `.csv` and `.gz` of `a.csv.gz`."""
    return [suffix.lower() for suffix in PurePosixPath(path.split("::")[0]).suffixes]


def infer_format(files: Mapping[str, Sequence[str]]) -> Format:
    """The format of the files of each split: the one with the most files.

    Raises DataError where splits differ, or none is known.
    """
    found = {split: _format_of(paths) for split, paths in files.items()}
    known = [form for form in found.values() if form is not None]
    if not known:
        names = sorted({PurePosixPath(path).name for paths in files.values() for path in paths})
        raise DataError(f"no format is known for {names[:5]}. Expected an extension of {KNOWN}. "
                        f"Do: name the format, as in load_dataset('csv', data_files=...)")
    if any(form != known[0] for form in found.values()):
        formats = {split: form and form[0] for split, form in found.items()}
        raise DataError(f"the splits are of different formats: {formats}. Expected one. Do: pass "
                        f"data_files= of one format")
    return known[0]


def _format_of(paths: Sequence[str]) -> Format | None:
    counts = Counter((extension, PurePosixPath(path).name in METADATA)
                     for path in paths for extension in extensions(path))
    if not counts:
        return None

    def rank(item: tuple[str, bool]) -> tuple[Any, ...]:
        extension, metadata = item
        return (not metadata, counts[item], *(extension == one for one in FAVOURITES), extension)

    for extension, _ in sorted(counts, key=rank, reverse=True):
        if extension in FORMATS:
            return FORMATS[extension]
        if extension == ".zip":
            return _format_of([name for path in paths if path.endswith(".zip")
                               for name in members(path)])
    return None
