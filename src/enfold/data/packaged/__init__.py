"""The formats that `load_dataset` knows by name, each a module with its builder and configuration.

    builder_class("csv")                   -> Csv
    infer_module_for_data_files_list([..]) -> ("csv", {"sep": "\\t"})
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from inspect import isabstract, isclass
from typing import Any

from enfold.data.datafiles import DataFilesNotFoundError
from enfold.data.sources.extensions import FORMATS, METADATA, infer_format
from enfold.errors import DataError, FileMissing

__all__ = ["MODULES", "builder_class", "import_main_class", "infer_module_for_data_files",
           "infer_module_for_data_files_list", "infer_module_for_data_files_list_in_archives",
           "known_extensions", "module_extensions", "module_hash"]

_VERSION = "1"  # part of the hash of every format: raise it when what is read changes
_NAMES = ("arrow", "audiofolder", "conll", "csv", "eval", "fasta", "fastq", "genbank", "harbor",
          "hdf5", "iceberg", "imagefolder", "json", "lance", "meshfolder", "mmcif", "niftifolder",
          "pandas", "parquet", "pdb", "pdffolder", "sql", "text", "tsfile", "videofolder", "vortex",
          "webdataset", "xml")
MODULES = {name: f"{__name__}.{name}" for name in _NAMES if find_spec(f"{__name__}.{name}")}
EXTENSIONS = {extension: found for extension, found in FORMATS.items() if found[0] in MODULES}


def builder_class(name: str) -> Any:
    """The builder of a format by its name."""
    return import_main_class(MODULES[name])


def import_main_class(module_path: str) -> Any:
    """The builder that a module defines."""
    from enfold.data.builder import DatasetBuilder
    module = import_module(module_path)
    found = [one for one in vars(module).values() if isclass(one)
             and issubclass(one, DatasetBuilder) and not isabstract(one)]
    own = [one for one in found if one.__module__ == module_path]
    return next(iter(own or found), None)


def module_hash(name: str) -> str:
    """What changes when a format is read differently."""
    from enfold.data.fingerprint import digest
    return digest(["enfold.data.packaged", name, _VERSION])


def known_extensions() -> list[str]:
    """The extensions of data files, in lower case."""
    return [*EXTENSIONS, ".zip"]


def module_extensions(name: str) -> tuple[list[str], list[str]]:
    """The extensions of a format's files, and the names of metadata files beside them."""
    own = [extension for extension, found in EXTENSIONS.items() if found[0] == name]
    return [*own, ".zip"], list(METADATA) if name.endswith("folder") else []


def infer_module_for_data_files_list(data_files_list: Sequence[str], download_config: Any = None
                                     ) -> tuple[str | None, dict[str, Any]]:
    """The format of most of the files and its options; (None, {}) where none is known."""
    try:
        name, options = infer_format({"train": data_files_list})
    except FileMissing:
        raise
    except DataError:
        return None, {}
    return (name, dict(options)) if name in MODULES else (None, {})


def infer_module_for_data_files_list_in_archives(
        data_files_list: Sequence[str],
        download_config: Any = None) -> tuple[str | None, dict[str, Any]]:
    """The same for the members of zip archives."""
    return infer_module_for_data_files_list(
        [file for file in data_files_list if str(file).endswith(".zip")], download_config)


def infer_module_for_data_files(data_files: Mapping[str, Sequence[str]], path: str | None = None,
                                download_config: Any = None) -> tuple[str, dict[str, Any]]:
    """The format of the files of all splits and its options.

    Raises DataFilesNotFoundError where none is known, DataError where the splits differ.
    """
    found = {split: infer_module_for_data_files_list(files, download_config)
             for split, files in data_files.items()}
    name, options = next(iter(found.values()), (None, {}))
    if any(one != (name, options) for one in found.values()):
        raise DataError(f"Couldn't infer the same data file format for all splits. Got {found}. "
                        f"Expected one. Do: pass data_files= of one format")
    if name is None:
        within = f" in {path}" if path else ""
        some = [file.rsplit("/", 1)[-1] for many in data_files.values() for file in many][:5]
        got = f" Got {some}." if some else ""
        raise DataFilesNotFoundError(
            f"No (supported) data files found{within}.{got} Expected one of the extensions "
            f"{known_extensions()[:12]}, ... Do: name the format, as in load_dataset('csv', "
            f"data_files=...)")
    return name, options
