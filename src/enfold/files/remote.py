"""What goes over the network: one question about a repository, and downloads.

Both use huggingface_hub's client, imported here only when a request is really made.  Whatever it
raises leaves as `Refused` (the Hub said no) or `Unreachable` (nobody answered), each carrying a
sentence that tells the user what to do.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from enfold.files import env

Token = str | bool | None


class HubFailure(Exception):  # noqa: N818
    """Why the Hub did not give a file; the text is a clause for a user to read."""


class Refused(HubFailure):
    """The Hub answered: no such repository, revision or file, or no right to see it."""


class Unreachable(HubFailure):
    """No answer, or one that may be better in a minute (a busy or broken server)."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A commit and all its files; `files` is None where the server gives no lists."""

    commit: str | None
    files: frozenset[str] | None


def listing(repo: str, revision: str, token: Token) -> Listing:
    """Ask for the commit behind a revision, and its files: one request."""
    from huggingface_hub.utils import (  # type: ignore[attr-defined]
        build_hf_headers,
        get_session,
        hf_raise_for_status,
    )

    url = f"{env.endpoint()}/api/models/{repo}/revision/{quote(revision, safe='')}"
    try:
        headers = build_hf_headers(token=token)
        response = get_session().get(url, headers=headers, timeout=env.timeout())
        if response.status_code in (404, 405, 501) and "X-Error-Code" not in response.headers:
            return Listing(None, None)  # a plain file server: it is asked file by file
        hf_raise_for_status(response)
        info = response.json()
        return Listing(info["sha"], frozenset(s["rfilename"] for s in info["siblings"]))
    except Exception as error:  # the client's http library changes with its version
        raise failure(error, repo, revision, token) from error


def download(repo: str, filename: str, revision: str, token: Token, cache_dir: Path,
             force: bool) -> Path | None:
    """Fetch one file into the cache; None if the revision has no such file."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(repo, filename, revision=revision, token=token,
                                    cache_dir=cache_dir, force_download=force,
                                    endpoint=env.endpoint()))
    except Exception as error:
        hidden = isinstance(error, LocalEntryNotFoundError)  # "not cached": its cause says why
        if isinstance(error, EntryNotFoundError) and not hidden:
            return None
        cause = (error.__cause__ if hidden else None) or error
        known = failure(cause, repo, revision, token)
        if _status(cause) == 404 and not isinstance(known, Refused):
            return None  # a plain file server's way of saying so
        raise known from error


def failure(error: BaseException, repo: str, revision: str, token: Token) -> HubFailure:
    """Put a failure of the client into words that say what to do about it."""
    from huggingface_hub import errors as hub

    if isinstance(error, hub.LocalTokenNotFoundError):
        return Refused("token=True was given, but no token is stored here. "
                       "Do: `hf auth login`, or set HF_TOKEN")
    status, sent, page = _status(error), _token_sent(token), f"{env.endpoint()}/{repo}"
    if isinstance(error, hub.GatedRepoError):
        return Refused(f"the repository is gated (status {status}, {sent}). Do: accept its terms "
                       f"at {page}, then {_LOG_IN} of the account that did")
    if isinstance(error, hub.RevisionNotFoundError):
        return Refused(f"the repository has no branch, tag or commit {revision!r}. "
                       f"Do: choose one from {page}/tree/main")
    if isinstance(error, hub.DisabledRepoError):
        return Refused(f"the repository was disabled on the Hub, see {page}")
    if isinstance(error, hub.RepositoryNotFoundError):
        return Refused(f"{env.endpoint()} has no such repository, or it is private and not yours "
                       f"to see (status {status}, {sent}). Do: check the name; {_LOG_IN}")
    if status in (401, 403):
        return Refused(f"access was denied (status {status}, {sent}). Do: check that the token is "
                       f"valid and may read {page}; {_LOG_IN}")
    if status is not None:
        return Unreachable(f"{env.endpoint()} answered with status {status}")
    detail = f"{type(error).__name__}: {error}".rstrip(": ").splitlines()[0]
    return Unreachable(f"{env.endpoint()} could not be reached ({detail})")


_LOG_IN = "log in with `hf auth login`, set HF_TOKEN or pass token=, with a token"


def _status(error: Any) -> int | None:
    return getattr(getattr(error, "response", None), "status_code", None)


def _token_sent(token: Token) -> str:
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

    headers = build_hf_headers(token=token)
    return "a token was sent" if "authorization" in headers else "no token was sent"
