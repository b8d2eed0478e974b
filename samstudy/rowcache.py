"""Finished rows of one image and one model, kept by content: what makes a killed run go on where it was."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from samstudy.datasets import Dataset
from samstudy.embeddings import kept_dtype
from samstudy.models import Model
from samstudy.paths import cache_dir, written_whole
from samstudy.provenance import code_sha


class RowCache:
    """One file per unit of work, named by everything its rows depend on.

    Parameters
    ----------
    sample_sha : str
        Hash of pixels, masks, spacing and identity of the image.
    model : Model
        Its weights, the size of its input and what it has learnt (a baseline's sizes) enter the key.
    dataset : Dataset
        Name, split and tolerance enter the key.
    prompts : sequence of str
        Modes, in order.
    seed : int
        Base seed.
    targets : sequence of str
        Targets that were asked for; none of them means all.

    What embeddings are rounded to enters the key, too.
    """

    def __init__(
        self,
        sample_sha: str,
        model: Model,
        dataset: Dataset,
        prompts: Sequence[str],
        seed: int,
        targets: Sequence[str],
    ) -> None:
        self._parts = [
            code_sha(), sample_sha, dataset.info.name, dataset.fingerprint(), dataset.options_text,
            dataset.info.nsd_tolerance,
            model.name, model.weights_sha, model.image_size, model.tuning, model.shots, model.fold,
            sorted(getattr(model, "area_fraction", {}).items()), list(prompts), seed, list(targets),
            kept_dtype(),
        ]  # fmt: skip

    @cached_property
    def path(self) -> Path:
        """File of the rows."""
        key = hashlib.sha256(json.dumps(self._parts).encode()).hexdigest()
        return cache_dir() / "rows" / key[:2] / f"{key}.json"

    def read(self) -> list[dict[str, Any]] | None:
        """Return the rows, or None where they have not been made or the file is damaged."""
        try:
            return json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, json.JSONDecodeError):
            return None

    def write(self, rows: list[dict[str, Any]]) -> None:
        """Keep the rows; floats survive exactly (JSON writes the shortest text that reads back the same)."""
        with written_whole(self.path) as temporary:
            temporary.write_text(json.dumps(rows), encoding="utf-8")
