"""What models with a mixture of experts return of their routers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor

from enfold.errors import InputError
from enfold.nn import losses

if TYPE_CHECKING:
    from enfold.model.stack import StackModel


def wants_routers(model: StackModel, asked: bool | None) -> bool:
    """Whether the pass has to record the routers' logits; config decides if nobody asked."""
    returned = "router_logits" in model.output_class().FIELDS
    if asked and not returned:
        what = "its head returns no" if model.body.routers() else "it has no"
        raise InputError(f"{type(model).__name__} got output_router_logits=True, but {what} "
                         "router logits. Do: leave it out")
    if not returned or not (model.config.output_router_logits if asked is None else asked):
        return False
    saved = model.body.checkpointing
    if model.training and saved is not None and saved.keywords.get("use_reentrant"):
        raise InputError("gradient checkpointing with use_reentrant=True loses the gradients of "
                         "the routers' loss (output_router_logits). Do: use_reentrant=False")
    return True


def balanced(model: StackModel, fields: dict[str, Any], routers: list[Tensor],
             mask: Tensor | None) -> dict[str, Any]:
    """The routers' logits, the loss of their uneven use, and the loss with it."""
    found: dict[str, Any] = {"router_logits": tuple(routers)}
    if "aux_loss" not in model.output_class().FIELDS:
        return found
    tokens = None
    if mask is not None and mask.dim() == 2:
        new = len(routers[0]) // mask.shape[0]
        tokens = mask[:, -new:]
    found["aux_loss"] = losses.balance(routers, model.body.routers()[0].top_k, tokens)
    if fields.get("loss") is not None:
        found["loss"] = fields["loss"] + model.config.router_aux_loss_coef * found["aux_loss"]
    return found
