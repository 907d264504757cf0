"""LoraConfig: peft's, with what is not built named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from enfold.adapt.config import LayerConfig, PeftType, configuration
from enfold.errors import ConfigError

INITS = ("gaussian", "pissa", "pissa_niter_N", "olora", "loftq", "orthogonal")
PLAIN = "use init_lora_weights=True, 'gaussian', 'pissa', 'olora' or 'orthogonal'"


@dataclass
class LoftQConfig:
    """loftq_bits: 4 (nf4) or 8; loftq_iter: how often quantisation and its correction alternate."""

    loftq_bits: int = 4
    loftq_iter: int = 1


@configuration
class LoraConfig(LayerConfig):
    """LoRA (https://arxiv.org/abs/2106.09685): y = W x + s B A x, A [r, I], B [O, r].

    s is lora_alpha / r, with use_rslora lora_alpha / sqrt(r).  bias: "none", "all" or "lora_only",
    what else is trained.  init_lora_weights: True (A random, B zero), "gaussian", "pissa",
    "pissa_niter_16", "olora", "loftq", "orthogonal", False (both random).  rank_pattern and
    alpha_pattern: r and lora_alpha for layers by a regular expression for the end of their name.
    target_parameters: names or ends of names of stacked experts (`experts.gate_up_proj`) and of
    routers (`mlp.gate.weight`).  use_dora: https://arxiv.org/abs/2402.09353.  lora_bias: a bias on
    B.  fan_in_fan_out is read off the layer and has no effect.
    """

    r: int = 8
    lora_alpha: float = 8
    lora_dropout: float = 0.0
    fan_in_fan_out: bool = False
    bias: str = "none"
    use_rslora: bool = False
    init_lora_weights: bool | str = True
    rank_pattern: dict[str, int] = field(default_factory=dict)
    alpha_pattern: dict[str, float] = field(default_factory=dict)
    megatron_config: Any = None
    megatron_core: str | None = "megatron.core"
    trainable_token_indices: Any = None
    loftq_config: Any = field(default_factory=dict)
    eva_config: Any = None
    corda_config: Any = None
    lora_ga_config: Any = None
    use_dora: bool = False
    velora_config: Any = None
    alora_invocation_tokens: list[int] | None = None
    use_qalora: bool = False
    qalora_group_size: int = 16
    monteclora_config: Any = None
    layer_replication: Any = None
    runtime_config: Any = None
    lora_bias: bool = False
    target_parameters: list[str] | None = None
    use_bdlora: Any = None
    arrow_config: Any = None
    kasa_config: Any = None
    ensure_weight_tying: bool = False

    METHOD: ClassVar[PeftType | None] = PeftType.LORA
    NOT_BUILT: ClassVar[Mapping[str, str]] = {
        "megatron_config": "train without Megatron's layers",
        "trainable_token_indices": "put the embedding into modules_to_save or target_modules",
        "eva_config": PLAIN, "corda_config": PLAIN, "lora_ga_config": PLAIN,
        "velora_config": "leave it out", "alora_invocation_tokens": "leave it out",
        "use_qalora": "leave it out", "monteclora_config": "leave it out",
        "layer_replication": "build the deeper model and save it as a base",
        "use_bdlora": "leave it out", "arrow_config": "use add_weighted_adapter or adapter_names",
        "kasa_config": "use use_dora or leave it out",
        "ensure_weight_tying": "adapt one of the tied layers",
    }

    def __post_init__(self) -> None:
        if self.runtime_config == {"ephemeral_gpu_offload": False}:
            self.runtime_config = None
        super().__post_init__()
        if not isinstance(self.r, int) or self.r < 1:
            raise ConfigError(f"LoraConfig: r is {self.r!r}, expected a whole number of at least "
                              "1. Do: give the rank, such as 8")
        if self.bias not in ("none", "all", "lora_only"):
            raise ConfigError(f"LoraConfig: bias is {self.bias!r}, expected 'none', 'all' or "
                              "'lora_only'. Do: give one of these")
        self._check_init()

    def _check_init(self) -> None:
        init = self.init_lora_weights
        if isinstance(init, str):
            bare = "pissa_niter_N" if init.startswith("pissa_niter_") \
                and init[12:].isdigit() else init
            if bare not in INITS:
                raise NotImplementedError(f"LoraConfig: init_lora_weights={init!r} is not built, "
                                          f"expected True, False or one of {', '.join(INITS)}. "
                                          f"Do: {PLAIN}")
        if isinstance(self.loftq_config, LoftQConfig):
            self.loftq_config = vars(self.loftq_config)
        if (init == "loftq") != bool(self.loftq_config):
            raise ConfigError("LoraConfig: init_lora_weights='loftq' and loftq_config go "
                              f"together, got {init!r} and {self.loftq_config!r}. Do: give "
                              "LoftQConfig(loftq_bits=4), or leave both out")
        if self.lora_bias and (isinstance(init, str) or self.use_dora):
            raise ConfigError("LoraConfig: lora_bias=True goes with init_lora_weights=True or "
                              "False, and without use_dora. Do: leave one out")

    def to_dict(self) -> dict[str, Any]:
        return {name: value for name, value in super().to_dict().items()
                if name != "runtime_config"}
