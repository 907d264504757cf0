"""`enfold cache`: the computed tables that are kept: listed, checked, removed."""

from __future__ import annotations

import json
import time
from argparse import Namespace
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from enfold.cli.info import size
from enfold.data.cache import Entry, cache_folder, cache_limit, ls, prune, rm, verify
from enfold.errors import FileMissing, InputError, nearest

AGES = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))


def main(args: Namespace) -> int:
    """Run one action; 1 if results are damaged, or were to be removed and are in use."""
    folder = Path(args.folder).expanduser() if args.folder else cache_folder()
    actions = {"ls": listed, "rm": removed, "verify": verified, "prune": pruned}
    return actions[args.action](args, folder)


def listed(args: Namespace, folder: Path) -> int:
    """The results, the most recently used first."""
    found = ls(folder)
    if args.json:
        show({"folder": str(folder), "limit": cache_limit(folder),
              "size": sum(entry.size for entry in found),
              "results": [{**facts(entry), "in_use": entry.in_use} for entry in found]})
        return 0
    if found:
        print(table(found))
    limit = cache_limit(folder)
    most = f" of at most {size(limit)}" if limit is not None else ""
    print(f"{results(found)}{most}, in {folder}")
    return 0


def removed(args: Namespace, folder: Path) -> int:
    """Remove results by their keys, or all of them."""
    if bool(args.keys) == args.all:
        raise InputError("got " + ("keys and --all" if args.all else "no key") + ". Expected keys "
                         "or --all. Do: enfold cache ls shows the keys")
    keys = [entry.key for entry in ls(folder)] if args.all else known(args.keys, folder)
    gone = rm(*keys, folder=folder, force=args.force)
    left = sorted(set(keys) - {entry.key for entry in gone})
    if args.json:
        show({"removed": [facts(entry) for entry in gone], "in_use": left})
        return 1 if left else 0
    print(f"removed {results(gone)}")
    if left:
        print(f"in use, and left: {', '.join(left)}. Do: end the process that reads them, or add "
              "--force")
    return 1 if left else 0


def verified(args: Namespace, folder: Path) -> int:
    """Read every byte; what is damaged is removed, as it would be computed anew anyway."""
    keys = known(args.keys, folder) if args.keys else [entry.key for entry in ls(folder)]
    damaged = verify(keys, folder=folder)
    gone = [] if args.keep else rm(*damaged, folder=folder)
    if args.json:
        show({"checked": len(keys), "damaged": damaged, "removed": [one.key for one in gone]})
        return 1 if damaged else 0
    for key, what in damaged.items():
        print(f"{key}: {what}")
    print(f"{len(keys)} checked, {len(damaged)} damaged, {len(gone)} removed, in {folder}")
    return 1 if damaged else 0


def pruned(args: Namespace, folder: Path) -> int:
    """Remove leftovers, damaged results, and the least recently used above the limit."""
    gone = prune(args.limit, args.unused * 86_400 if args.unused is not None else None, folder)
    if args.json:
        show({"removed": [facts(entry) for entry in gone]})
        return 0
    if gone:
        print(table(gone))
    print(f"removed {results(gone)}; left {results(ls(folder))}, in {folder}")
    return 0


def known(keys: Sequence[str], folder: Path) -> list[str]:
    """Whole keys for keys or beginnings of them."""
    there = [entry.key for entry in ls(folder)]
    return list(dict.fromkeys(one for key in keys for one in whole(key, there, folder)))


def whole(key: str, there: Sequence[str], folder: Path) -> list[str]:
    """The one key that is `key`, or begins with it, and the keys of what belongs to its result."""
    found = [one for one in there if one == key or one.startswith(f"{key}-")] if key in there \
        else [one for one in there if one.startswith(key)]
    apart = [one for one in found if not any(one.startswith(f"{other}-") for other in found)]
    if len(apart) == 1:
        return found
    if found:
        raise InputError(f"{key!r} begins {len(apart)} keys: {', '.join(apart[:3])}. Expected one. "
                         "Do: write more of it")
    raise FileMissing(f"the cache in {folder} has no result {key!r}{nearest(key, there)}. Do: "
                      "enfold cache ls shows what it has")


def table(found: Iterable[Entry]) -> str:
    """A line for each result: its size, when it was last used, what it is, its key."""
    now = time.time()
    rows = [(size(entry.size), age(now - entry.used), entry.note or "-", entry.key)
            for entry in found]
    rows.insert(0, ("size", "last used", "what", "key"))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join(f"{bytes_:>{widths[0]}}  {used:<{widths[1]}}  {what:<{widths[2]}}  {key}"
                     for bytes_, used, what, key in rows)


def facts(entry: Entry) -> dict[str, Any]:
    """A result for JSON; times are seconds since 1970."""
    return {"key": entry.key, "size": entry.size, "created": entry.created, "used": entry.used,
            "note": entry.note, "path": str(entry.path)}


def results(found: Sequence[Entry]) -> str:
    """How many, and their bytes."""
    many = "" if len(found) == 1 else "s"
    return f"{len(found)} result{many}, {size(sum(entry.size for entry in found))}"


def age(seconds: float) -> str:
    """Time for people, in its largest unit."""
    for unit, name in AGES:
        if (count := int(seconds // unit)) >= 1:
            return f"{count} {name}{'s' if count > 1 else ''} ago"
    return "now"


def show(found: Any) -> None:
    """JSON, indented."""
    print(json.dumps(found, indent=2))
