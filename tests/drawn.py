"""A tiny SAM and a data set in memory, for tests of everything between them."""

from __future__ import annotations

import numpy as np
import torch

from samstudy.datasets.base import Dataset, DatasetInfo, Reading, Record
from samstudy.errors import DataError
from samstudy.inference import Embedding
from samstudy.types import Prediction
from samstudy.vit_t import VitTConfig, build_vit_t

TINY = VitTConfig(
    image_size=64,
    stem_dims=(8, 8, 16),
    vit_dim=32,
    vit_depth=2,
    vit_heads=2,
    decoder_dim=32,
    decoder_heads=2,
)


def tiny_sam(seed: int = 0) -> torch.nn.Module:
    """A SAM of random weights that runs in milliseconds."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        sam = build_vit_t(TINY).eval()
    for parameter in sam.parameters():
        parameter.requires_grad_(False)
    return sam


class DrawnDataset(Dataset):
    """Discs on noise: image ``i`` has a disc of radius 6 to 11, a dot, and an empty target where asked."""

    info = DatasetInfo(
        name="drawn",
        title="drawn for a test",
        modality="drawing",
        targets=("disc", "dot"),
        licence="none",
        citation="none",
        how_to_get="drawn",
        group_noun="page",
        synthetic=True,
        nsd_tolerance=1.0,
    )

    def __init__(
        self,
        n_images: int = 6,
        splits: str = "tttvee",
        broken: tuple[int, ...] = (),
        empty: bool = False,
        only: str | None = None,
    ):
        names = {"t": "train", "v": "val", "e": "test"}
        self.broken, self.empty, self.only = broken, empty, only
        records = [
            Record(f"page{i}", f"group{i}", names[splits[i % len(splits)]], index=i) for i in range(n_images)
        ]
        super().__init__(records, "the test")

    def _read(self, record: Record) -> Reading:
        if record.index in self.broken:
            raise DataError(f"{record.image_id}.png is truncated; copy it again.")
        height, width = 40, 56
        y, x = np.ogrid[:height, :width]
        disc = (y - 18) ** 2 + (x - 24) ** 2 <= (6 + record.index % 6) ** 2
        dot = np.zeros((height, width), bool)
        dot[34, 50] = True
        image = np.random.default_rng(record.index).integers(0, 80, (height, width, 3), dtype=np.uint8)
        image[disc] += 120
        labels = {"disc": disc, "dot": dot}
        if self.empty:
            labels["none"] = np.zeros((height, width), bool)
        if self.only:
            labels = {self.only: labels[self.only]}
        return Reading(image, labels, spacing_mm=(0.5, 0.5))


class Oracle:
    """Knows the masks: answers with a function of the reference, found by the prompt's target and image."""

    name, weights_sha, encoder_sha, fold, uses_image, image_size = "known", "w", "", 0, True, 0

    def __init__(self, dataset, answer, iou_pred=(0.5, 0.1, 0.9, 0.2), tuning="none", shots=0):
        self.tuning, self.shots = tuning, shots
        self.by_pixels = {dataset.load(i).image.tobytes(): dataset.load(i) for i in dataset.ids("all")}
        self.answer, self.iou_pred = answer, np.array(iou_pred, np.float32)

    def prepare(self, dataset):
        """Nothing."""

    def embed(self, image):
        """Remember the image."""
        self.sample = self.by_pixels[image.tobytes()]
        return Embedding(None, image.shape[:2], image.shape[:2])

    def predict(self, embedding, prompts):
        """Answer from the reference."""
        return [Prediction(self.answer(self.sample.labels[p.target]), self.iou_pred) for p in prompts]
