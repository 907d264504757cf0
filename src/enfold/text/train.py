"""Training a new vocabulary with an old tokenizer's pipeline and special tokens."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tokenizers import AddedToken, pre_tokenizers, trainers
from tokenizers import Tokenizer as Rust

from enfold.errors import TokenizerError
from enfold.text.vocabulary import NewToken

TRAINERS = {"BPE": trainers.BpeTrainer, "Unigram": trainers.UnigramTrainer,
            "WordLevel": trainers.WordLevelTrainer, "WordPiece": trainers.WordPieceTrainer}


def train(state: dict[str, Any], texts: Iterable[Any], vocab_size: int, length: int | None,
          new_special: Sequence[NewToken], renamed: Mapping[str, str],
          options: Mapping[str, Any]) -> Rust:
    """An engine like `state` (a tokenizer.json), its vocabulary learned from `texts`."""
    added, processor = state["added_tokens"], state["post_processor"]
    state = {**state, "added_tokens": [], "post_processor": None}
    kind = state["model"]["type"]
    if kind not in TRAINERS:
        raise TokenizerError(f"train_new_from_iterator: the model is a {kind}, expected one of "
                             f"{', '.join(TRAINERS)}")
    state["model"] = _emptied(state["model"], renamed)
    special = [_renamed(token, renamed) for token in added
               if token["special"] or kind == "Unigram"]
    engine = Rust.from_str(json.dumps(state))
    trainer = TRAINERS[kind](vocab_size=vocab_size, special_tokens=[*special, *new_special],
                             **{**_trainer_options(state), **options})
    engine.train_from_iterator(texts, trainer=trainer, length=length)
    if processor is None:
        return engine
    trained = json.loads(engine.to_str())
    trained["post_processor"] = _reframed(processor, renamed, engine)
    return Rust.from_str(json.dumps(trained))


def _emptied(model: dict[str, Any], renamed: Mapping[str, str]) -> dict[str, Any]:
    """The model without what training learns."""
    model = dict(model)
    if model["type"] == "Unigram":
        if (unk := model.get("unk_id")) is not None:
            token = model["vocab"][unk][0]
            model |= {"unk_id": 0, "vocab": [[renamed.get(token, token), 0.0]]}
        return model
    if model.get("unk_token") in renamed:
        model["unk_token"] = renamed[model["unk_token"]]
    return model | {"vocab": {}} | ({"merges": []} if model["type"] == "BPE" else {})


def _renamed(token: dict[str, Any], renamed: Mapping[str, str]) -> AddedToken:
    fields = {key: value for key, value in token.items() if key != "id"}
    return AddedToken(**fields | {"content": renamed.get(token["content"], token["content"])})


def _trainer_options(state: dict[str, Any]) -> dict[str, Any]:
    """What the trainer must know of the model and of the alphabet."""
    model = state["model"]
    if model["type"] == "Unigram":
        return {"unk_token": model["vocab"][0][0]} if model.get("unk_id") is not None else {}
    found = {}
    if model["type"] in ("BPE", "WordPiece"):
        found = {key: model[key] for key in ("continuing_subword_prefix", "end_of_word_suffix")
                 if model.get(key) is not None}
    if '"ByteLevel"' in json.dumps(state.get("pre_tokenizer")):
        found["initial_alphabet"] = pre_tokenizers.ByteLevel.alphabet()
    return found


def _reframed(node: Any, renamed: Mapping[str, str], engine: Rust) -> Any:
    """The post-processor with new names and ids of its special tokens."""
    def found(token: str) -> int:
        index = engine.token_to_id(token)
        if index is None:
            raise TokenizerError(f"train_new_from_iterator: the special token {token!r}, put "
                                 "around each text, is not in the new vocabulary. Do: a larger "
                                 "vocab_size, or name it in new_special_tokens")
        return int(index)

    if isinstance(node, list):
        return [_reframed(item, renamed, engine) for item in node]
    if not isinstance(node, dict):
        return node
    out = {key: _reframed(value, renamed, engine) for key, value in node.items()}
    if node.get("type") == "TemplateProcessing":
        tokens = {renamed.get(key, key): value for key, value in node["special_tokens"].items()}
        out["special_tokens"] = {
            key: {"id": key, "tokens": [renamed.get(one, one) for one in value["tokens"]],
                  "ids": [found(renamed.get(one, one)) for one in value["tokens"]]}
            for key, value in tokens.items()}
    elif "SpecialToken" in node:
        special = node["SpecialToken"]
        out["SpecialToken"] = {**special, "id": renamed.get(special["id"], special["id"])}
    elif node.get("type") in ("BertProcessing", "RobertaProcessing"):
        for key in ("sep", "cls"):
            token = renamed.get(node[key][0], node[key][0])
            out[key] = [token, found(token)]
    return out
