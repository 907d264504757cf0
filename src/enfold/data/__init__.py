"""Data: Arrow tables behind a lazy plan, with the API of Hugging Face `datasets`.

Names are loaded when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_PLACES = {
    "enfold.data.dataset": "Dataset",
    "enfold.data.dict": "DatasetDict IterableDatasetDict",
    "enfold.data.combine": "concatenate_datasets interleave_datasets",
    "enfold.data.distributed": "split_dataset_by_node",
    "enfold.data.streaming": "IterableDataset",
    "enfold.data.saving": "load_from_disk",
    "enfold.data.features":
        "Array2D Array3D Array4D Array5D Audio BioSequence BioStructure ClassLabel Features Image "
        "Json LargeList List Mesh Nifti Pdf Sequence Translation TranslationVariableLanguages "
        "Value Video",
    "enfold.data.formatting": "Column IterableColumn",
    "enfold.data.info": "DatasetInfo DatasetInfosDict",
    "enfold.data.splits":
        "NamedSplit NamedSplitAll ReadInstruction Split SplitBase SplitDict SplitGenerator "
        "SplitInfo SubSplitInfo percent",
    "enfold.data.version": "Version",
    "enfold.data.builder":
        "ArrowBasedBuilder BuilderConfig DatasetBuilder GeneratorBasedBuilder VerificationMode",
    "enfold.data.download":
        "DownloadConfig DownloadManager DownloadMode StreamingDownloadManager",
    "enfold.data.load":
        "get_dataset_config_info get_dataset_config_names get_dataset_default_config_name "
        "get_dataset_infos get_dataset_split_names load_dataset load_dataset_builder",
    "enfold.data.cache": "disable_caching enable_caching is_caching_enabled",
    "enfold.data.executor":
        "are_progress_bars_disabled disable_progress_bar disable_progress_bars "
        "enable_progress_bar enable_progress_bars is_progress_bar_enabled tqdm",
    "enfold.data.plan": "set_eager",
}
_HOME = {name: module for module, names in _PLACES.items() for name in names.split()}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(import_module(_HOME[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'enfold.data' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
