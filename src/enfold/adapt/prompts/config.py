"""The configurations of prompt tuning, P-tuning and prefix tuning."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, ClassVar

from enfold.adapt.config import PeftConfig, PeftType, configuration
from enfold.errors import ConfigError


class PromptTuningInit(StrEnum):
    """Where virtual tokens start: the words of a text, words at random, random numbers."""

    TEXT = "TEXT"
    SAMPLE_VOCAB = "SAMPLE_VOCAB"
    RANDOM = "RANDOM"


class PromptEncoderReparameterizationType(StrEnum):
    """What P-tuning's virtual tokens go through in training."""

    MLP = "MLP"
    LSTM = "LSTM"


@configuration
class PromptLearningConfig(PeftConfig):
    """A method on the inputs: num_virtual_tokens positions before the text.

    token_dim, num_layers, num_attention_heads and num_transformer_submodules (2: encoder and
    decoder) are read off the model.  modules_to_save: layers that are trained and saved whole.
    """

    num_virtual_tokens: int | None = None
    token_dim: int | None = None
    num_transformer_submodules: int | None = None
    num_attention_heads: int | None = None
    num_layers: int | None = None
    modules_to_save: list[str] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        count = self.num_virtual_tokens
        if not isinstance(count, int) or count < 1:
            raise ConfigError(f"{type(self).__name__}: num_virtual_tokens is {count!r}, expected a "
                              "whole number of at least 1. Do: give one, such as 20")

    @property
    def is_prompt_learning(self) -> bool:
        return True

    @property
    def encoded(self) -> bool:
        """Whether training goes through a network that the file does not hold."""
        return False

    def check_choice(self, name: str, kinds: type[StrEnum]) -> None:
        """Make a field a member of an enumeration."""
        value = getattr(self, name)
        if value not in list(kinds):
            raise ConfigError(f"{type(self).__name__}: {name} is {value!r}, expected one of "
                              f"{', '.join(kinds)}. Do: give one of these")
        setattr(self, name, kinds(value))


@configuration
class PromptTuningConfig(PromptLearningConfig):
    """Prompt tuning (https://arxiv.org/abs/2104.08691): virtual tokens before the text's.

    prompt_tuning_init: "RANDOM", "SAMPLE_VOCAB" or "TEXT"; with "TEXT" prompt_tuning_init_text,
    read by the tokenizer of tokenizer_name_or_path (loaded with tokenizer_kwargs), cut or repeated.
    """

    prompt_tuning_init: PromptTuningInit | str = PromptTuningInit.RANDOM
    prompt_tuning_init_text: str | None = None
    tokenizer_name_or_path: str | None = None
    tokenizer_kwargs: dict[str, Any] | None = None

    METHOD: ClassVar[PeftType | None] = PeftType.PROMPT_TUNING

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_choice("prompt_tuning_init", PromptTuningInit)
        wanted = self.prompt_tuning_init == PromptTuningInit.TEXT
        for name in ("prompt_tuning_init_text", "tokenizer_name_or_path"):
            if wanted and not getattr(self, name):
                raise ConfigError(f"PromptTuningConfig: prompt_tuning_init is 'TEXT' and {name} is "
                                  f"{getattr(self, name)!r}. Do: give it")
        if self.tokenizer_kwargs and not wanted:
            raise ConfigError("PromptTuningConfig: tokenizer_kwargs go with prompt_tuning_init="
                              f"'TEXT', got {str(self.prompt_tuning_init)!r}. Do: leave them out")


@configuration
class PrefixTuningConfig(PromptLearningConfig):
    """Prefix tuning (https://arxiv.org/abs/2101.00190): keys and values before each layer's own.

    prefix_projection: in training they come from a network with encoder_hidden_size (by default
    the width of the model) between.  init_weights: "zero", or None for random numbers.
    """

    init_weights: str | None = None
    encoder_hidden_size: int | None = None
    prefix_projection: bool = False

    METHOD: ClassVar[PeftType | None] = PeftType.PREFIX_TUNING
    LACKS: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.init_weights not in (None, "zero"):
            raise ConfigError(f"PrefixTuningConfig: init_weights is {self.init_weights!r}, "
                              "expected 'zero' or None. Do: give one of these")

    @property
    def encoded(self) -> bool:
        return self.prefix_projection


@configuration
class PromptEncoderConfig(PromptLearningConfig):
    """P-tuning (https://arxiv.org/abs/2103.10385): virtual tokens that a network makes in training.

    encoder_reparameterization_type: "MLP" (three layers) or "LSTM" (encoder_num_layers with
    encoder_dropout, then two layers), encoder_hidden_size wide.
    """

    encoder_reparameterization_type: PromptEncoderReparameterizationType | str = (
        PromptEncoderReparameterizationType.MLP)
    encoder_hidden_size: int | None = None
    encoder_num_layers: int = 2
    encoder_dropout: float = 0.0

    METHOD: ClassVar[PeftType | None] = PeftType.P_TUNING

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_choice("encoder_reparameterization_type", PromptEncoderReparameterizationType)
        mlp = self.encoder_reparameterization_type == PromptEncoderReparameterizationType.MLP
        if mlp and self.encoder_num_layers != 2:
            raise ConfigError("PromptEncoderConfig: encoder_num_layers="
                              f"{self.encoder_num_layers} goes with the LSTM; the MLP has three "
                              "layers always. Do: leave it out")

    @property
    def encoded(self) -> bool:
        return True
