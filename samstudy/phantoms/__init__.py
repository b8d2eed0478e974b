"""Phantoms: drawn stand-ins for the nine benchmarks, written in their official layouts.

Each module draws the images of one benchmark and writes them with the folders, file names and label codes of its
official archive, so that a run without the real data goes through the very same loader. Nothing here is
shared with the scenes that ``vit_t`` is pretrained on.
"""

from __future__ import annotations

from samstudy.phantoms.base import (
    PHANTOMS,
    PREFIX,
    SCENES,
    Phantom,
    kind_of_images,
    phantom_root,
    shown_name,
    write_phantom,
)

__all__ = [
    "PHANTOMS",
    "PREFIX",
    "SCENES",
    "Phantom",
    "kind_of_images",
    "phantom_root",
    "shown_name",
    "write_phantom",
]
