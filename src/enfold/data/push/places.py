"""Where shards go: a repository of the Hub, or a bucket."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from enfold.data import config
from enfold.data.push.request import Request


def client(token: str | bool | None) -> Any:
    """huggingface_hub's client."""
    from huggingface_hub import HfApi

    return HfApi(endpoint=config.setting("HF_ENDPOINT"), token=token, library_name="enfold")


@dataclass
class Remote:
    """A file that is there.  digest: the SHA-256 of its content, where the Hub tells it."""

    size: int
    digest: str | None = None


@dataclass
class Repository:
    """A repository at a branch; can be pickled."""

    name: str
    revision: str | None
    create_pr: bool
    token: str | bool | None
    there: dict[str, Remote] = field(default_factory=dict)

    def put(self, path: str, local: str) -> Any:
        """Upload a file and return what commits it; None if it is there already."""
        from huggingface_hub import CommitOperationAdd

        addition = CommitOperationAdd(path_in_repo=path, path_or_fileobj=local)
        known = self.there.get(path)
        if known is not None and known.digest == addition.upload_info.sha256.hex():
            return None
        client(self.token).preupload_lfs_files(
            repo_id=self.name, additions=[addition], repo_type="dataset", revision=self.revision,
            create_pr=self.create_pr)
        if addition.path_or_fileobj == local:  # the Hub takes it with the commit, as it is small
            addition.path_or_fileobj = Path(local).read_bytes()
        return addition

    def files(self, folder: str, revision: str | None) -> dict[str, Remote]:
        """The files directly in a folder, at a revision."""
        from huggingface_hub.errors import EntryNotFoundError

        try:
            entries = list(client(self.token).list_repo_tree(
                self.name, path_in_repo=folder, repo_type="dataset", revision=revision))
        except EntryNotFoundError:
            return {}
        return {entry.path: Remote(entry.size, entry.lfs.sha256 if entry.lfs else None)
                for entry in entries if hasattr(entry, "size")}

    def read(self, path: str, revision: str | None) -> str | None:
        """The text of a file at a revision; None if there is none."""
        from huggingface_hub.errors import EntryNotFoundError

        try:
            local = client(self.token).hf_hub_download(self.name, path, repo_type="dataset",
                                                       revision=revision)
        except EntryNotFoundError:
            return None
        with open(local, encoding="utf-8", newline="") as file:
            return file.read()

    def head(self) -> str | None:
        """The newest commit of the branch."""
        info = client(self.token).repo_info(self.name, repo_type="dataset",
                                            revision=self.revision)
        return info.sha  # type: ignore[no-any-return]


@dataclass
class Bucket:
    """A folder of a bucket; can be pickled."""

    name: str
    path: str
    token: str | bool | None

    def put(self, path: str, local: str | bytes) -> None:
        """Upload a file."""
        client(self.token).batch_bucket_files(bucket_id=self.name,
                                              add=[(local, self._inside(path))])

    def files(self, folder: str) -> dict[str, Remote]:
        """The files directly in a folder."""
        system, root = self._system()
        found = system.glob(f"{root}/{folder}/*", detail=True)
        return {name.removeprefix(f"{root}/"): Remote(int(entry["size"] or 0))
                for name, entry in found.items() if entry["type"] == "file"}

    def read(self, path: str) -> str | None:
        """The text of a file; None if there is none."""
        system, root = self._system()
        try:
            return bytes(system.cat_file(f"{root}/{path}")).decode("utf-8")
        except FileNotFoundError:
            return None

    def change(self, add: dict[str, bytes], delete: list[str]) -> None:
        """Write and remove files."""
        client(self.token).batch_bucket_files(
            bucket_id=self.name, add=[(text, self._inside(path)) for path, text in add.items()],
            delete=[self._inside(path) for path in delete])

    def _inside(self, path: str) -> str:
        return f"{self.path}/{path}" if self.path else path

    def _system(self) -> tuple[Any, str]:
        from huggingface_hub import HfFileSystem

        system = HfFileSystem(endpoint=config.setting("HF_ENDPOINT"), token=self.token)
        return system, f"buckets/{self.name}/{self.path}".rstrip("/")


def repository(request: Request) -> Repository:
    """The repository that a push is for, created if need be, as is its branch."""
    from huggingface_hub.errors import RepositoryNotFoundError

    api = client(request.token)
    try:
        name = api.repo_info(request.repo_id, repo_type="dataset").id
    except RepositoryNotFoundError:
        name = api.create_repo(request.repo_id, repo_type="dataset", private=request.private,
                               exist_ok=True).repo_id
    if request.revision is not None and not request.revision.startswith("refs/pr/"):
        api.create_branch(name, branch=request.revision, repo_type="dataset", exist_ok=True)
    return Repository(name, request.revision, request.create_pr, request.token)


def bucket(request: Request, name: str, path: str) -> Bucket:
    """The bucket that a push is for, created if need be."""
    from huggingface_hub.errors import BucketNotFoundError

    api = client(request.token)
    try:
        found = api.bucket_info(name).id
    except BucketNotFoundError:
        found = api.create_bucket(name, private=request.private, exist_ok=True).bucket_id
    return Bucket(found, path, request.token)
