"""Virtual tokens in files: `prompt_embeddings`, what training's network made of them.

The network itself is written beside it as `prompt_encoder.*`, so that training can go on; peft
reads past it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from torch import Tensor

from enfold.errors import CheckpointError

if TYPE_CHECKING:
    from enfold.adapt.adapters import Adapters

MADE, NETWORK = "prompt_embeddings", "prompt_encoder."


def virtual_entries(adapters: Adapters, name: str) -> Iterator[tuple[str, str, Tensor]]:
    """(name in a file, name in a PeftModel's state, tensor) of an adapter's virtual tokens."""
    if name not in adapters.prompts:
        return
    tokens, inside = adapters.prompts[name], f"{NETWORK}{name}."
    state = tokens.state_dict(keep_vars=True)
    if len(state) == 1:
        yield MADE, f"{inside}embedding.weight", state["embedding.weight"]
        return
    yield MADE, MADE, tokens().detach()
    for leaf, tensor in state.items():
        yield NETWORK + leaf, inside + leaf, tensor


def virtual_given(adapters: Adapters, name: str, tensors: Mapping[str, Tensor],
                  source: str) -> Mapping[str, Tensor]:
    """The tensors of a file without a network that an adapter which is not trained does not have.

    Raises if it is to be trained and the file has no network.
    """
    if name not in adapters.prompts:
        return tensors
    wanted = {key for key, _, _ in virtual_entries(adapters, name)}
    if len(wanted) > 1 and MADE in tensors and not any(key.startswith(NETWORK) for key in tensors):
        raise CheckpointError(f"{source}: the adapter holds what its network made, expected the "
                              "network too, to go on training it. Do: load it with "
                              "is_trainable=False, or train from a folder that enfold saved")
    return {key: tensor for key, tensor in tensors.items()
            if key in wanted or not key.startswith(NETWORK)}
