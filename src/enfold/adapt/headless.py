"""An adapter of a model with a head, for the same model without: `AutoModel` of a classifier's.

    base_model.model.bert.encoder.layer.0 ...     ->  base_model.model.encoder.layer.0 ...
    base_model.model.classifier.weight                left out, the model has no such layer
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from enfold.adapt.config import LayerConfig
from enfold.adapt.files import PREFIX


def without_head(model: Any, config: Any,
                 tensors: Mapping[str, Tensor]) -> tuple[Any, Mapping[str, Tensor], list[str]]:
    """(configuration, tensors as a model without head names them, what of the head is left out).

    Models with a head, and files of models without, have theirs as they are.
    """
    prefix = getattr(model, "base_model_prefix", "")
    start = f"{PREFIX}{prefix}."
    if not prefix or hasattr(model, prefix) or not any(key.startswith(start) for key in tensors):
        return config, tensors, []
    kept = {f"{PREFIX}{key.removeprefix(start)}": tensor for key, tensor in tensors.items()
            if key.startswith(start)}
    left = sorted(key.removeprefix(PREFIX) for key in tensors if not key.startswith(start))
    if isinstance(config, LayerConfig):
        config = config.copy()
        for field in ("target_modules", "exclude_modules", "modules_to_save", "target_parameters"):
            names = getattr(config, field, None)
            if names and not isinstance(names, str):
                setattr(config, field, type(names)(n.removeprefix(f"{prefix}.") for n in names))
    return config, kept, left
