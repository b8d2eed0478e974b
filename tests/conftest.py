"""Shared by the tests: a tiny SAM, a drawn data set, small folders, and the real samples where there are any."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from drawn import DrawnDataset, tiny_sam
from PIL import Image

from samstudy.models import SamModel

from samstudy.datasets import Dataset, DatasetInfo, Record
from samstudy.datasets.base import Reading
from samstudy.errors import DataError
from samstudy.models import SamModel
from samstudy.vit_t import VitTConfig, build_vit_t


def tiny_sam(seed: int = 0) -> torch.nn.Module:
    """Return a SAM with random weights that embeds a picture in milliseconds."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        sam = build_vit_t(
            VitTConfig(
                image_size=64,
                stem_dims=(8, 8, 16),
                vit_dim=32,
                vit_depth=1,
                vit_heads=2,
                decoder_dim=32,
                decoder_depth=2,
                decoder_heads=2,
            )
        )
    return sam.eval()


@pytest.fixture(scope="session")
def tiny_model() -> SamModel:
    """``tiny_sam`` as a model of the study."""
    return SamModel("tiny", tiny_sam())


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give every test an embedding cache of its own."""
    monkeypatch.setenv("SAMSTUDY_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class DrawnDataset(Dataset):
    """Discs and dots on noise, 40 x 56: 6 train, 2 val and 4 test images, two to a group.

    Parameters
    ----------
    broken : tuple of int
        Positions of images that cannot be loaded.
    """

    info = DatasetInfo(
        name="drawn",
        title="discs and dots on noise",
        modality="drawing",
        targets=("disc", "dot"),
        licence="none",
        citation="none",
        how_to_get="drawn by the tests",
        synthetic=True,
        group_noun="pair",
        interval_note="Drawn.",
    )

    def __init__(self, broken: tuple[int, ...] = ()) -> None:
        self.broken = broken
        parts = ["train"] * 6 + ["val"] * 2 + ["test"] * 4
        records = [Record(f"drawn_{k:02d}", f"pair_{k // 2}", part, index=k) for k, part in enumerate(parts)]
        super().__init__(records, "the tests")

    def _read(self, record: Record) -> Reading:
        k = record.index
        if k in self.broken:
            raise DataError(f"{record.image_id} is broken on purpose.")
        y, x = np.ogrid[:40, :56]
        disc = (y - 18) ** 2 + (x - 24) ** 2 <= (8 + k % 4) ** 2
        dot = (y - 32) ** 2 + (x - 48) ** 2 <= 9
        image = np.random.default_rng(k).integers(0, 60, (40, 56, 3), dtype=np.uint8)
        image[disc], image[dot] = 150, 220
        return Reading(image, {"disc": disc, "dot": dot})


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
    """Return ``make_folder(images, masks, name="set")``: writes arrays, PIL images or bytes under the given names."""

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
