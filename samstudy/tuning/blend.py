"""Weights between those of the base and the tuned ones: what a few images taught, without all that they wiped out.

The mean of two sets of weights, one tuned from the other, often does better on new images than either (WiSE-FT:
Wortsman et al., CVPR 2022). How much of the way is gone is chosen on the validation images. They are few, so that a
small difference between their losses says nothing, and what went farther is preferred.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

State = Mapping[str, Tensor]
TOLERANCE = 0.1
"""Losses that are higher by up to this fraction count as equal."""


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
    """Find the weights to keep among tuned ones and those on the way to them.

    Parameters
    ----------
    base : mapping of str to torch.Tensor
        Weights before tuning.
    ends : sequence of End
        The base (step 0) and tuned weights, at least one of both.
    shares : sequence of float
        Shares of the way that are tried for each, in (0, 1); without any the end of the lowest loss is taken.
    loss_of : callable
        Loss of weights on the validation images; at least 0.

    Returns
    -------
    End
        Of those whose loss exceeds the lowest by :data:`TOLERANCE` at most, the one of the largest share, then of the
        latest step: the base is kept where everything else is clearly worse.
    """
    if not shares:
        return min(ends, key=lambda end: end.loss)
    found = list(ends)
    for end in ends:
        for share in shares if end.step else ():
            state = between(base, end.state, share)
            found.append(End(end.step, loss_of(state), state, share))
    most = (1 + TOLERANCE) * min(end.loss for end in found)
    return max(
        (end for end in found if end.loss <= most), key=lambda end: (end.step > 0, end.share, end.step)
    )
