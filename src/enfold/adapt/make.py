"""get_peft_model, and the PeftModels of the tasks."""

from __future__ import annotations

from typing import Any

from torch import nn

from enfold.adapt.adapters import Adapters
from enfold.adapt.config import PeftConfig, TaskType
from enfold.adapt.files import adapter_state, load_state
from enfold.adapt.model import PeftModel


def get_peft_model(model: nn.Module, peft_config: PeftConfig, adapter_name: str = "default",
                   mixed: bool = False, autocast_adapter_dtype: bool = True,
                   revision: str | None = None, low_cpu_mem_usage: bool = False) -> Any:
    """A PeftModel of the configuration's task; the model's layers change in place.

    mixed has no effect: adapters of different methods may always be on one model.
    """
    if revision is not None:
        peft_config.revision = revision
    peft_config.auto_mapping = peft_config.auto_mapping or _mapping(model, peft_config)
    kind = PeftModel.kinds.get(peft_config.task_type, PeftModel)
    return kind(model, peft_config, adapter_name, autocast_adapter_dtype=autocast_adapter_dtype)


class PeftModelForCausalLM(PeftModel):
    """Of a language model."""

    task = TaskType.CAUSAL_LM


class PeftModelForSeq2SeqLM(PeftModel):
    """Of an encoder-decoder."""

    task = TaskType.SEQ_2_SEQ_LM


class PeftModelForSequenceClassification(PeftModel):
    """Of a classifier of texts, whose head is trained too."""

    task, heads = TaskType.SEQ_CLS, ("classifier", "score")


class PeftModelForTokenClassification(PeftModel):
    """Of a classifier of tokens, whose head is trained too."""

    task, heads = TaskType.TOKEN_CLS, ("classifier", "score")


class PeftModelForQuestionAnswering(PeftModel):
    """Of a finder of answers, whose head is trained too."""

    task, heads = TaskType.QUESTION_ANS, ("qa_outputs",)


class PeftModelForFeatureExtraction(PeftModel):
    """Of a model without head."""

    task = TaskType.FEATURE_EXTRACTION


def get_peft_model_state_dict(model: Any, adapter_name: str = "default") -> dict[str, Any]:
    """Name in a file -> tensor of one adapter."""
    return adapter_state(Adapters.of(_base(model)) or Adapters(_base(model)), adapter_name)


def set_peft_model_state_dict(model: Any, peft_model_state_dict: dict[str, Any],
                              adapter_name: str = "default") -> None:
    """Copy the tensors of a file into an adapter; raises unless they fit."""
    load_state(Adapters.of(_base(model)) or Adapters(_base(model)), adapter_name,
               peft_model_state_dict, "set_peft_model_state_dict")


def _base(model: Any) -> nn.Module:
    return model.get_base_model() if isinstance(model, PeftModel) else model  # type: ignore[no-any-return]


def _mapping(model: nn.Module, config: PeftConfig) -> dict[str, str] | None:
    """Which class the base is, for those who load the adapter without a task."""
    kind = getattr(model, "model_type", "")
    if config.task_type is not None or not kind:
        return None
    return {"base_model_class": type(model).__name__,
            "parent_library": f"transformers.models.{kind}.modeling_{kind}"}
