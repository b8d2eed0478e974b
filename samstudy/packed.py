"""Linear layers on a CPU by oneDNN, on weights that are put into its order for the length of one call.

``torch.nn.functional.linear`` copies the bias into its output and calls the BLAS; oneDNN adds it on the way and, on
reordered weights, gets 10 to 20 % more out of the same cores. Nothing is kept: a layer's weights may change between two
calls. The operators are those that ``torch.compile`` uses; where they are missing or fail, the layer runs as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor, nn


def packed(layer: nn.Module) -> Callable[[Tensor], Tensor]:
    """Return something that computes what a linear layer does, to rounding, for as long as its weights stay.

    Parameters
    ----------
    layer : torch.nn.Module
        Returned as it is unless it is a plain ``nn.Linear`` of float32 on a CPU, without hooks: with LoRA's changes on
        it, under autocast or on another device it runs itself. Not for where gradients flow.
    """
    plain = type(layer) is nn.Linear and not layer._forward_hooks and not layer._forward_pre_hooks
    if not plain or layer.weight.device.type != "cpu" or layer.weight.dtype != torch.float32:
        return layer
    if torch.is_autocast_enabled("cpu") or not has_operators():
        return layer
    return _Packed(layer.weight, layer.bias)


class _Packed:
    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        self.weight = torch.ops.mkldnn._reorder_linear_weight(weight.detach())
        self.bias = None if bias is None else bias.detach()

    def __call__(self, x: Tensor) -> Tensor:
        return torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "none", [], "")


@cache
def has_operators() -> bool:
    """Say whether this PyTorch has oneDNN's linear layer, and whether it computes what it should."""
    x, weight, bias = (
        torch.linspace(-1, 1, n).view(shape) for n, shape in ((96, (6, 16)), (128, (8, 16)), (8, (8,)))
    )
    try:
        found = _Packed(weight, bias)(x)
    except (AttributeError, NotImplementedError, RuntimeError):
        return False
    return torch.allclose(found, nn.functional.linear(x, weight, bias), atol=1e-5)
