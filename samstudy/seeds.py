"""Randomness by name: the same object gets the same draw, whatever the order or number of workers."""

from __future__ import annotations

import hashlib

import numpy as np


def seed_for(base: int, *names: object) -> int:
    """Derive a 63-bit seed from a base seed and the names of what it is for.

    Parameters
    ----------
    base : int
        The study's seed.
    *names : object
        For a prompt: data set, image_id, object_id, prompt mode. Order matters.

    Returns
    -------
    int
        In ``[0, 2**63)``, so that it fits a signed Parquet integer.
    """
    text = "\x1f".join([str(int(base)), *map(str, names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def rng_for(base: int, *names: object) -> np.random.Generator:
    """Return ``numpy.random.default_rng(seed_for(base, *names))``."""
    return np.random.default_rng(seed_for(base, *names))
