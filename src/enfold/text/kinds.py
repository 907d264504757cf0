"""What the tokenizer classes of transformers differ in, as data: a row per class.

A tokenizer.json says how text becomes ids; the class only says which tokens have which role where
the files don't, which columns a call returns and on which side it pads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Kind:
    """A class's defaults."""

    roles: Mapping[str, str] = field(default_factory=dict)
    types: bool = False  # returns token_type_ids
    side: str = "right"
    pad_type: int = 0
    named: Mapping[str, str] = field(default_factory=dict)  # the model's own roles
    extra: tuple[str, ...] = ()
    language: str = ""  # "after" or "before" the text comes a language code (languages.py)
    max_length: int | None = None
    spaced: bool = False  # decoding puts a space after a special token and strips the ends
    inputs: tuple[str, ...] = ()

    @property
    def model_input_names(self) -> list[str]:
        """The columns a call returns."""
        types = ("token_type_ids",) if self.types else ()
        return list(self.inputs or ("input_ids", *types, "attention_mask"))


def _roles(text: str) -> dict[str, str]:
    pairs = (word.split("=", 1) for word in text.split())
    return {f"{role}_token": token for role, token in pairs}


BERT = _roles("unk=[UNK] sep=[SEP] pad=[PAD] cls=[CLS] mask=[MASK]")
DEBERTA = _roles("bos=[CLS] eos=[SEP]") | BERT
ROBERTA = _roles("bos=<s> eos=</s> unk=<unk> sep=</s> pad=<pad> cls=<s> mask=<mask>")
ALBERT = _roles("bos=[CLS] eos=[SEP] unk=<unk> sep=[SEP] pad=<pad> cls=[CLS] mask=[MASK]")
GPT2 = _roles("bos=<|endoftext|> eos=<|endoftext|> unk=<|endoftext|>")
QWEN = _roles("eos=<|endoftext|> unk=<|endoftext|> pad=<|endoftext|>")
LLAMA = _roles("bos=<s> eos=</s> unk=<unk>")
T5 = _roles("eos=</s> unk=<unk> pad=<pad>")
GEMMA = _roles("bos=<bos> eos=<eos> unk=<unk> pad=<pad> mask=<mask>")
INFILL = _roles("prefix=▁<PRE> middle=▁<MID> suffix=▁<SUF> eot=▁<EOT> fill=<FILL_ME>")
SENTINELS = tuple(f"<extra_id_{number}>" for number in range(100))

