"""A GGUF file's metadata as the values of config.json."""

from __future__ import annotations

import logging
import re
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from enfold.errors import CheckpointError
from enfold.files.gguf import GGUFFile, open_shards
from enfold.models.gguf.dialects import Dialect, dialect_of
from enfold.models.gguf.keys import Keys, shortest
from enfold.models.gguf.rope import FACTORS, rope_values

log = logging.getLogger("enfold")
TOKENS = "tokenizer.ggml."
IDS = {"bos_token_id": "bos_token_id", "eos_token_id": "eos_token_id",
       "padding_token_id": "pad_token_id"}
OPTIONAL = ("attention.head_count_kv",)


def config_values(path: Path) -> dict[str, Any]:
    """What config.json would hold, of a file of weights (and its further shards).

    Keys of the architecture that are not understood are said once, by name.
    """
    files = open_shards(path)
    metadata = files[0].metadata
    dialect = dialect_of(metadata, path)
    _warn(metadata, dialect, path)

    keys = Keys(metadata, f"{dialect.architecture}.", path)
    held = {name: file for file in files for name in file.keys()}  # noqa: SIM118 - not a dict
    values: dict[str, Any] = {"model_type": dialect.model_type, **dialect.fixed}
    for name, key in dialect.keys.items():
        read = keys.share if name.endswith("epsilon") else keys.whole
        if (value := read(name, needed=name not in OPTIONAL)) is not None:
            values[key] = value
    tokens = Keys(metadata, TOKENS, path)
    values |= {key: index for name, key in IDS.items()
               if (index := tokens.whole(name, index=True)) is not None}
    _check_blocks(keys.whole("block_count"), held, path)
    values["vocab_size"] = _vocabulary(metadata, keys, held)
    values["dtype"] = _dtype(files)
    MORE[dialect.architecture](values, keys, held)
    return values


def _llama(values: dict[str, Any], keys: Keys, held: Mapping[str, GGUFFile]) -> None:
    if experts := keys.whole("expert_count", index=True):
        raise NotImplementedError(f"GGUF: a {values['model_type']} with {experts} "
                                  "experts is not built. Do: give a model without")
    heads = values["num_attention_heads"]
    width = keys.whole("attention.key_length") or values["hidden_size"] // heads
    turned = keys.whole("rope.dimension_count") or width
    if values["model_type"] != "qwen2" or width * heads != values["hidden_size"]:
        values["head_dim"] = width
    if turned != width:
        values["partial_rotary_factor"] = turned / width
    factors = {name: _numbers(held[name], name) for name in FACTORS if name in held}
    values["rope_parameters"] = rope_values(keys, factors, turned,
                                            values["max_position_embeddings"])
    values["tie_word_embeddings"] = "output.weight" not in held
    if values["model_type"] == "llama":
        values["attention_bias"] = "blk.0.attn_q.bias" in held
        values["mlp_bias"] = "blk.0.ffn_gate.bias" in held
        if window := keys.whole("attention.sliding_window", index=True):
            values |= {"model_type": "mistral", "sliding_window": window}
    title = {"llama": "Llama", "mistral": "Mistral", "qwen2": "Qwen2"}[values["model_type"]]
    values["architectures"] = [f"{title}ForCausalLM"]


def _gpt2(values: dict[str, Any], keys: Keys, held: Mapping[str, GGUFFile]) -> None:
    values["tie_word_embeddings"] = "output.weight" not in held
    values["architectures"] = ["GPT2LMHeadModel"]


def _bert(values: dict[str, Any], keys: Keys, held: Mapping[str, GGUFFile]) -> None:
    if "token_types.weight" in held:
        values["type_vocab_size"] = held["token_types.weight"].shape("token_types.weight")[0]
    values["architectures"] = ["BertModel"]


MORE: dict[str, Callable[[dict[str, Any], Keys, Mapping[str, GGUFFile]], None]] = {
    "llama": _llama, "qwen2": _llama, "gpt2": _gpt2, "bert": _bert}


def _check_blocks(count: int, held: Mapping[str, GGUFFile], path: Path) -> None:
    """A file of weights has the blocks that its metadata counts; one without weights may not."""
    found = {int(block[1]) for name in held if (block := re.match(r"blk\.(\d{1,6})\.", name))}
    if held and found != set(range(min(count, len(found) + 1))):
        raise CheckpointError(f"{path}: metadata counts {count:,} blocks, the file has the tensors "
                              f"of {len(found)}. Do: download or convert the file again")


def _vocabulary(metadata: Mapping[str, Any], keys: Keys, held: Mapping[str, GGUFFile]) -> int:
    name = "token_embd.weight"
    if name in held:
        return held[name].shape(name)[0]
    found = keys.whole("vocab_size") or len(metadata.get(f"{TOKENS}tokens", ()))
    if not found:
        raise CheckpointError(f"{keys.path}: no {name} and no vocabulary. Expected a model's GGUF "
                              "file")
    return int(found)


def _dtype(files: list[GGUFFile]) -> str:
    """What most of the matrices are, where that is plain numbers; of blocks, float32."""
    weight: dict[str, int] = {}
    for file in files:
        for key in file.keys():  # noqa: SIM118 - not a dict
            if len(file.shape(key)) > 1:
                kind = file.entries[key].kind.torch or "float32"
                weight[kind] = weight.get(kind, 0) + file.nbytes(key)
    return max(weight, key=weight.__getitem__, default="float32")


def _numbers(file: GGUFFile, key: str) -> list[float]:
    """A small tensor of floats, without torch."""
    data = file.bytes(key)
    if file.kind(key) != "F32":
        raise CheckpointError(f"{file.path}: tensor {key!r} is {file.kind(key)}, expected F32")
    order = ">" if file.big_endian else "<"
    return [shortest(value) for value in struct.unpack(f"{order}{len(data) // 4}f", data)]


def _warn(metadata: Mapping[str, Any], dialect: Dialect, path: Path) -> None:
    start = f"{dialect.architecture}."
    known = {*dialect.keys, *dialect.known}
    odd = [key for key in metadata if key.startswith(start) and key[len(start):] not in known]
    if odd:
        log.warning("%s: metadata that is not understood and was left out: %s. If it changes what "
                    "the model computes, results differ", path, ", ".join(odd))
