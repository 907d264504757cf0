"""Which weights a run trains: some, and on purpose."""

from __future__ import annotations

from torch import nn

from enfold.errors import ConfigError
from enfold.train.trainer.counting import base_of


def check_trained(model: nn.Module) -> None:
    """Raise if no weight is trained, or those that quantization happens to leave."""
    weights = [*model.parameters()]
    if weights and not any(weight.requires_grad for weight in weights):
        raise ConfigError(f"no weight of {type(model).__name__} is trained: requires_grad is "
                          "False for all. Do: model.requires_grad_(True), or for an adapter "
                          "PeftModel.from_pretrained(..., is_trainable=True)")
    inner = base_of(model)
    if getattr(inner, "is_quantized", False) and "_adapters" not in vars(inner) and \
            all(weight.requires_grad for weight in weights if weight.is_floating_point()):
        raise ConfigError(
            f"the linear layers of {type(inner).__name__} are quantized and can't be trained, and "
            "what is left is embeddings, norms and heads. Do: get_peft_model(model, "
            "LoraConfig(...)), which trains an adapter; or, to train some of what is left, "
            "model.requires_grad_(False) and then requires_grad_(True) for those")
