"""Calling a tokenizer: text in, BatchEncoding out.  The engine encodes; padding happens here."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from weakref import WeakSet

from tokenizers import Encoding

from enfold.errors import TokenizerError, unknown_arguments
from enfold.text.batch import BatchEncoding
from enfold.text.engine import Engine, Setting
from enfold.text.inputs import Inputs, read_inputs
from enfold.text.pad import columns, kept_places, lengths_of, matrix, pad_rows, same_count
from enfold.text.plan import Pad, Plan, resolve
from enfold.text.special import SpecialTokens

log = logging.getLogger(__name__)
_WARNED: WeakSet[Caller] = WeakSet()  # not on the tokenizer: a call must not change it
_AS_TARGET: ContextVar[tuple[int, ...]] = ContextVar("as_target", default=())
MORE = ("max_target_length", "split_special_tokens", "tokenizer_kwargs")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which columns a call returns."""

    types: bool
    mask: bool
    overflow: bool = False
    special: bool = False
    offsets: bool = False
    length: bool = False
    tensors: Any = None


class Caller(SpecialTokens):
    """`tokenizer(text)` and its older spellings."""

    model_max_length: int
    padding_side: str
    truncation_side: str
    model_input_names: list[str]
    split_special_tokens: bool = False

    def __call__(self, text: Any = None, text_pair: Any = None, text_target: Any = None,
                 text_pair_target: Any = None, add_special_tokens: bool = True,
                 padding: bool | str = False, truncation: bool | str | None = None,
                 max_length: int | None = None, stride: int = 0, is_split_into_words: bool = False,
                 pad_to_multiple_of: int | None = None, padding_side: str | None = None,
                 return_tensors: str | None = None, return_token_type_ids: bool | None = None,
                 return_attention_mask: bool | None = None,
                 return_overflowing_tokens: bool = False, return_special_tokens_mask: bool = False,
                 return_offsets_mapping: bool = False, return_length: bool = False,
                 verbose: bool = True, **more: Any) -> BatchEncoding:
        """Encode a text, a batch (list) of texts, or pairs of them.

        padding: True or "longest", "max_length", False.  truncation: True or "longest_first",
        "only_first", "only_second", False; to `max_length` or the model's.  `stride` tokens are
        repeated in each overflowing row (`return_overflowing_tokens`).  `text_target` gives
        `labels` beside `text`, or is encoded alone.  `return_tensors`: "pt", "np" or None (lists).
        Raises TokenizerError for wrong input, or ragged rows where tensors are asked for.
        """
        if extra := more.pop("tokenizer_kwargs", None):
            given = {key: value for key, value in locals().items()
                     if key not in ("self", "more", "extra", "__class__")}
            return self(**{**given, **more, **extra})
        if unknown := set(more) - set(MORE):
            raise unknown_arguments("tokenizer()", unknown, [*_NAMES, *MORE])
        if text is None and text_target is None:
            raise TokenizerError("tokenizer(): got neither text nor text_target, expected one")
        wanted = Wanted(
            "token_type_ids" in self.model_input_names if return_token_type_ids is None
            else return_token_type_ids,
            "attention_mask" in self.model_input_names if return_attention_mask is None
            else return_attention_mask,
            return_overflowing_tokens, return_special_tokens_mask, return_offsets_mapping,
            return_length, getattr(return_tensors, "value", return_tensors))
        split = more.get("split_special_tokens", self.split_special_tokens)

        def run(one: Any, other: Any, limit: int | None, target: bool) -> BatchEncoding:
            plan = resolve(self, padding, truncation, limit, stride, pad_to_multiple_of,
                           padding_side, verbose)
            inputs = read_inputs(one, other, is_split_into_words, add_special_tokens)
            out, longest = _encode(self, self._engine_for(target), inputs, plan, wanted, split)
            if verbose and plan.max_length is None:
                self._warn_if_long(longest)
            return out

        if text_target is None:
            return run(text, text_pair, max_length, False)
        target_limit = more.get("max_target_length")
        labels = run(text_target, text_pair_target,
                     max_length if target_limit is None else target_limit, True)
        if text is None:
            return labels
        out = run(text, text_pair, max_length, False)
        out["labels"] = labels["input_ids"]
        return out

    def encode(self, text: Any, text_pair: Any = None, add_special_tokens: bool = True,
               **options: Any) -> Any:
        """The ids alone: a list, or what `return_tensors` asks for."""
        return self(text, text_pair, add_special_tokens=add_special_tokens, **options)["input_ids"]

    def encode_plus(self, text: Any, text_pair: Any = None, **options: Any) -> BatchEncoding:
        """The same as calling the tokenizer."""
        return self(text, text_pair, **options)

    def batch_encode_plus(self, batch_text_or_text_pairs: Sequence[Any],
                          **options: Any) -> BatchEncoding:
        """The same as calling the tokenizer with a list of texts, or of (text, pair)."""
        return self(list(batch_text_or_text_pairs), **options)

    def tokenize(self, text: Any, pair: Any = None, add_special_tokens: bool = False,
                 **options: Any) -> list[str]:
        """A text as tokens."""
        return self(text, pair, add_special_tokens=add_special_tokens, verbose=False,
                    **options).tokens()

    def pad(self, encoded_inputs: Any, padding: bool | str = True, max_length: int | None = None,
            pad_to_multiple_of: int | None = None, padding_side: str | None = None,
            return_attention_mask: bool | None = None, return_tensors: str | None = None,
            verbose: bool = True) -> BatchEncoding:
        """Pad one encoding, a batch of them, or a list of them (a DataLoader's collate_fn).

        Pads input_ids, attention_mask, token_type_ids and special_tokens_mask; other columns are
        only stacked.  Tensors come back as tensors.
        """
        main = self.model_input_names[0]
        data, kind = columns(encoded_inputs, main)
        tensors = return_tensors or kind
        if not len(data[main]):
            return BatchEncoding({**data, **({"attention_mask": []} if return_attention_mask
                                             else {})})
        pad = resolve(self, padding, False, max_length, 0, pad_to_multiple_of, padding_side,
                      verbose).pad
        single = not isinstance(data[main][0], (list, tuple))
        if single:
            data = {key: [value] for key, value in data.items()}
        same_count(data, main)
        if return_attention_mask or (return_attention_mask is None
                                     and "attention_mask" in self.model_input_names):
            data.setdefault("attention_mask", [[1] * len(row) for row in data[main]])
        fills = {main: self.pad_token_id, "attention_mask": 0, "special_tokens_mask": 1,
                 "token_type_ids": self.pad_token_type_id}
        width = pad.width(lengths_of(data[main])) if pad else 0
        out = {key: pad_rows([list(row) for row in value], fills[key], pad, width)
               if key in fills and not hasattr(value[0], "ndim") else value
               for key, value in data.items()}
        if single:
            out = {key: value[0] for key, value in out.items()}
        return BatchEncoding(out, tensor_type=tensors)

    @property
    def max_len_single_sentence(self) -> int:
        """Tokens a text may have before special tokens are added."""
        return self.model_max_length - self.num_special_tokens_to_add(False)

    @property
    def max_len_sentences_pair(self) -> int:
        """Tokens a pair may have before special tokens are added."""
        return self.model_max_length - self.num_special_tokens_to_add(True)

    @contextmanager
    def as_target_tokenizer(self) -> Iterator[None]:
        """Within the block texts are targets: the older spelling of `text_target=`."""
        token = _AS_TARGET.set((*_AS_TARGET.get(), id(self)))
        try:
            yield
        finally:
            _AS_TARGET.reset(token)

    def _engine_for(self, target: bool) -> Engine:
        target = target or id(self) in _AS_TARGET.get()
        return self._target if target and self._target is not None else self._engine

    def _warn_if_long(self, longest: int) -> None:
        if longest > self.model_max_length and self not in _WARNED:
            _WARNED.add(self)
            log.warning("a text has %d tokens, more than the %d this model takes; it will fail "
                        "there. Do: truncation=True", longest, self.model_max_length)


