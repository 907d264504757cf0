"""AutoTokenizer: the class that a folder's files name, or that its model_type implies."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

from enfold.errors import EnfoldError
from enfold.files import HubOptions
from enfold.text.classes import class_named
from enfold.text.kinds import BY_MODEL_TYPE
from enfold.text.sources import find
from enfold.text.tokenizer import Tokenizer


class AutoTokenizer:
    """`AutoTokenizer.from_pretrained(folder_or_name)` gives a Tokenizer of the right class."""

    def __init__(self) -> NoReturn:
        raise EnfoldError("AutoTokenizer is not a tokenizer itself. Do: "
                          "AutoTokenizer.from_pretrained(folder_or_name)")

    @staticmethod
    def from_pretrained(pretrained_model_name_or_path: str | Path, **kwargs: Any) -> Tokenizer:
        """Read the tokenizer of a folder, a Hub repository or one file.

        gguf_file: of the folder or repository, to take the vocabulary from (or give its path).
        Hub: revision, cache_dir, token, local_files_only, subfolder, force_download.  Any role,
        limit or side by keyword (`pad_token=`, `model_max_length=`, `padding_side=`,
        `add_bos_token=`, ...) goes before what the files say.  Reads files only: code in a
        repository is never run, whatever trust_remote_code says.
        """
        options = HubOptions.pop(kwargs)
        kind = kwargs.pop("tokenizer_type", None)  # a model_type, or a class
        source = find(pretrained_model_name_or_path, options, BY_MODEL_TYPE.get(kind, kind),
                      bool(kwargs.get("from_slow")), kwargs.pop("gguf_file", None))
        return class_named(source.class_name)._from_source(source, kwargs)
