"""How each tokenizer class arranges its vocabulary: a table.  Nothing here runs.

A template (for one text, for two) names roles: "cls $A sep" is "[CLS] $A [SEP]" for BERT; ":1"
after a part is its token type.
`front` and `back` are tokens that fairseq put around a SentencePiece vocabulary, `skip` how many of
its own first pieces they replace:   <s> <pad> </s> <unk> | pieces[3:] | <mask>
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class Recipe:
    """What a class does with its files; `options` are defaults for tokenizer_config.json."""

    kind: str  # a key of convert.BUILDERS
    special: Mapping[str, str] = field(default_factory=dict)  # role -> token
    template: tuple[str, str] = ("$A", "$A $B")
    options: Mapping[str, Any] = field(default_factory=dict)
    front: tuple[str, ...] = ()
    back: tuple[str, ...] = ()
    skip: int = 0
    pattern: str | None = None  # how byte-level text is split; None: as GPT-2
    roberta: bool = False  # offsets leave out a word's leading space
    mask_strips: bool = False  # a mask token takes the spaces on its left


def roles(tokens: str) -> dict[str, str]:
    """`"bos=<s> eos=</s>"` as a dict."""
    return dict(part.split("=", 1) for part in tokens.split())


def words(text: str) -> tuple[str, ...]:
    """A tuple written as words."""
    return tuple(text.split())


QWEN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
        r"|\s*[\r\n]+|\s+(?!\S)|\s+")
CL100K = QWEN.replace(r"|\p{N}|", r"|\p{N}{1,3}|")

SQUARE = roles("unk=[UNK] sep=[SEP] pad=[PAD] cls=[CLS] mask=[MASK]")
ANGLE = roles("bos=<s> eos=</s> unk=<unk> sep=</s> pad=<pad> cls=<s> mask=<mask>")
TWO_TYPES = ("cls $A sep", "cls $A sep $B:1 sep:1")
TWO_SEPS = ("cls $A sep", "cls $A sep sep $B sep")
FAIRSEQ = ("<s>", "<pad>", "</s>", "<unk>")
ENDED = ("$A eos", "$A $B eos")

BERT = Recipe("wordpiece", SQUARE, TWO_TYPES, options={"do_lower_case": True})
GPT2 = Recipe("bytes", dict.fromkeys(("bos", "eos", "unk"), "<|endoftext|>"))
ROBERTA = Recipe("bytes", ANGLE, TWO_SEPS, roberta=True, mask_strips=True)
XLMR = Recipe("sentencepiece", ANGLE, TWO_SEPS, front=FAIRSEQ, back=("<mask>",), skip=3,
              mask_strips=True)
T5 = Recipe("sentencepiece", roles("eos=</s> unk=<unk> pad=<pad>"),
            ("$A eos", "$A eos $B eos"), {"extra_ids": 100})
ALBERT = Recipe("sentencepiece", SQUARE | roles("bos=[CLS] eos=[SEP] unk=<unk> pad=<pad>"),
                TWO_TYPES, mask_strips=True,
                options={"do_lower_case": True, "keep_accents": False, "quotes": True,
                         "comma": True})
LLAMA = Recipe("llama", roles("bos=<s> eos=</s> unk=<unk>"),
               options={"add_bos_token": True, "add_eos_token": False})

MBART = words("ar_AR cs_CZ de_DE en_XX es_XX et_EE fi_FI fr_XX gu_IN hi_IN it_IT ja_XX kk_KZ ko_KR "
              "lt_LT lv_LV my_MM ne_NP nl_XX ro_RO ru_RU si_LK tr_TR vi_VN zh_CN")
MBART50 = words("af_ZA az_AZ bn_IN fa_IR he_IL hr_HR id_ID ka_GE km_KH mk_MK ml_IN mn_MN mr_IN "
                "pl_PL ps_AF pt_XX sv_SE sw_KE ta_IN te_IN th_TH tl_XX uk_UA ur_PK xh_ZA gl_ES "
                "sl_SI")

RECIPES: dict[str, Recipe] = {
    "Bert": BERT,
    "Funnel": replace(BERT, special=ANGLE | roles("sep=<sep> cls=<cls>"),
                      template=("cls:2 $A sep", "cls:2 $A sep $B:1 sep:1")),
    "MPNet": replace(BERT, special=ANGLE | {"unk": "[UNK]"}, template=TWO_SEPS, mask_strips=True),
    "GPT2": GPT2,
    "OPT": replace(GPT2, special=roles("bos=</s> eos=</s> unk=</s> pad=<pad>"),
                   options={"add_bos_token": True}),
    "CLIP": Recipe("clip", roles("bos=<|startoftext|> eos=<|endoftext|> unk=<|endoftext|> "
                                 "pad=<|endoftext|>"), ("bos $A eos", "bos $A eos eos $B eos")),
    "OpenAIGPT": Recipe("openai", roles("unk=<unk>")),
    "Qwen2": Recipe("bytes", dict.fromkeys(("unk", "eos", "pad"), "<|endoftext|>"), pattern=QWEN,
                    options={"nfc": True}),
    "Roberta": ROBERTA,
    "LayoutLMv3": replace(ROBERTA, options={"add_prefix_space": True}),
    "Blenderbot": Recipe("bytes", ANGLE, ("$A eos", "$A eos $B eos"), mask_strips=True),
    "Deberta": Recipe("bytes", SQUARE | roles("bos=[CLS] eos=[SEP]"), TWO_TYPES,
                      mask_strips=True),
    "Tiktoken": Recipe("bytes", pattern=CL100K),
    "T5": T5,
    "Albert": ALBERT,
    "XLNet": Recipe("sentencepiece", ANGLE | roles("sep=<sep> cls=<cls>"),
                    ("$A sep cls:2", "$A sep $B:1 sep:1 cls:2"), mask_strips=True,
                    options={"do_lower_case": False, "keep_accents": False, "quotes": True,
                             "comma": True, "additional_special_tokens": ["<eop>", "<eod>"]}),
    "RemBert": Recipe("sentencepiece", SQUARE | roles("bos=[CLS] eos=[SEP]"), TWO_TYPES,
                      mask_strips=True, options={"keep_accents": True}),
    "FNet": replace(ALBERT, options={"do_lower_case": False, "keep_accents": True, "quotes": True,
                                     "comma": True}),
    "BigBird": Recipe("sentencepiece", ANGLE | roles("sep=[SEP] cls=[CLS] mask=[MASK]"),
                      TWO_TYPES, mask_strips=True),
    "Barthez": replace(XLMR, front=(), back=(), skip=0),
    "Camembert": replace(XLMR, skip=1, front=("<s>NOTUSED", "<pad>", "</s>NOTUSED", "<unk>",
                                              "<unk>NOTUSED")),
    "XLMRoberta": XLMR,
    "MBart": replace(XLMR, template=("$A eos src_lang", "$A $B eos src_lang"),
                     back=(*MBART, "<mask>"),
                     options={"src_lang": "en_XX", "additional_special_tokens": MBART}),
    "MBart50": replace(XLMR, template=("src_lang $A eos", "src_lang $A $B eos"),
                       back=(*MBART, *MBART50, "<mask>"),
                       options={"src_lang": "en_XX",
                                "additional_special_tokens": (*MBART, *MBART50)}),
    "XGLM": replace(XLMR, template=("eos $A", "eos $A eos eos $B"), mask_strips=False,
                    special={role: token for role, token in ANGLE.items() if role != "mask"},
                    back=tuple(f"<madeupword{i}>" for i in range(7))),
    "Pegasus": Recipe("sentencepiece", roles("pad=<pad> eos=</s> unk=<unk> mask=<mask_2>"), ENDED,
                      front=("<pad>", "</s>", "<mask_1>", "<mask_2>",
                             *(f"<unk_{i}>" for i in range(2, 103))), skip=2),
    "DebertaV2": Recipe("sentencepiece", SQUARE | roles("bos=[CLS] eos=[SEP]"), TWO_TYPES,
                        options={"do_lower_case": False}),
    "Llama": LLAMA,
    "CodeLlama": replace(LLAMA, options=dict(LLAMA.options) | {
        "additional_special_tokens": ["▁<PRE>", "▁<MID>", "▁<SUF>", "▁<EOT>"]}),
    "Gemma": replace(LLAMA, special=roles("bos=<bos> eos=<eos> unk=<unk> pad=<pad>"),
                     options=dict(LLAMA.options) | {"add_prefix_space": False}),
    "Marian": Recipe("marian", roles("eos=</s> unk=<unk> pad=<pad>"), ENDED),
    "SentencePiece": Recipe("sentencepiece", roles("unk=<unk>")),
}

# tokenizer_class without "Tokenizer" and "Fast", where it is not itself a key of RECIPES
CLASSES: dict[str, str] = {
    **dict.fromkeys(("DistilBert", "Electra", "MobileBert", "SqueezeBert", "LayoutLM", "LayoutLMv2",
                     "ConvBert", "Lxmert", "DPRReader", "DPRQuestionEncoder", "DPRContextEncoder",
                     "RetriBert", "Realm"), "Bert"),
    **dict.fromkeys(("Bart", "LED", "Longformer", "Mvp"), "Roberta"),
    "CodeGen": "GPT2", "MT5": "T5", "LayoutXLM": "XLMRoberta", "Mistral": "Llama", "Phi3": "Llama",
}

MODEL_TYPES: dict[str, str] = {
    **dict.fromkeys(("bert", "distilbert", "electra", "mobilebert", "squeezebert", "layoutlm",
                     "layoutlmv2", "convbert", "lxmert", "dpr"), "Bert"),
    **dict.fromkeys(("roberta", "bart", "led", "longformer", "mvp"), "Roberta"),
    **dict.fromkeys(("gpt2", "gpt_neo", "gptj", "gpt_bigcode", "codegen", "phi"), "GPT2"),
    **dict.fromkeys(("qwen2", "qwen2_moe", "qwen2_vl", "qwen3", "qwen3_moe"), "Qwen2"),
    **dict.fromkeys(("t5", "mt5", "umt5", "longt5", "switch_transformers"), "T5"),
    **dict.fromkeys(("llama", "mistral", "mixtral", "phi3"), "Llama"),
    **dict.fromkeys(("gemma", "gemma2"), "Gemma"),
    "opt": "OPT", "funnel": "Funnel", "mpnet": "MPNet", "clip": "CLIP", "openai-gpt": "OpenAIGPT",
    "layoutlmv3": "LayoutLMv3", "blenderbot": "Blenderbot", "deberta": "Deberta",
    "deberta-v2": "DebertaV2", "albert": "Albert", "xlnet": "XLNet", "rembert": "RemBert",
    "fnet": "FNet", "big_bird": "BigBird", "camembert": "Camembert", "xlm-roberta": "XLMRoberta",
    "mbart": "MBart", "xglm": "XGLM", "pegasus": "Pegasus", "marian": "Marian",
}
