"""The card of a repository after a push: `dataset_info` and `configs` of its head."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from enfold.data.card import card_text
from enfold.data.config import DATASETDICT_INFOS_FILENAME, REPOCARD_FILENAME
from enfold.data.datafiles import sanitize_patterns
from enfold.data.dicts import asdict
from enfold.data.features import Features
from enfold.data.info import DatasetInfo, DatasetInfosDict, MetadataConfigs
from enfold.data.push.request import Request
from enfold.data.push.shards import Pushed
from enfold.data.sources.readme import metadata
from enfold.data.splits import SplitDict
from enfold.errors import DataError

_SHARD = re.compile(r"data/(.+)-\d{5}-of-\d{5}[^/]*\.parquet")


@dataclass
class Before:
    """What is in the repository.  read: the text of a file, or None.  deleted: bytes of the files
    of the pushed split that were there.  data: the names in the folder data/."""

    read: Callable[[str], str | None]
    deleted: int
    data: Iterable[str]


def updated_card(request: Request, pushed: Sequence[Pushed], before: Before) -> dict[str, bytes]:
    """The files to write: the card, and the dataset_infos.json of old where there is one."""
    text = before.read(REPOCARD_FILENAME)
    card = metadata(text, f"{request.repo_id}/{REPOCARD_FILENAME}") if text is not None else {}
    old_text = before.read(DATASETDICT_INFOS_FILENAME)
    old_infos: dict[str, Any] = json.loads(old_text) if old_text else {}
    info = _info(request, pushed, card if text is not None else None, old_infos, before.deleted)
    DatasetInfosDict({request.config_name: info}).to_dataset_card_data(card)
    _configurations(request, pushed, card, before.data)
    files = {REPOCARD_FILENAME: card_text(card, text or "").encode("utf-8")}
    if old_infos.get(request.config_name):
        old_infos[request.config_name] = asdict(info)
        files[DATASETDICT_INFOS_FILENAME] = json.dumps(old_infos).encode("utf-8")
    return files


def _info(request: Request, pushed: Sequence[Pushed], card: dict[str, Any] | None,
          old_infos: dict[str, Any], deleted: int) -> DatasetInfo:
    """What is known of the configuration after the push."""
    name = request.config_name
    if card is not None:
        known = DatasetInfosDict.from_dataset_card_data(card).get(name)
    else:
        known = DatasetInfo.from_dict(old_infos[name]) if old_infos.get(name) else None
    if known is not None and not request.whole:
        for one in pushed:
            _add_split(known, one, deleted)
        return known
    sizes = sum(one.info.num_bytes or 0 for one in pushed)
    uploaded = sum(one.size for one in pushed)
    splits = SplitDict()
    for one in pushed:
        splits.add(one.info)
    return DatasetInfo(config_name=name, features=pushed[0].features if pushed else Features(),
                       splits=splits, download_size=uploaded, dataset_size=sizes,
                       size_in_bytes=uploaded + sizes)


def _add_split(info: DatasetInfo, pushed: Pushed, deleted: int) -> None:
    split = pushed.info.name
    splits = info.splits if info.splits is not None else SplitDict()
    if any(name != split for name in splits) and pushed.features != info.features:
        raise DataError("Features of the new split don't match the features of the existing splits "
                        f"on the hub: {pushed.features} != {info.features}. Do: cast it to those, "
                        "or push all splits together as a DatasetDict")
    download, size = info.download_size or 0, info.dataset_size or 0
    if split in splits:
        download -= deleted
        size -= splits[split].num_bytes or 0
        splits.pop(split)
    splits[split] = pushed.info
    info.features, info.splits, info.download_checksums = pushed.features, splits, None
    info.download_size = download + pushed.size
    info.dataset_size = size + (pushed.info.num_bytes or 0)
    info.size_in_bytes = info.download_size + info.dataset_size


def _configurations(request: Request, pushed: Sequence[Pushed], card: dict[str, Any],
                    data: Iterable[str]) -> None:
    """Have the card say which files are which split."""
    known = MetadataConfigs.from_dataset_card_data(card)
    unnamed = dict.fromkeys(found[1] for name in data if (found := _SHARD.fullmatch(name)))
    if not known and unnamed:  # pushed before cards told the files
        MetadataConfigs({"default": {"data_files": [
            {"split": split, "path": f"data/{split}-*"} for split in unnamed]}}
        ).to_dataset_card_data(card)
    name = request.config_name
    files: dict[str, list[str]] = {}
    if not request.whole and "data_files" in known.get(name, {}):
        files = {str(split): list(paths)
                 for split, paths in sanitize_patterns(known[name]["data_files"]).items()}
    for one in pushed:
        files[one.info.name] = [f"{request.folder}/{one.info.name}-*"]
    entry: dict[str, Any] = {"data_files": [
        {"split": split, "path": paths[0] if len(paths) == 1 else paths}
        for split, paths in files.items()]}
    entries = {name: entry}
    if request.set_default and name != "default":
        entries |= _default_dropped(known)
        entries[name] = {**entry, "default": True}
    told = {**known, **entries}
    defaults = [one for one in told if one == "default" or told[one].get("default")]
    if len(defaults) > 1 and name in defaults:
        raise DataError(f"push_to_hub: {name!r} would be a second default configuration beside "
                        f"{defaults}, and then none could be loaded without a name. Do: push it as "
                        "config_name= another name")
    MetadataConfigs(entries).to_dataset_card_data(card)


def _default_dropped(known: MetadataConfigs) -> dict[str, dict[str, Any]]:
    """The configuration that is the default, without saying so."""
    current = known.get_default_config_name() if known else None
    if current == "default":
        raise DataError("push_to_hub: There exists a configuration named 'default'. To set a "
                        "different configuration as default, rename the 'default' one first.")
    if not current:
        return {}
    return {current: {key: value for key, value in known[current].items() if key != "default"}}
