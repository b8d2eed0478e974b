"""Weights between those of the base and the tuned ones: what a few images taught, without all that they wiped out.

The mean of two sets of weights, one tuned from the other, often does better on new images than either (WiSE-FT:
Wortsman et al., CVPR 2022). How much of the way is gone is chosen on the validation images.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

State = Mapping[str, Tensor]


@dataclass(frozen=True)
class End:
    """Weights that tuning came to, or some on the way to them.

    Attributes
    ----------
    step : int
        Step of the tuned ones; 0 for the base.
    loss : float
        On the validation images.
    state : mapping of str to torch.Tensor
        Trained parameters.
    share : float
        Share of the way from the base: 1 for the tuned ones.
    """

    step: int
    loss: float
    state: State
    share: float = 1.0


def between(base: State, tuned: State, share: float) -> dict[str, Tensor]:
    """Go a share of the way from the base's weights (0) to the tuned ones (1); both have the same names."""
    return {name: value.lerp(tuned[name], share) for name, value in base.items()}


def best_between(
    base: State, ends: Sequence[End], shares: Sequence[float], loss_of: Callable[[State], float]
) -> End:
    """Find the weights of the lowest loss among tuned ones and those on the way to them.

    Parameters
    ----------
    base : mapping of str to torch.Tensor
        Weights before tuning.
    ends : sequence of End
        Tuned weights, at least one; of step 0 there is nothing between.
    shares : sequence of float
        Shares of the way that are tried for each, in (0, 1); without any the best end is taken.
    loss_of : callable
        Loss of weights on the validation images.

    Returns
    -------
    End
        Of equals the first: an end before what is on the way to one.
    """
    found = list(ends)
    for end in ends:
        for share in shares if end.step else ():
            state = between(base, end.state, share)
            found.append(End(end.step, loss_of(state), state, share))
    return min(found, key=lambda each: each.loss)