GENERIC = Kind()
KINDS: dict[str, Kind] = {
    "PreTrainedTokenizer": GENERIC,
    "TokenizersBackend": GENERIC,
    "AlbertTokenizer": Kind(ALBERT),
    "BartTokenizer": Kind(ROBERTA),
    "BarthezTokenizer": Kind(ROBERTA),
    "BertTokenizer": Kind(BERT, types=True),
    "BigBirdTokenizer": Kind(_roles("bos=<s> eos=</s> unk=<unk> sep=[SEP] pad=<pad> cls=[CLS] "
                                    "mask=[MASK]")),
    "BlenderbotTokenizer": Kind(ROBERTA),
    "BloomTokenizer": Kind(_roles("bos=<s> eos=</s> unk=<unk> pad=<pad>"), side="left"),
    "CLIPTokenizer": Kind(_roles("bos=<|startoftext|> eos=<|endoftext|> unk=<|endoftext|> "
                                 "pad=<|endoftext|>")),
    "CamembertTokenizer": Kind(ROBERTA),
    "CodeGenTokenizer": Kind(GPT2),
    "CodeLlamaTokenizer": Kind(LLAMA, side="left", named=INFILL),
    "CohereTokenizer": Kind(_roles("bos=<BOS_TOKEN> eos=<|END_OF_TURN_TOKEN|> unk=<UNK> sep=<SEP> "
                                   "pad=<PAD> cls=<CLS> mask=<MASK_TOKEN>"), side="left"),
    "ConvBertTokenizer": Kind(BERT, types=True),
    "DPRContextEncoderTokenizer": Kind(BERT, types=True),
    "DPRQuestionEncoderTokenizer": Kind(BERT, types=True),
    "DebertaTokenizer": Kind(DEBERTA, inputs=("input_ids", "attention_mask", "token_type_ids")),
    "DebertaV2Tokenizer": Kind(DEBERTA, inputs=("input_ids", "attention_mask", "token_type_ids")),
    "DistilBertTokenizer": Kind(BERT),
    "ElectraTokenizer": Kind(BERT, types=True),
    "FNetTokenizer": Kind(ALBERT, inputs=("input_ids", "token_type_ids")),
    "FunnelTokenizer": Kind(_roles("bos=<s> eos=</s> unk=<unk> sep=<sep> pad=<pad> cls=<cls> "
                                   "mask=<mask>"), types=True),
    "GPT2Tokenizer": Kind(GPT2),
    "GPTNeoXTokenizer": Kind(GPT2),
    "GemmaTokenizer": Kind(GEMMA, side="left"),
    "HerbertTokenizer": Kind(_roles("unk=<unk> sep=</s> pad=<pad> cls=<s> mask=<mask>")),
    "LEDTokenizer": Kind(ROBERTA),
    "LayoutLMTokenizer": Kind(BERT, types=True),
    "LlamaTokenizer": Kind(LLAMA, side="left"),
    "LongformerTokenizer": Kind(ROBERTA),
    "LxmertTokenizer": Kind(BERT, types=True),
    "MBart50Tokenizer": Kind(_roles("eos=</s> unk=<unk> sep=</s> pad=<pad> cls=<s> mask=<mask>"),
                             language="before"),
    "MBartTokenizer": Kind(ROBERTA, language="after"),
    "MPNetTokenizer": Kind(ROBERTA | {"unk_token": "[UNK]"}),
    "MT5Tokenizer": Kind(T5),
    "MarianTokenizer": Kind(T5, max_length=512, spaced=True),
    "MobileBertTokenizer": Kind(BERT, types=True),
    "MvpTokenizer": Kind(ROBERTA),
    "NllbTokenizer": Kind(ROBERTA, language="before"),
    "OpenAIGPTTokenizer": Kind(_roles("unk=<unk>")),
    "PegasusTokenizer": Kind(_roles("eos=</s> unk=<unk> pad=<pad> mask=<mask_2>")),
    "Qwen2Tokenizer": Kind(QWEN),
    "ReformerTokenizer": Kind(_roles("eos=</s> unk=<unk>")),
    "RemBertTokenizer": Kind(ALBERT),
    "RobertaTokenizer": Kind(ROBERTA),
    "SplinterTokenizer": Kind(BERT, types=True),
    "SqueezeBertTokenizer": Kind(BERT, types=True),
    "T5Tokenizer": Kind(T5, extra=SENTINELS),
    "WhisperTokenizer": Kind(GPT2),
    "XGLMTokenizer": Kind(_roles("bos=<s> eos=</s> unk=<unk> sep=</s> pad=<pad> cls=<s>")),
    "XLMRobertaTokenizer": Kind(ROBERTA),
    "XLNetTokenizer": Kind(_roles("bos=<s> eos=</s> unk=<unk> sep=<sep> pad=<pad> cls=<cls> "
                                  "mask=<mask>"), types=True, side="left", pad_type=3),
}

