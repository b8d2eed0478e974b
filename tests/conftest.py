"""Shared by the tests: a tiny SAM, a drawn data set, small folders, and real samples where there are any."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from drawn import DrawnDataset, tiny_sam
from drawn_fundus import DRAW
from PIL import Image

from samstudy.models import SamModel

# Tiny models run slower on several threads than on one, and the test workers share the cores.
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep every test's embeddings and rows out of the checkout and out of other tests."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("SAMSTUDY_CACHE", str(folder))
    return folder


@pytest.fixture
def tiny_model() -> SamModel:
    """The tiny SAM of random weights as the study's model."""
    return SamModel("tiny", tiny_sam(), source="tiny")


@pytest.fixture
def drawn() -> DrawnDataset:
    """Six drawn images: three for training, one for validation, two for testing."""
    return DrawnDataset()


@pytest.fixture
def make_folder(tmp_path: Path) -> Callable[..., Path]:
    """Return ``make_folder(images, masks, name="set")``; contents are arrays, PIL images or bytes."""

    def make(images: Mapping[str, object], masks: Mapping[str, object], name: str = "set") -> Path:
        root = tmp_path / name
        for folder, contents in (("images", images), ("masks", masks)):
            (root / folder).mkdir(parents=True, exist_ok=True)
            for file, content in contents.items():
                path = root / folder / file
                path.parent.mkdir(parents=True, exist_ok=True)
                if isinstance(content, bytes):
                    path.write_bytes(content)
                else:
                    image = content if isinstance(content, Image.Image) else Image.fromarray(content)
                    image.save(path)
        return root

    return make


@pytest.fixture
def tree(tmp_path: Path) -> Callable[[str], Path]:
    """Return ``tree(name)``: a drawn copy of that fundus set, four images, all in order."""

    def make(name: str) -> Path:
        DRAW[name](tmp_path / name)
        return tmp_path / name

    return make


@pytest.fixture
def disc() -> np.ndarray:
    """A disc of radius 10 in 40 rows x 60 columns, uint8 0/255."""
    y, x = np.ogrid[:40, :60]
    return (((y - 20) ** 2 + (x - 25) ** 2 <= 100) * 255).astype(np.uint8)


@pytest.fixture(scope="session")
def samples_dir() -> Path:
    """Folder of real samples; the test is skipped where there is none."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "samples"
    folder = Path(os.environ.get("SAMSTUDY_SAMPLES", beside))
    if not folder.is_dir():
        pytest.skip("no real samples on this machine (set SAMSTUDY_SAMPLES)")
    return folder
