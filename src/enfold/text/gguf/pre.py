"""How byte-level vocabularies cut text into words: `tokenizer.ggml.pre` of GGUF files -> patterns.

Each pattern cuts what the ones before it left; what it matches stands alone.  They are those of the
tokenizer.json files that llama.cpp's names stand for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from enfold.errors import nearest
from enfold.text.convert.recipes import CL100K, QWEN

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
THREE_DIGITS = "[0-9][0-9][0-9]"
# letters of scripts with two cases, as DeepSeek lists them
CASED = (
    "A-Za-z"
    "µÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚ"
    "Ḁ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ"
    "-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃"
)
CJK = "[一-龥ࠀ-一가-퟿]+"
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
SPACES = r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
WORD, ENDING = r"[^\r\n\p{L}\p{N}]?", r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
TEKKEN = rf"{WORD}{UPPER}*{LOWER}+|{WORD}{UPPER}+{LOWER}*|\p{{N}}{SPACES}"
GPT4O = (rf"{WORD}{UPPER}*{LOWER}+{ENDING}|{WORD}{UPPER}+{LOWER}*{ENDING}|\p{{N}}{{1,3}}"
         rf"{SPACES}")
DEEPSEEK3 = (r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?"
             r"[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")


@dataclass(frozen=True, slots=True)
class Pre:
    """One way to cut; no patterns: GPT-2's.

    whole: a word that is a token is never taken apart (the engine's ignore_merges).  bos: a text
    starts with the BOS token unless the file says otherwise.  nfc: text is normalised before.
    """

    patterns: tuple[str, ...] = ()
    whole: bool = False
    bos: bool = False
    nfc: bool = False


LLAMA3, DIGITS, WORDS = Pre((CL100K,), whole=True, bos=True), Pre((r"\p{N}", GPT2)), Pre()
QWEN2 = Pre((QWEN,), nfc=True)
# what llama.cpp does with a file that does not say
DEFAULT = Pre((r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", THREE_DIGITS))
PRE: dict[str, Pre] = {
    "default": DEFAULT,
    **dict.fromkeys(("llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral",
                     "midm-2.0", "lfm2"), LLAMA3),
    **dict.fromkeys(("dbrx", "smaug-bpe"), replace(LLAMA3, whole=False, bos=False)),
    **dict.fromkeys(("glm4", "glm5"), replace(LLAMA3, bos=False)),
    **dict.fromkeys(("gpt-2", "phi-2", "mpt", "olmo", "jais", "gigachat", "exaone4", "a.x-4.0",
                     "mellum", "modern-bert", "trillion", "granite-docling"), WORDS),
    **dict.fromkeys(("starcoder", "refact", "command-r", "smollm", "codeshell", "exaone",
                     "minerva-7b", "mellum2"), DIGITS),
    **dict.fromkeys(("qwen2", "deepseek-r1-qwen", "megrez"), QWEN2),
    "qwen35": Pre((QWEN.replace(r"?\p{L}+", r"?[\p{L}\p{M}]+").replace(
        r"[^\s\p{L}\p{N}]", r"[^\s\p{L}\p{M}\p{N}]"),)),
    **dict.fromkeys(("stablelm2", "hunyuan", "solar-open"), Pre((QWEN,))),
    "falcon": Pre((r"[\p{P}\$\+<=>\^~\|`]+", GPT2, THREE_DIGITS)),
    "deepseek-llm": Pre((r"[\r\n]", rf"\s?[{CASED}]+", r"\s?[!-/:-~！-／：-～‘-‟　-。]+", r"\s+$",
                         CJK, r"\p{N}+")),
    "deepseek-coder": Pre((r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", CJK, r"\p{N}")),
    "deepseek-v3": Pre((r"\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+", DEEPSEEK3)),
    "tekken": Pre((TEKKEN,), whole=True, bos=True),
    **dict.fromkeys(("gpt-4o", "llama4", "kanana2"), Pre((GPT4O,))),
}


def pre_named(name: str | None, path: str) -> Pre:
    """The way that a file names; NotImplementedError for one that is not built."""
    if name is None:
        return DEFAULT
    if name not in PRE:
        raise NotImplementedError(f"{path}: tokenizer.ggml.pre is {name!r}{nearest(name, PRE)}, "
                                  f"which is not built. Expected one of {', '.join(PRE)}. Do: load "
                                  "the tokenizer of the model that the file was made of")
    return PRE[name]
