"""Seq2SeqTrainer: evaluation on what the model writes."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from enfold.errors import ConfigError
from enfold.train.trainer.core import Batch
from enfold.train.trainer.outputs import PredictionOutput
from enfold.train.trainer.trainer import Trainer

DEFAULT_LENGTH = 20  # what max_length means where it is not said


class Seq2SeqTrainer(Trainer):
    """A Trainer whose predictions are generated, with `args.predict_with_generate`.

    `evaluate` and `predict` take the arguments of `generate` too; `args.generation_max_length`
    and `args.generation_num_beams` are their defaults.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._gen_kwargs: dict[str, Any] = {}
        config = getattr(self.args, "generation_config", None)
        if config is not None:
            self.model.generation_config = self.load_generation_config(config)

    @staticmethod
    def load_generation_config(gen_config_arg: Any) -> Any:
        """A GenerationConfig of one, or of the name of a model, folder or file."""
        from enfold.generate.config import GenerationConfig

        if isinstance(gen_config_arg, GenerationConfig):
            return deepcopy(gen_config_arg)
        path = Path(gen_config_arg)
        if path.is_file():
            return GenerationConfig.from_pretrained(str(path.parent), path.name)
        return GenerationConfig.from_pretrained(str(gen_config_arg))

    def evaluate(self, eval_dataset: Any = None, ignore_keys: list[str] | None = None,
                 metric_key_prefix: str = "eval", **gen_kwargs: Any) -> dict[str, float]:
        """Metrics of a dataset; gen_kwargs: of `generate`."""
        self._gen_kwargs = self._generation(gen_kwargs)
        return super().evaluate(eval_dataset, ignore_keys, metric_key_prefix)

    def predict(self, test_dataset: Any, ignore_keys: list[str] | None = None,
                metric_key_prefix: str = "test", **gen_kwargs: Any) -> PredictionOutput:
        """Predictions of a dataset; gen_kwargs: of `generate`."""
        self._gen_kwargs = self._generation(gen_kwargs)
        return super().predict(test_dataset, ignore_keys, metric_key_prefix)

    def _generation(self, given: dict[str, Any]) -> dict[str, Any]:
        length, beams = self.args.generation_max_length, self.args.generation_num_beams
        if length is not None and given.get("max_length") is None \
                and given.get("max_new_tokens") is None:
            given = {**given, "max_length": length}
        if beams is not None and given.get("num_beams") is None:
            given = {**given, "num_beams": beams}
        return {name: value for name, value in given.items() if value is not None}

    def prediction_step(self, model: nn.Module, inputs: Batch, prediction_loss_only: bool,
                        ignore_keys: list[str] | None = None, **gen_kwargs: Any
                        ) -> tuple[Tensor | None, Any, Any]:
        """(loss, generated ids, labels) of a batch."""
        if not self.args.predict_with_generate or prediction_loss_only:
            return super().prediction_step(model, inputs, prediction_loss_only, ignore_keys)
        inputs = self._prepare_inputs(inputs)
        options = gen_kwargs or self._gen_kwargs
        with self.ranks.whole(self.model):
            ids = self.model.generate(**self._to_generate(inputs), **options)
        ids, labels = self._pad(ids), inputs.get("labels")
        loss = None
        if labels is not None:
            with torch.no_grad(), self.compute_loss_context_manager():
                loss = self.compute_loss(model, inputs).detach().mean()
            labels = self._pad(labels)
        return loss, ids, labels

    def _to_generate(self, inputs: Batch) -> Batch:
        """The inputs without labels, and without what was made of them for the decoder."""
        labels = inputs.get("labels")
        made = ["labels"]
        shifted = inputs.get("decoder_input_ids")
        if labels is not None and shifted is not None and shifted.shape == labels.shape:
            made += ["decoder_input_ids", "decoder_attention_mask"]
        return {name: value for name, value in inputs.items() if name not in made}

    def _pad(self, tensor: Tensor) -> Tensor:
        """Ids filled up with the pad token to the length that the generation config allows."""
        config = self.model.generation_config
        longest, new = getattr(config, "max_length", None), getattr(config, "max_new_tokens", None)
        length = longest or DEFAULT_LENGTH
        if tensor.shape[-1] >= length:
            length = 0 if new is None else new + 1
        if tensor.shape[-1] >= length:
            return tensor
        rest = tensor.new_full((tensor.shape[0], length - tensor.shape[-1]), self._pad_id())
        return torch.cat([tensor, rest], -1)

    def _pad_id(self) -> int:
        config = getattr(self.model, "config", None)
        for holder, name in ((self.processing_class, "pad_token_id"),
                             (self.processing_class, "eos_token_id"), (config, "pad_token_id")):
            if getattr(holder, name, None) is not None:
                return int(getattr(holder, name))
        raise ConfigError("generated texts have different lengths, and there is no pad token to "
                          "make them even. Do: model.config.pad_token_id = ..., or "
                          "Trainer(processing_class=tokenizer)")
