"""The commits of a push: shards in parts of 50, then the card; again if another came between."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Sequence
from typing import Any

from enfold.data.config import setting
from enfold.data.push.card import Before, updated_card
from enfold.data.push.places import Repository, bucket, client, repository
from enfold.data.push.request import Request
from enfold.data.push.shards import Pushed, push_split
from enfold.files import repo as asked

_log = logging.getLogger(__name__)
_CONFLICT, _MOVED = 409, 412  # another commit is in progress; the parent is no longer the newest


def push(request: Request) -> Any:
    """Push the splits; returns huggingface_hub's CommitInfo, None for a bucket."""
    if request.bucket is not None:
        return _to_bucket(request, *request.bucket)
    place = repository(request)
    place.there = place.files(request.folder, request.revision)
    pushed = [push_split(request, place, split) for split in request.splits]
    additions = [addition for one in pushed for addition in one.additions]
    limit = int(setting("UPLOADS_MAX_NUMBER_PER_COMMIT"))
    if len(additions) > limit:
        _commit_parts(request, place, [additions[start:start + limit]
                                       for start in range(0, len(additions), limit)])
        additions = []
    found = _retried(lambda: _commit_last(request, place, pushed, additions))
    asked.forget(place.name)
    return found


def _commit_parts(request: Request, place: Repository, parts: Sequence[list[Any]]) -> None:
    _log.info("%d commits, of at most %d files each", len(parts) + 1, len(parts[0]))
    for number, part in enumerate(parts):
        message = f"{request.commit_message} (part {number:05d}-of-{len(parts):05d})"
        made = _retried(lambda part=part, message=message: _commit(  # type: ignore[misc]
            request, place, part, message), (_CONFLICT,))
        if place.create_pr:  # what follows goes to the same pull request
            place.create_pr, place.revision = False, made.pr_revision


def _commit_last(request: Request, place: Repository, pushed: Sequence[Pushed],
                 additions: list[Any]) -> Any:
    """The commit that makes the data what the card says."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    parent = place.head()
    there = place.files(request.folder, parent)
    old = {path: file for path, file in there.items() if _replaced(request, path)}
    data = there if request.folder == "data" else place.files("data", parent)
    before = Before(lambda path: place.read(path, parent),
                    sum(file.size for file in old.values()), data)
    files = updated_card(request, pushed, before)
    new = {path for one in pushed for path in one.paths}
    operations = [*additions,
                  *(CommitOperationAdd(path_in_repo=path, path_or_fileobj=text)
                    for path, text in files.items()),
                  *(CommitOperationDelete(path_in_repo=path) for path in old if path not in new)]
    return _commit(request, place, operations, request.commit_message or "", parent)


def _commit(request: Request, place: Repository, operations: Sequence[Any], message: str,
            parent: str | None = None) -> Any:
    options = {"parent_commit": parent} if parent is not None else {}
    return client(request.token).create_commit(
        place.name, operations=list(operations), commit_message=message,
        commit_description=request.commit_description, repo_type="dataset",
        revision=place.revision, create_pr=place.create_pr, **options)


def _replaced(request: Request, path: str) -> bool:
    """Whether a file of the folder is one of those that the push stands for."""
    if request.whole:
        return True
    name = path.removeprefix(f"{request.folder}/")
    return any(name.startswith(f"{split}-") for split in request.splits)


def _retried(make: Callable[[], Any], codes: tuple[int, ...] = (_CONFLICT, _MOVED)) -> Any:
    """Do it again, after a while, when another commit was made at the same time."""
    from huggingface_hub.errors import HfHubHTTPError

    seconds = 0
    while True:
        try:
            return make()
        except HfHubHTTPError as error:
            if not any(_status(cause) in codes for cause in (error, error.__context__)):
                raise
            _log.info("Another commit was made at the same time. Trying again")
        time.sleep(min(seconds, 30) * (1 + random.random()))
        seconds += 1


def _status(error: Any) -> int | None:
    return getattr(getattr(error, "response", None), "status_code", None)


def _to_bucket(request: Request, name: str, path: str) -> None:
    place = bucket(request, name, path)
    old = {path: file for path, file in place.files(request.folder).items()
           if _replaced(request, path)}
    pushed = [push_split(request, place, split) for split in request.splits]
    data = place.files("data")
    files = updated_card(request, pushed, Before(
        place.read, sum(file.size for file in old.values()), data))
    new = {path for one in pushed for path in one.paths}
    place.change(files, [path for path in old if path not in new])
