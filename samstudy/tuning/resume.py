"""Where a tuning stands, kept while it runs: one that was killed goes on from there and ends with the same weights.

The draws of a step depend on the seed and on its number alone, so that parameters, optimiser and counters are all
there is to keep.
"""

from __future__ import annotations

import hashlib
import json
import pickle
import warnings
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from segment_anything.modeling import Sam
from torch import Tensor

from samstudy.paths import cache_dir, written_whole
from samstudy.tuning.chunks import Chunk
from samstudy.tuning.parts import put_state, trained_state


@dataclass
class Standing:
    """What the loop knows after a step.

    Attributes
    ----------
    best_loss, best_state : float, dict of str to torch.Tensor
        The best validation loss so far, and the trained parameters it was taken with.
    curve : list of dict
        ``step``, ``train_loss``, ``val_loss`` of each validation.
    step : int
        Last finished one.
    misses : int
        Validations since the best.
    chunk : Chunk
        Prompts that have gone through the decoder at once: what fitted before the kill fits again, and the sums are
        taken in the same order.
    """

    best_loss: float
    best_state: dict[str, Tensor]
    curve: list[dict[str, float]] = field(default_factory=list)
    step: int = 0
    misses: int = 0
    chunk: Chunk = field(default_factory=Chunk)


def standing_path(*parts: Any) -> Path:
    """File for one tuning, named by everything that it depends on (JSON values)."""
    key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    return cache_dir() / "tuning" / f"{key[:32]}.pt"


def write_standing(path: Path, standing: Standing, sam: Sam, optimiser: torch.optim.Optimizer) -> None:
    """Write the standing, the trained parameters and the optimiser, whole or not at all."""
    content = {"standing": asdict(standing), "state": trained_state(sam), "optimiser": optimiser.state_dict()}
    with written_whole(path) as temporary:
        torch.save(content, temporary)


def read_standing(path: Path, sam: Sam, optimiser: torch.optim.Optimizer) -> Standing | None:
    """Go back to a standing: parameters and optimiser are set, in place. None where there is none, or it is damaged."""
    if not path.is_file():
        return None
    try:
        content = torch.load(path, map_location=sam.device, weights_only=True)
        known = content["standing"]
        standing = Standing(**known | {"chunk": Chunk(**known["chunk"])})
        put_state(sam, content["state"])
        optimiser.load_state_dict(content["optimiser"])
    except (
        OSError,
        EOFError,
        RuntimeError,
        KeyError,
        TypeError,
        ValueError,
        pickle.UnpicklingError,
    ) as error:
        warnings.warn(f"the kept tuning {path.name} is damaged ({error}); it starts again.", stacklevel=3)
        return None
    return standing
