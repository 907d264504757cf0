"""The lazy plan: what was asked of a dataset, run in passes when something reads it."""

from enfold.data.plan.apply import Apply, Settings
from enfold.data.plan.call import Call, Format
from enfold.data.plan.make import is_eager, set_eager, with_function
from enfold.data.plan.mapop import MapOp
from enfold.data.plan.node import Loaded, Node, Reshape, show
from enfold.data.plan.ops import ColumnsOp, ExpressionOp, FilterOp

__all__ = ["Apply", "Call", "ColumnsOp", "ExpressionOp", "FilterOp", "Format", "Loaded", "MapOp",
           "Node", "Reshape", "Settings", "is_eager", "set_eager", "show", "with_function"]
