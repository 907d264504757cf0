"""JSON: lines, arrays, or one field of a file."""

from __future__ import annotations

from dataclasses import dataclass
from logging import getLogger
from typing import Any, ClassVar

from enfold.data.info import DatasetInfo
from enfold.data.packaged.base import SourceBuilder, SourceConfig
from enfold.errors import DataError

_log = getLogger(__name__)


@dataclass
class JsonConfig(SourceConfig):
    """field: read what this key of one object holds.  encoding, encoding_errors: as of `open()`.

    chunksize: bytes read at a time.  on_mixed_types: "use_json" keeps values without a common
    type as JSON text, None makes text of numbers.  use_threads, block_size: of older versions.
    """

    encoding: str = "utf-8"
    encoding_errors: str | None = None
    field: str | None = None
    use_threads: bool = True
    block_size: int | None = None
    chunksize: int = 10 << 20
    newlines_in_values: bool | None = None
    on_mixed_types: str | None = "use_json"
    parse_agent_traces: bool = True


class Json(SourceBuilder):
    """`load_dataset("json", data_files=...)`."""

    BUILDER_CONFIG_CLASS = JsonConfig
    FORMAT: ClassVar[str] = "json"

    def _info(self) -> DatasetInfo:
        if self.config.block_size is not None:
            _log.warning("json: block_size is an old name. Do: pass chunksize=")
            self.config.chunksize = self.config.block_size
        if self.config.use_threads is not True:
            _log.warning("json: use_threads has no effect any more")
        if self.config.newlines_in_values is not None:
            raise DataError("json: newlines_in_values is no longer supported. Do: leave it out; "
                            "objects over many lines are read")
        return super()._info()

    def _options(self) -> dict[str, Any]:
        return {name: value for name, value in super()._options().items() if name != "block_size"}