_NAMES = list(Caller.__call__.__code__.co_varnames[1:21])


def _encode(tokenizer: Caller, engine: Engine, inputs: Inputs, plan: Plan, wanted: Wanted,
            split: bool) -> tuple[BatchEncoding, int]:
    """The columns that are wanted, and the length of the longest row before padding."""
    setting = Setting(plan.cut, split)

    def run(offsets: bool) -> tuple[list[Encoding], list[int]]:
        found = engine.encode(inputs.batch, setting, add_special=inputs.add_special,
                              words=inputs.words, offsets=offsets)
        return _flatten(found) if wanted.overflow else (found, [])

    full_now = wanted.offsets or wanted.overflow  # the fast way gives overflow other type ids
    rows, sample = inputs.guard(lambda: run(full_now))
    ids = [engine.ids(row) for row in rows]
    lengths = lengths_of(ids)
    width = plan.pad.width(lengths) if plan.pad else 0
    data = _columns(tokenizer, rows, ids, lengths, width, plan.pad, wanted)
    if wanted.overflow:
        data["overflow_to_sample_mapping"] = sample
    if not inputs.batched and wanted.tensors is None and not wanted.overflow:
        data = {key: value[0] if isinstance(value[0], list) else value
                for key, value in data.items()}

    def later() -> list[Encoding]:
        full = rows if full_now else run(True)[0]
        return _padded(tokenizer, full, plan.pad, width)

    out = BatchEncoding(data, later, wanted.tensors)
    return out, max(lengths, default=0)


