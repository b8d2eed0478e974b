"""What a tuned model has learnt in place of a prompt: the embedding of the mode ``automatic``.

The mode asks with the whole image as the box, which every SAM can answer. A model tuned for it adds a few hundred
learnt numbers to what its prompt encoder makes of that box: to each corner's token, and to every cell of the dense
embedding. They start at zero, so that tuning starts from the zero-shot answer, and no other prompt is touched.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from segment_anything.modeling import Sam
from torch import Tensor, nn

PREFIX = "automatic."
_CORNERS = 2


class AutomaticPrompt(nn.Module):
    """Offsets of the embedding of the whole image's box, C numbers for each corner and C for all cells.

    Parameters
    ----------
    dim : int
        C, the width of the prompt embedding: 256 in the official SAM.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.sparse = nn.Parameter(torch.zeros(_CORNERS, dim))
        self.dense = nn.Parameter(torch.zeros(dim, 1, 1))

    def forward(self, sparse: Tensor, dense: Tensor) -> tuple[Tensor, Tensor]:
        """Add them to the sparse (B x 2 x C) and the dense (B x C x h x w) embedding of the box."""
        return sparse + self.sparse, dense + self.dense


def has_learnt_prompt(sam: Sam) -> bool:
    """Say whether a model has an embedding of its own for ``automatic``."""
    return hasattr(sam, PREFIX[:-1])


def give_prompt(sam: Sam, state: Mapping[str, Tensor] | None = None) -> None:
    """Give a model the embedding, in place: that of a state dict, or zeros, which change nothing."""
    sam.automatic = AutomaticPrompt(sam.prompt_encoder.embed_dim)
    if state is not None:
        sam.automatic.load_state_dict(state)
    sam.automatic.to(sam.device)
