"""Signed cache of image embeddings: the key is the content, so that a stale file is never taken.

Embeddings are rounded to float16 before they are used, whether they are kept or not: a table is the same with a cold
cache, a warm one and none. docs/decisions.md says what the rounding does to the scores.
"""

from __future__ import annotations

import hashlib
import os
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from samstudy.embedding_files import LIMIT_VARIABLE, embeddings_dir, make_room, touch
from samstudy.errors import unknown_name
from samstudy.images.display import check_image
from samstudy.inference import PREPROCESSING, Embedding
from samstudy.models import Model
from samstudy.paths import written_whole

DTYPE_VARIABLE = "SAMSTUDY_CACHE_DTYPE"
CACHE_DTYPES = {"float16": torch.float16, "float32": torch.float32}


def kept_dtype(name: str | None = None) -> str:
    """Return the type that embeddings are rounded to.

    Parameters
    ----------
    name : {"float16", "float32"}, optional
        ``SAMSTUDY_CACHE_DTYPE`` when not given, and float16 where that is not set.

    Raises
    ------
    StudyError
        If there is no such type.
    """
    name = name or os.environ.get(DTYPE_VARIABLE) or "float16"
    if name not in CACHE_DTYPES:
        raise unknown_name("cache_dtype", name, CACHE_DTYPES)
    return name


def embedding_key(model: Model, image: np.ndarray, dtype: str | None = None) -> str:
    """SHA-256 over pixels, encoder weights, input size, preprocessing version and type (:func:`kept_dtype`).

    A model whose decoder alone was tuned has the encoder of its base, hence the same keys: tuning never
    encodes an image twice.
    """
    about = f"{PREPROCESSING} {model.image_size} {model.encoder_sha} {image.shape} {kept_dtype(dtype)}"
    digest = hashlib.sha256(about.encode())
    digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest()


def embed(model: Model, image: np.ndarray, cache: bool = True, cache_dtype: str | None = None) -> Embedding:
    """Embed one image, through the cache.

    Parameters
    ----------
    model : Model
        From :func:`samstudy.load_model`.
    image : numpy.ndarray, uint8, H x W x 3
        RGB in [0, 255].
    cache : bool
        Read from and write to ``data/cache/embeddings``, which holds at most ``SAMSTUDY_CACHE_GB``
        (:func:`samstudy.embedding_files.limit_bytes`).
    cache_dtype : {"float16", "float32"}, optional
        What the embedding is rounded to, with and without the cache; float32 is SAM's own. See
        :func:`kept_dtype`.

    Returns
    -------
    Embedding
        Its features are float32, of rounded values. Values that float16 has no room for stay as they are.

    Raises
    ------
    DataError
        If the image is not a uint8 H x W x 3 array.
    StudyError
        If a setting is wrong: the type, or the limit of the cache.
    """
    check_image(image)
    dtype = kept_dtype(cache_dtype)
    if not cache or not model.encoder_sha:
        found = model.embed(image)
        return found if found.features is None else replace(found, features=_rounded(found, dtype).float())
    key = embedding_key(model, image, dtype)
    path = embeddings_dir() / model.encoder_sha / f"{key}.safetensors"
    found = _read(path, key, image.shape[:2])
    if found is None:
        found = model.embed(image)
        features = _rounded(found, dtype)
        _keep(path, features, {"key": key, "input_hw": f"{found.input_hw[0]} {found.input_hw[1]}"})
        found = replace(found, features=features.float())
    return replace(found, key=key)


def _rounded(found: Embedding, dtype: str) -> Tensor:
    rounded = found.features.to(CACHE_DTYPES[dtype])
    return rounded if torch.isfinite(rounded).all() else found.features


def _keep(path: Path, features: Tensor, metadata: dict[str, str]) -> None:
    if os.environ.get(LIMIT_VARIABLE, "").strip() in ("0", "0.0"):
        return
    with written_whole(path) as temporary:
        save_file({"features": features.contiguous()}, temporary, metadata)
    make_room(path.parent.parent, features.nbytes)


def _read(path: Path, key: str, size_hw: tuple[int, int]) -> Embedding | None:
    """Map a kept file into memory: only its pages are read, and a file that is removed meanwhile stays readable."""
    try:
        with safe_open(path, framework="pt") as handle:
            metadata = handle.metadata() or {}
            features = handle.get_tensor("features").float()
    except FileNotFoundError:
        return None
    except (SafetensorError, OSError, ValueError) as error:
        warnings.warn(
            f"the cached embedding {path.name} is damaged ({error}); it is made again.", stacklevel=3
        )
        return None
    if metadata.get("key") != key:
        return None
    touch(path)
    height, width = map(int, metadata["input_hw"].split())
    return Embedding(features, (height, width), tuple(size_hw))
