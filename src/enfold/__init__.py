"""enfold: the Hugging Face stack, folded into one small, fast Python package.

    from enfold import pipeline, AutoTokenizer, AutoModelForCausalLM

Names are loaded when they are first used: `import enfold` itself loads next to nothing.  Besides
the names below, each family's classes are here under the names that the ecosystem gives them
(`BertModel`, `LlamaForCausalLM`, `T5Config`, `BertTokenizer`, ...).
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_PLACES = {
    "enfold.auto":
        "AutoConfig AutoModel AutoModelForCausalLM AutoModelForMaskedLM AutoModelForSeq2SeqLM "
        "AutoModelForSequenceClassification AutoModelForTokenClassification "
        "AutoModelForQuestionAnswering AutoModelForMultipleChoice "
        "AutoModelForNextSentencePrediction AutoModelForTextEncoding AutoModelForPreTraining "
        "AutoPeftModel AutoPeftModelForCausalLM AutoPeftModelForFeatureExtraction "
        "AutoPeftModelForQuestionAnswering AutoPeftModelForSeq2SeqLM "
        "AutoPeftModelForSequenceClassification AutoPeftModelForTokenClassification",
    "enfold.text":
        "AddedToken AutoTokenizer BatchEncoding CharSpan TokenSpan get_json_schema",
    "enfold.text.classes":
        "PreTrainedTokenizer PreTrainedTokenizerBase PreTrainedTokenizerFast TokenizersBackend",
    "enfold.tasks":
        "pipeline Pipeline KeyDataset KeyPairDataset SquadExample AggregationStrategy "
        "TextClassificationPipeline TokenClassificationPipeline NerPipeline "
        "QuestionAnsweringPipeline FillMaskPipeline FeatureExtractionPipeline "
        "ZeroShotClassificationPipeline TextGenerationPipeline Text2TextGenerationPipeline "
        "SummarizationPipeline TranslationPipeline",
    "enfold.generate":
        "GenerationConfig LogitsProcessor LogitsProcessorList StoppingCriteria "
        "StoppingCriteriaList BaseStreamer TextStreamer TextIteratorStreamer "
        "AsyncTextIteratorStreamer",
    "enfold.generate.processors":
        "MinLengthLogitsProcessor MinNewTokensLengthLogitsProcessor "
        "ForcedBOSTokenLogitsProcessor ForcedEOSTokenLogitsProcessor "
        "SuppressTokensLogitsProcessor SuppressTokensAtBeginLogitsProcessor "
        "PrefixConstrainedLogitsProcessor ExponentialDecayLengthPenalty "
        "InfNanRemoveLogitsProcessor LogitNormalization",
    "enfold.generate.penalties":
        "RepetitionPenaltyLogitsProcessor EncoderRepetitionPenaltyLogitsProcessor "
        "NoRepeatNGramLogitsProcessor EncoderNoRepeatNGramLogitsProcessor "
        "SequenceBiasLogitsProcessor NoBadWordsLogitsProcessor",
    "enfold.generate.warpers":
        "TemperatureLogitsWarper TopKLogitsWarper TopPLogitsWarper TopHLogitsWarper "
        "MinPLogitsWarper "
        "TypicalLogitsWarper EpsilonLogitsWarper EtaLogitsWarper",
    "enfold.generate.stopping":
        "MaxLengthCriteria MaxTimeCriteria EosTokenCriteria StopStringCriteria",
    "enfold.data":
        "Array2D Array3D Array4D Array5D ArrowBasedBuilder Audio BuilderConfig ClassLabel "
        "Column Dataset DatasetBuilder DatasetDict DatasetInfo DownloadConfig DownloadManager "
        "DownloadMode Features GeneratorBasedBuilder Image IterableColumn IterableDataset "
        "IterableDatasetDict Json LargeList List Mesh NamedSplit Nifti Pdf ReadInstruction "
        "Sequence Split SplitDict SplitGenerator SplitInfo StreamingDownloadManager "
        "Translation TranslationVariableLanguages Value VerificationMode Version Video "
        "concatenate_datasets disable_caching disable_progress_bars enable_caching "
        "enable_progress_bars get_dataset_config_info get_dataset_config_names "
        "get_dataset_default_config_name get_dataset_infos get_dataset_split_names "
        "interleave_datasets is_caching_enabled load_dataset load_dataset_builder "
        "load_from_disk set_eager split_dataset_by_node",
    "enfold.train.trainer":
        "EvalPrediction LabelSmoother Seq2SeqTrainer Trainer",
    "enfold.train.arguments":
        "IntervalStrategy SchedulerType Seq2SeqTrainingArguments TrainingArguments",
    "enfold.train.callbacks":
        "DefaultFlowCallback EarlyStoppingCallback PrinterCallback ProgressCallback "
        "TrainerCallback TrainerControl TrainerState",
    "enfold.train.collate":
        "DataCollatorForCompletionOnlyLM DataCollatorForLanguageModeling "
        "DataCollatorForMultipleChoice DataCollatorForPacking DataCollatorForSeq2Seq "
        "DataCollatorForTokenClassification DataCollatorForWholeWordMask "
        "DataCollatorWithFlattening DataCollatorWithPadding DefaultDataCollator "
        "default_data_collator",
    "enfold.train.checkpoint": "get_last_checkpoint",
    "enfold.train.parser": "EnfoldArgumentParser",
    "enfold.train.schedules":
        "get_constant_schedule get_constant_schedule_with_warmup "
        "get_cosine_schedule_with_warmup get_cosine_with_hard_restarts_schedule_with_warmup "
        "get_cosine_with_min_lr_schedule_with_warmup "
        "get_cosine_with_min_lr_schedule_with_warmup_lr_rate get_inverse_sqrt_schedule "
        "get_linear_schedule_with_warmup get_polynomial_decay_schedule_with_warmup "
        "get_reduce_on_plateau_schedule get_scheduler get_wsd_schedule",
    "enfold.train.optim.adafactor": "Adafactor",
    "enfold.quant.config": "BitsAndBytesConfig QuantizationConfig QuantizationMethod",
    "enfold.quant.gptq": "GPTQConfig",
    "enfold.quant.awq": "AwqConfig",
    "enfold.quant.compressed": "CompressedTensorsConfig",
    "enfold.quant.torchao": "TorchAoConfig",
    "enfold.quant.fine_fp8": "FineGrainedFP8Config",
    "enfold.quant.gguf": "GGUFQuantizationConfig",
    "enfold.quant.others":
        "QuantoConfig HqqConfig EetqConfig AqlmConfig VptqConfig HiggsConfig SpQRConfig "
        "FPQuantConfig FbgemmFp8Config BitNetQuantConfig QuarkConfig Mxfp4Config AutoRoundConfig",
    "enfold.adapt":
        "AdaLoraConfig AdapterConfig IA3Config LoHaConfig LoKrConfig LoftQConfig LoraConfig "
        "OFTConfig PeftConfig PromptEncoderReparameterizationType PromptTuningInit "
        "PeftModel PeftModelForCausalLM PeftModelForFeatureExtraction "
        "PeftModelForQuestionAnswering PeftModelForSeq2SeqLM "
        "PeftModelForSequenceClassification PeftModelForTokenClassification PeftType "
        "PrefixTuningConfig PromptEncoderConfig PromptTuningConfig TaskType VeraConfig "
        "get_peft_model get_peft_model_state_dict prepare_model_for_kbit_training "
        "set_peft_model_state_dict",
    "enfold.model.base": "PreTrainedModel",
    "enfold.models.configs": "PreTrainedConfig",
    "enfold.nn.outputs": "ModelOutput",
    "enfold.nn.cache": "Cache",
    "enfold.settings": "enable_full_determinism set_compat set_seed",
    "enfold.weights.convert_llama2c": "convert_llama2c",
}  # fmt: skip
_RENAMED = {"PretrainedConfig": "PreTrainedConfig", "DynamicCache": "Cache",
            "EncoderDecoderCache": "Cache", "HfArgumentParser": "EnfoldArgumentParser"}
_HOME = {name: module for module, names in _PLACES.items() for name in names.split()}

__all__ = sorted([*_HOME, *_RENAMED, "__version__"])


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(f"module 'enfold' has no attribute {name!r}")
    original = _RENAMED.get(name, name)
    if original in _HOME:
        value = getattr(import_module(_HOME[original]), original)
    else:
        value = _generated(name)
    globals()[name] = value
    return value


def _generated(name: str) -> Any:
    """A family's model, config or tokenizer class; AttributeError with near names otherwise."""
    if name.endswith(("Tokenizer", "TokenizerFast")):
        found = getattr(import_module("enfold.text.classes"), name, None)
    else:
        found = import_module("enfold.auto").architecture_class(name)
    if found is None:
        from enfold.errors import nearest

        raise AttributeError(f"module 'enfold' has no attribute {name!r}{nearest(name, __all__)}")
    return found


def __dir__() -> list[str]:
    return __all__
