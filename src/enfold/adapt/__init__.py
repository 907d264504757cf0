"""Adapters: a few trained tensors beside a frozen model.  The names and files are peft's."""

from enfold.adapt.adalora.config import AdaLoraConfig
from enfold.adapt.adapters import Adapters
from enfold.adapt.bottleneck import AdapterConfig
from enfold.adapt.config import PeftConfig, PeftType, TaskType
from enfold.adapt.ia3 import IA3Config
from enfold.adapt.kbit import prepare_model_for_kbit_training
from enfold.adapt.loha import LoHaConfig
from enfold.adapt.lokr import LoKrConfig
from enfold.adapt.lora.config import LoftQConfig, LoraConfig
from enfold.adapt.lora.delta import Lora
from enfold.adapt.make import (
    PeftModelForCausalLM,
    PeftModelForFeatureExtraction,
    PeftModelForQuestionAnswering,
    PeftModelForSeq2SeqLM,
    PeftModelForSequenceClassification,
    PeftModelForTokenClassification,
    get_peft_model,
    get_peft_model_state_dict,
    set_peft_model_state_dict,
)
from enfold.adapt.model import PeftModel
from enfold.adapt.oft import OFTConfig
from enfold.adapt.prompts.config import (
    PrefixTuningConfig,
    PromptEncoderConfig,
    PromptEncoderReparameterizationType,
    PromptTuningConfig,
    PromptTuningInit,
)
from enfold.adapt.vera import VeraConfig

__all__ = ["AdaLoraConfig", "AdapterConfig", "Adapters", "IA3Config", "LoHaConfig", "LoKrConfig",
           "LoftQConfig", "Lora", "LoraConfig", "OFTConfig", "PeftConfig", "PeftModel",
           "PeftModelForCausalLM", "PeftModelForFeatureExtraction", "PeftModelForQuestionAnswering",
           "PeftModelForSeq2SeqLM", "PeftModelForSequenceClassification",
           "PeftModelForTokenClassification", "PeftType", "PrefixTuningConfig",
           "PromptEncoderConfig", "PromptEncoderReparameterizationType", "PromptTuningConfig",
           "PromptTuningInit", "TaskType", "VeraConfig", "get_peft_model",
           "get_peft_model_state_dict", "prepare_model_for_kbit_training",
           "set_peft_model_state_dict"]
