"""What layers are made of: norms, positions, attention, feed-forward, blocks."""

from __future__ import annotations

from dataclasses import dataclass

from enfold.spec.show import Spec


@dataclass(frozen=True, slots=True)
class Norm(Spec):
    """`kind` "rms" or "layer"; `offset` is added to the weight (gemma's 1)."""

    kind: str = "rms"
    eps: float = 1e-6
    bias: bool = True
    offset: float = 0.0
    affine: bool = True


@dataclass(frozen=True, slots=True)
class Linear(Spec):
    """Linear rope scaling: positions divided by `factor`."""

    factor: float


@dataclass(frozen=True, slots=True)
class Dynamic(Spec):
    """Dynamic NTK rope scaling: the base grows once a text is longer than `original`."""

    factor: float
    original: int


@dataclass(frozen=True, slots=True)
class Llama3(Spec):
    """Llama 3.1 rope scaling: long wavelengths divided by `factor`, a smooth ramp between."""

    factor: float
    low: float
    high: float
    original: int


@dataclass(frozen=True, slots=True)
class Yarn(Spec):
    """YaRN rope scaling (arXiv 2309.00071); `attention` multiplies cos and sin."""

    factor: float
    original: int
    fast: float
    slow: float
    attention: float
    truncate: bool = True


@dataclass(frozen=True, slots=True)
class LongRope(Spec):
    """LongRoPE (arXiv 2402.13753): one divisor per frequency, another set past `original`."""

    short: tuple[float, ...]
    long: tuple[float, ...]
    original: int
    attention: float


Scaling = Linear | Dynamic | Llama3 | Yarn | LongRope


@dataclass(frozen=True, slots=True)
class Rope(Spec):
    """Rotary positions over the first `dim` of each head (None: all of it)."""

    theta: float = 1e4
    dim: int | None = None
    interleaved: bool = False
    scaling: Scaling | None = None


@dataclass(frozen=True, slots=True)
class Buckets(Spec):
    """T5's relative position bias, over log-spaced distances.  All layers use the first one's."""

    count: int
    distance: int
    bidirectional: bool
    owner: bool = True


@dataclass(frozen=True, slots=True)
class Attention(Spec):
    """Multi-head attention.  `bias` is a subset of "qkvo"; `fused` names the layout of a joint
    projection.

    `scale` None means head_dim**-0.5; `window` counts the positions a query sees, itself included;
    `upcast` computes the softmax in fp32; `dropout` is of the probabilities, `drop_out` of the
    output.
    """

    heads: int
    kv_heads: int
    head_dim: int
    bias: str = ""
    fused: str | None = None
    rope: Rope | None = None
    qk_norm: Norm | None = None
    qk_norm_over: str = "head"
    scale: float | None = None
    window: int | None = None
    causal: bool = True
    position: Buckets | None = None
    cross: bool = False
    upcast: bool = False
    dropout: float = 0.0
    drop_out: float = 0.0


@dataclass(frozen=True, slots=True)
class MLP(Spec):
    """Feed-forward: down(act(up(x))), or down(act(gate(x)) * up(x)) if `gated`.

    `dropout` is inside, before `down`; `drop_out` of the output.
    """

    hidden: int
    act: str = "silu"
    gated: bool = True
    bias: bool = False
    dropout: float = 0.0
    drop_out: float = 0.0


@dataclass(frozen=True, slots=True)
class Router(Spec):
    """Which `top_k` of so many `experts` a token goes to: those with the largest softmax.

    `renorm`: their shares are divided by their sum; `jitter`: inputs are multiplied by 1 +- jitter
    in training.
    """

    experts: int
    top_k: int
    renorm: bool = True
    jitter: float = 0.0


@dataclass(frozen=True, slots=True)
class MoE(Spec):
    """A mixture of experts: of each token's experts the outputs, weighted by the router's shares.

    `shared`: a feed-forward of all tokens, added with a gate of its own.
    """

    router: Router
    expert: MLP
    shared: MLP | None = None
    drop_out: float = 0.0


Branch = Attention | MLP | MoE


@dataclass(frozen=True, slots=True)
class Block(Spec):
    """A layer: its branches in order, each with norms at `norm_at`, a subset of in, out, sum."""

    branches: tuple[Branch, ...]
    norm: Norm
    norm_at: tuple[str, ...] = ("in",)
