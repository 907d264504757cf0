"""Adapters: a few trained tensors beside a frozen model.  The names and files are peft's."""

from enfold.adapt.adapters import Adapters
from enfold.adapt.config import PeftConfig, PeftType, TaskType
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

__all__ = ["Adapters", "LoftQConfig", "Lora", "LoraConfig", "PeftConfig", "PeftModel",
           "PeftModelForCausalLM", "PeftModelForFeatureExtraction", "PeftModelForQuestionAnswering",
           "PeftModelForSeq2SeqLM", "PeftModelForSequenceClassification",
           "PeftModelForTokenClassification", "PeftType", "TaskType", "get_peft_model",
           "get_peft_model_state_dict", "set_peft_model_state_dict"]
