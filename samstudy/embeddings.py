"""Signed cache of image embeddings: the key is the content, so that a stale file is never taken."""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from samstudy.images.display import check_image
from samstudy.inference import PREPROCESSING, Embedding
from samstudy.models import Model
from samstudy.paths import cache_dir, written_whole


def embedding_key(model: Model, image: np.ndarray) -> str:
    """SHA-256 over pixels, encoder weights, input size and preprocessing version.

    A model whose decoder alone was tuned has the encoder of its base, hence the same keys: tuning never
    encodes an image twice.
    """
    digest = hashlib.sha256(f"{PREPROCESSING} {model.image_size} {model.encoder_sha} {image.shape}".encode())
    digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest()


def embed(model: Model, image: np.ndarray, cache: bool = True) -> Embedding:
    """Embed one image, through the cache.

    Parameters
    ----------
    model : Model
        From :func:`samstudy.load_model`.
    image : numpy.ndarray, uint8, H x W x 3
        RGB in [0, 255].
    cache : bool
        Read from and write to ``data/cache/embeddings``. Embeddings are kept in float32, so that a cached
        one gives exactly the masks of a fresh one.

    Raises
    ------
    DataError
        If the image is not a uint8 H x W x 3 array.
    """
    check_image(image)
    if not cache or not model.encoder_sha:
        return model.embed(image)
    key = embedding_key(model, image)
    path = cache_dir() / "embeddings" / model.encoder_sha / f"{key}.safetensors"
    found = _read(path, key, image.shape[:2])
    if found is None:
        found = model.embed(image)
        metadata = {"key": key, "input_hw": f"{found.input_hw[0]} {found.input_hw[1]}"}
        with written_whole(path) as temporary:
            save_file({"features": found.features.contiguous()}, temporary, metadata)
    return replace(found, key=key)


def _read(path: Path, key: str, size_hw: tuple[int, int]) -> Embedding | None:
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as handle:
            metadata = handle.metadata() or {}
            features = handle.get_tensor("features")
    except (SafetensorError, OSError, ValueError) as error:
        warnings.warn(
            f"the cached embedding {path.name} is damaged ({error}); it is made again.", stacklevel=3
        )
        return None
    if metadata.get("key") != key:
        return None
    height, width = map(int, metadata["input_hw"].split())
    return Embedding(features, (height, width), tuple(size_hw))
