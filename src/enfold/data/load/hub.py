"""Repositories on the Hub: their commit and files in one request, and what failed in words."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from enfold.data import config
from enfold.data.load.errors import DatasetNotFoundError
from enfold.data.sources.patterns import remember_commit
from enfold.errors import nearest
from enfold.lazy import require

T = TypeVar("T")
TIMEOUT = 100.0  # seconds, for the metadata of a repository
PARQUET = "refs/convert/parquet"  # where the Hub keeps a repository's data as Parquet
COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class Repository:
    """A dataset's repository at one commit.  files: the names of all its files."""

    name: str
    commit: str
    files: tuple[str, ...]

    @property
    def root(self) -> str:
        """Its URL for fsspec."""
        return f"hf://datasets/{self.name}@{self.commit}"


def repository(name: str, revision: str | None, download_config: Any,
               known: Any = ()) -> Repository:
    """The repository at a branch, tag or commit.

    No request is made for a commit whose files were asked for before.
    known: other names that may have been meant.  Raises DatasetNotFoundError, ConnectionError.
    """
    found = _noted(name, revision) if revision and COMMIT.fullmatch(revision) else None
    if found is None:
        info = asking(name, revision, lambda: api(download_config).dataset_info(
            name, revision=revision, timeout=TIMEOUT), known)
        found = Repository(info.id, info.sha, tuple(one.rfilename for one in info.siblings or ()))
        _note(found)
    remember_commit(found.root.removeprefix("hf://"), found.files)
    return found


def _note_path(name: str, commit: str) -> Path:
    folder = Path(config.setting("HF_DATASETS_CACHE")).expanduser() / "commits"
    return folder / name.replace("/", "___") / f"{commit}.json"


def _noted(name: str, commit: str) -> Repository | None:
    try:
        files = json.loads(_note_path(name, commit).read_text("utf-8"))
    except (OSError, ValueError):  # not there, or cut off
        return None
    return Repository(name, commit, tuple(files))


def _note(repo: Repository) -> None:
    path = _note_path(repo.name, repo.commit)
    if path.exists():
        return
    with suppress(OSError):  # a cache that can't be written to costs a request next time
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.part")
        part.write_text(json.dumps(repo.files), "utf-8")
        part.replace(path)


def api(download_config: Any) -> Any:
    """huggingface_hub's client, with the token of the call."""
    return require("huggingface_hub").HfApi(
        endpoint=config.setting("HF_ENDPOINT"), token=getattr(download_config, "token", None),
        library_name="enfold")


def read(repo: Repository, name: str, download_config: Any) -> str:
    """The text of one file, downloaded unless it is in the Hub's cache."""
    offline = bool(config.setting("HF_HUB_OFFLINE"))
    path = asking(repo.name, repo.commit, lambda: api(download_config).hf_hub_download(
        repo_id=repo.name, filename=name, repo_type="dataset", revision=repo.commit,
        local_files_only=offline), cached=True)
    return Path(path).read_text("utf-8")


def asking(name: str, revision: str | None, ask: Callable[[], T], known: Any = (),
           cached: bool = False) -> T:
    """`ask()`, with what the Hub says no to told in words.

    known: other names that may have been meant.  cached: it may need no request.
    """
    errors = require("huggingface_hub.errors")
    if config.setting("HF_HUB_OFFLINE") and not cached:
        raise ConnectionError(f"Couldn't reach '{name}' on the Hub: HF_HUB_OFFLINE is set. Do: "
                              f"unset it, or load once while online")
    try:
        return ask()
    except errors.RevisionNotFoundError as error:
        raise DatasetNotFoundError(f"Revision '{revision}' doesn't exist for dataset '{name}' on "
                                   f"the Hub.") from error
    except errors.GatedRepoError as error:
        status = getattr(error.response, "status_code", None)
        do = ("You must be authenticated to access it. Do: huggingface_hub.login(), or pass "
              "token=" if status == 401 else f"Visit the dataset page at https://huggingface.co/"
              f"datasets/{name} to ask for access.")
        raise DatasetNotFoundError(f"Dataset '{name}' is a gated dataset on the Hub. {do}"
                                   ) from error
    except errors.RepositoryNotFoundError as error:
        raise DatasetNotFoundError(
            f"Dataset '{name}' doesn't exist on the Hub or cannot be accessed{nearest(name, known)}"
            f". Do: check the name; a private one needs token= or huggingface_hub.login()"
            ) from error
    except errors.HFValidationError as error:
        raise DatasetNotFoundError(f"'{name}' is no name of a dataset on the Hub: {error}"
                                   ) from error
    except Exception as error:
        if _unreachable(error):
            raise ConnectionError(f"Couldn't reach '{name}' on the Hub ({type(error).__name__})"
                                  ) from error
        raise


def _unreachable(error: BaseException | None) -> bool:
    """Whether no answer came, through either of the HTTP libraries huggingface_hub uses."""
    names = {"ConnectError", "ConnectionError", "ConnectTimeout", "ReadTimeout", "Timeout",
             "TimeoutException", "OfflineModeIsEnabled", "LocalEntryNotFoundError", "ReadError"}
    while error is not None:
        if isinstance(error, ConnectionError | TimeoutError) or type(error).__name__ in names:
            return True
        error = error.__cause__
    return False