def _columns(tokenizer: Caller, rows: list[Encoding], ids: list[list[int]], lengths: list[int],
             width: int, pad: Pad | None, wanted: Wanted) -> dict[str, Any]:
    """Each column padded: as arrays where tensors are wanted and the rows fit, else as lists."""
    wide = [max(width, length) for length in lengths]
    stacks = wanted.tensors is not None and len(set(wide)) == 1
    kept = kept_places(lengths, wide[0], pad.side if pad else "right") if stacks else None

    def fill(column: list[list[Any]], value: Any) -> Any:
        if kept is None or isinstance(value, tuple):
            return pad_rows(column, value, pad, width)
        return matrix(column, value, kept)

    pad_id = tokenizer.pad_token_id if pad else None
    data: dict[str, Any] = {"input_ids": fill(ids, 0 if pad_id is None else pad_id)}
    if wanted.types:
        data["token_type_ids"] = fill([row.type_ids for row in rows], tokenizer.pad_token_type_id)
    if wanted.mask:
        data["attention_mask"] = (kept.astype("int64") if kept is not None
                                  else fill([[1] * length for length in lengths], 0))
    if wanted.special:
        data["special_tokens_mask"] = fill([row.special_tokens_mask for row in rows], 1)
    if wanted.offsets:
        data["offset_mapping"] = fill([row.offsets for row in rows], (0, 0))
    if wanted.length:
        data["length"] = wide
    return data


def _flatten(encodings: list[Encoding]) -> tuple[list[Encoding], list[int]]:
    """Every encoding followed by its overflow, and which text each is from."""
    rows, sample = [], []
    for number, encoding in enumerate(encodings):
        more = encoding.overflowing  # copies, so ask once
        rows += [encoding, *more]
        sample += [number] * (1 + len(more))
    return rows, sample


def _padded(tokenizer: Caller, rows: list[Encoding], pad: Pad | None,
            width: int) -> list[Encoding]:
    """The engine's encodings, padded as the columns are."""
    if pad is not None:
        for row in rows:
            row.pad(width, direction=pad.side, pad_id=tokenizer.pad_token_id,
                    pad_type_id=tokenizer.pad_token_type_id, pad_token=tokenizer.pad_token)
    return rows