_MODEL_TYPES = {
    "AlbertTokenizer": "albert nystromformer yoso",
    "BartTokenizer": "bart florence2",
    "BarthezTokenizer": "barthez",
    "BertTokenizer": "align bark bert blip bros chinese_clip ernie flava git grounding-dino "
                     "megatron-bert mm-grounding-dino nezha nomic_bert qdqbert tvp vilt "
                     "visual_bert",
    "BigBirdTokenizer": "big_bird",
    "BlenderbotTokenizer": "blenderbot",
    "BloomTokenizer": "bloom",
    "CLIPTokenizer": "aimv2 clip clipseg groupvit omdet-turbo oneformer owlv2 owlvit xclip",
    "CamembertTokenizer": "camembert",
    "CodeGenTokenizer": "codegen phi",
    "CodeLlamaTokenizer": "code_llama",
    "CohereTokenizer": "aya_vision cohere cohere2",
    "ConvBertTokenizer": "convbert",
    "DPRQuestionEncoderTokenizer": "dpr",
    "DebertaTokenizer": "deberta",
    "DebertaV2Tokenizer": "deberta-v2",
    "DistilBertTokenizer": "distilbert",
    "ElectraTokenizer": "electra",
    "FNetTokenizer": "fnet",
    "FunnelTokenizer": "funnel",
    "GPT2Tokenizer": "blip-2 dbrx emu3 gpt2 gpt_bigcode gpt_neo gptj instructblip "
                     "instructblipvideo opt starcoder2",
    "GPTNeoXTokenizer": "falcon_mamba gpt_neox mamba mamba2 mpt olmo olmoe rwkv stablelm xlstm",
    "GemmaTokenizer": "gemma gemma2 gemma3 gemma3_text gemma3n gemma3n_text recurrent_gemma "
                      "shieldgemma2 t5gemma",
    "HerbertTokenizer": "herbert",
    "LEDTokenizer": "led",
    "LayoutLMTokenizer": "layoutlm",
    "LlamaTokenizer": "idefics idefics2 llama mistral mixtral",
    "LongformerTokenizer": "longformer",
    "LxmertTokenizer": "lxmert",
    "MBart50Tokenizer": "mbart50",
    "MBartTokenizer": "mbart",
    "MPNetTokenizer": "mpnet",
    "MT5Tokenizer": "mt5",
    "MarianTokenizer": "marian",
    "MobileBertTokenizer": "mobilebert",
    "MvpTokenizer": "mvp",
    "NllbTokenizer": "nllb nllb-moe",
    "OpenAIGPTTokenizer": "openai-gpt",
    "PegasusTokenizer": "bigbird_pegasus pegasus pegasus_x",
    "Qwen2Tokenizer": "colqwen2 internvl qwen2 qwen2_5_omni qwen2_5_vl qwen2_audio qwen2_moe "
                      "qwen2_vl qwen3 qwen3_moe qwen3_next qwen3_omni_moe qwen3_vl qwen3_vl_moe",
    "ReformerTokenizer": "reformer",
    "RemBertTokenizer": "rembert",
    "RobertaTokenizer": "bridgetower clap data2vec-text ibert lilt mega mra roberta "
                        "roberta-prelayernorm",
    "SplinterTokenizer": "splinter",
    "SqueezeBertTokenizer": "squeezebert",
    "T5Tokenizer": "longt5 musicgen pix2struct switch_transformers t5 umt5",
    "WhisperTokenizer": "whisper",
    "XGLMTokenizer": "xglm",
    "XLMRobertaTokenizer": "gte jina_embeddings_v3 kosmos-2 metaclip_2 xlm-roberta xlm-roberta-xl "
                           "xmod",
    "XLNetTokenizer": "xlnet",
}
BY_MODEL_TYPE = {kind: name for name, kinds in _MODEL_TYPES.items() for kind in kinds.split()}


def base_name(class_name: str | None) -> str | None:
    """`BertTokenizerFast` is `BertTokenizer`: there is one engine."""
    if class_name in ("PreTrainedTokenizerFast", "PreTrainedTokenizer", None):
        return None if class_name is None else "PreTrainedTokenizerFast"
    return class_name.removesuffix("Fast")


def kind_of(class_name: str | None) -> Kind:
    """A class's row; the generic one for a class that has none."""
    return KINDS.get(base_name(class_name) or "", GENERIC)
