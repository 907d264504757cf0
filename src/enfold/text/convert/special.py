"""Special tokens of a converted vocabulary: which, under which ids, and where a text gets them.

Order of adding, as ids depend on it: added_tokens_decoder and added_tokens.json (they name their
ids), then the roles (bos, eos, unk, sep, pad, cls, mask), then additional_special_tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, processors

from enfold.errors import TokenizerError
from enfold.text.convert.read import read_dict
from enfold.text.convert.recipes import Recipe

ROLES = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")
FLAGS = ("single_word", "lstrip", "rstrip", "normalized", "special")


def merged(files: Mapping[str, Path], config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration over special_tokens_map.json, where 4.x kept the roles as well."""
    path = files.get("special_tokens_map.json")
    return (read_dict(path) if path else {}) | dict(config)


def role_tokens(recipe: Recipe, config: Mapping[str, Any]) -> dict[str, AddedToken]:
    """Role -> token: the configuration's if it says so (null is none), else the class's own."""
    found = {}
    for role in ROLES:
        value = config.get(f"{role}_token", recipe.special.get(role))
        if value:
            found[role] = added(value, lstrip=role == "mask" and recipe.mask_strips)
    return found


def added(value: Any, *, special: bool = True, lstrip: bool = False) -> AddedToken:
    """A token from its JSON: a string, or {"content": ..., flags}.  Special ones match raw text."""
    if isinstance(value, str):
        return AddedToken(value, special=special, normalized=not special, lstrip=lstrip)
    if not isinstance(value, Mapping) or not isinstance(value.get("content"), str):
        raise TokenizerError(f"tokenizer configuration: {value!r} stands where a token belongs, "
                             'expected a string or {"content": "..."}. Correct the file')
    flags = {name: bool(value[name]) for name in FLAGS if name in value}
    return AddedToken(value["content"], **({"special": special, "normalized": False} | flags))


def install(engine: Tokenizer, files: Mapping[str, Path], recipe: Recipe,
            config: Mapping[str, Any]) -> None:
    """Add the special tokens to an engine and set its post-processor."""
    _add_by_id(engine, files, config)
    tokens = role_tokens(recipe, config)
    more = config.get("additional_special_tokens", recipe.options.get("additional_special_tokens"))
    extra = config.get("extra_special_tokens") or []  # a list, or the 5.x dict name -> token
    extra = list(extra.values()) if isinstance(extra, Mapping) else extra
    known = {token.content for token in engine.get_added_tokens_decoder().values()}
    fresh = [*tokens.values(), *map(added, [*(more or []), *extra])]
    engine.add_special_tokens([token for token in fresh if token.content not in known])
    _set_processor(engine, recipe, config, tokens)


def _add_by_id(engine: Tokenizer, files: Mapping[str, Path], config: Mapping[str, Any]) -> None:
    """Tokens that come with their ids: 4.34 and later in the configuration, before in a file."""
    listed = config.get("added_tokens_decoder") or {}
    numbered = {int(index): added(value, special=False) for index, value in listed.items()}
    if not numbered and "added_tokens.json" in files:
        numbered = {int(index): added(token, special=False)
                    for token, index in read_dict(files["added_tokens.json"]).items()}
    for index, token in sorted(numbered.items()):
        add = engine.add_special_tokens if token.special else engine.add_tokens
        add([token])
        got = engine.token_to_id(token.content)
        if got != index:
            raise TokenizerError(f"added token {token.content!r} should have the id {index}, and "
                                 f"the vocabulary gives it {got}. Take tokenizer_config.json and "
                                 "the vocabulary from the same checkpoint")


def _set_processor(engine: Tokenizer, recipe: Recipe, config: Mapping[str, Any],
                   tokens: Mapping[str, AddedToken]) -> None:
    options = dict(recipe.options) | dict(config)
    if recipe.roberta:
        sep, cls = ((tokens[role].content, _id(engine, tokens[role].content))
                    for role in ("sep", "cls"))
        engine.post_processor = processors.RobertaProcessing(
            sep, cls, trim_offsets=True, add_prefix_space=bool(options.get("add_prefix_space")))
        return
    single, pair = recipe.template
    if single == "$A":
        bos = "bos" if options.get("add_bos_token") else ""
        eos = "eos" if options.get("add_eos_token") else ""
        single = f"{bos} $A {eos}"
        pair = f"{single} {bos and 'bos:1'} $B:1 {eos and 'eos:1'}"
    if single.strip() == "$A":
        if recipe.kind == "bytes":
            engine.post_processor = processors.ByteLevel(trim_offsets=False)
        return
    fill = {role: token.content for role, token in tokens.items()} | {
        name: options[name] for name in ("src_lang",) if options.get(name)}
    parts = [_part(part, fill) for part in f"{single} {pair}".split()]
    used = {part.partition(":")[0] for part in parts if not part.startswith("$")}
    cut = len(single.split())
    engine.post_processor = processors.TemplateProcessing(
        single=parts[:cut], pair=parts[cut:],
        special_tokens=[(token, _id(engine, token)) for token in sorted(used)])


def _part(part: str, fill: Mapping[str, str]) -> str:
    name, _, kind = part.partition(":")
    if name.startswith("$"):
        return part
    if name not in fill:
        raise TokenizerError(f"the tokenizer puts a {name} token around each text and has none. "
                             f'Give "{name}_token" in tokenizer_config.json')
    return f"{fill[name]}:{kind or 0}"


def _id(engine: Tokenizer, token: str) -> int:
    found = engine.token_to_id(token)
    if found is None:
        raise TokenizerError(f"the vocabulary has no {token!r}, which goes around each text. Take "
                             "the vocabulary and tokenizer_config.json from the same checkpoint")
    return found
