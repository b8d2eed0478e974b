"""LoRA in the attention of an image encoder: a change of low rank on top of frozen weights (Hu et al., ICLR 2022).

``W`` becomes ``W + alpha / rank * up @ down``, where ``up`` starts at zero, so that nothing changes before training.
SAM's encoders and ``vit_t`` alike have ``qkv``, the three projections of the attention in one linear layer, and
``proj``; each of the three has a change of its own. The change is a parametrisation of the weight: layers stay what
they were, and merging leaves plain weights and exactly the same outputs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from samstudy.errors import ModelError, StudyError, unknown_name

TARGETS = ("q", "k", "v", "proj")
_QKV = ("q", "k", "v")


class LowRank(nn.Module):
    """The change of one linear layer's weight.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of the weight.
    n_parts : int
        Equal parts that its rows consist of: 3 for ``qkv``, else 1.
    changed : sequence of int
        Parts that are changed.
    rank, alpha : int, float
        See :class:`samstudy.tuning.Recipe`.
    generator : torch.Generator
        Draws the first ``down``, as a linear layer's weight is drawn.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        n_parts: int,
        changed: Sequence[int],
        rank: int,
        alpha: float,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        rows, columns = shape
        self.n_parts, self.scale = n_parts, alpha / rank
        self.register_buffer("changed", torch.tensor(changed), persistent=False)
        bound = 1 / math.sqrt(columns)
        drawn = torch.rand(len(changed), rank, columns, generator=generator)
        self.down = nn.Parameter(bound * (2 * drawn - 1))
        self.up = nn.Parameter(torch.zeros(len(changed), rows // n_parts, rank))

    def forward(self, weight: Tensor) -> Tensor:
        """Return the changed weight."""
        parts = weight.unflatten(0, (self.n_parts, -1))
        return parts.index_add(0, self.changed, self.scale * self.up @ self.down).flatten(0, 1)


def inject(encoder: nn.Module, rank: int, alpha: float, targets: Sequence[str], seed: int = 0) -> None:
    """Give the attention layers of an encoder a trainable change, in place; every other weight is frozen.

    Raises
    ------
    StudyError
        If a target is unknown or none is given, the rank is under 1, or the encoder has no attention with ``qkv`` and
        ``proj``.
    """
    for target in targets:
        if target not in TARGETS:
            raise unknown_name("LoRA target", target, TARGETS)
    if rank < 1 or not targets:
        raise StudyError(f"LoRA needs a rank of at least 1 and a target, not {rank} and {list(targets)}.")
    encoder.requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)
    found = list(_attention_layers(encoder))
    if not found:
        raise StudyError(
            "this image encoder has no attention that LoRA could change; use the method decoder or full."
        )
    for name, layer in found:
        n_parts = len(_QKV) if name.endswith("qkv") else 1
        names = _QKV if n_parts > 1 else ("proj",)
        changed = [index for index, part in enumerate(names) if part in targets]
        if changed:
            change = LowRank(tuple(layer.weight.shape), n_parts, changed, rank, alpha, generator)
            parametrize.register_parametrization(layer, "weight", change.to(layer.weight.device))


def _attention_layers(encoder: nn.Module) -> Iterator[tuple[str, nn.Linear]]:
    for name, module in list(encoder.named_modules()):
        if all(isinstance(getattr(module, part, None), nn.Linear) for part in ("qkv", "proj")):
            yield from ((f"{name}.{part}", getattr(module, part)) for part in ("qkv", "proj"))


def _changes(encoder: nn.Module) -> Iterator[tuple[str, nn.Linear, LowRank]]:
    for name, layer in list(encoder.named_modules()):
        if parametrize.is_parametrized(layer, "weight"):
            yield name, layer, layer.parametrizations.weight[0]


def adapters(encoder: nn.Module) -> dict[str, Tensor]:
    """Copy the matrices to the CPU: ``<layer>.down`` (parts x rank x columns), ``<layer>.up`` (parts x rows x rank)."""
    return {
        f"{name}.{key}": value.detach().cpu().clone()
        for name, _, change in _changes(encoder)
        for key, value in change.named_parameters()
    }


def load_adapters(encoder: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Put matrices of :func:`adapters` into an encoder after :func:`inject`.

    Raises
    ------
    ModelError
        If they are not those of this encoder: other layers, another width or rank.
    """
    own = {
        f"{name}.{key}": value
        for name, _, change in _changes(encoder)
        for key, value in change.named_parameters()
    }
    if {name: value.shape for name, value in own.items()} != {
        name: value.shape for name, value in state.items()
    }:
        raise ModelError(
            f"the {len(state)} LoRA matrices do not fit this image encoder, which takes {len(own)}: use the base they "
            "were trained on."
        )
    with torch.no_grad():
        for name, value in own.items():
            value.copy_(state[name])


def merge(encoder: nn.Module) -> None:
    """Write the changes into the weights, in place: plain layers are left, with the same outputs."""
    for _, layer, _ in _changes(encoder):
        parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)
    encoder.requires_grad_(False)
