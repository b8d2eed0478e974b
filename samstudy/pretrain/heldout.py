"""Scores of a model on scenes that training never draws: the general-domain control of the study."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from scipy.stats import spearmanr
from segment_anything.modeling import Sam
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

from samstudy.pretrain.losses import pairwise_iou
from samstudy.pretrain.prompting import SceneDataset, next_click
from samstudy.pretrain.step import decode, normalised


@torch.no_grad()
def heldout_scores(
    sam: Sam, n_scenes: int = 200, seed: int = 0, n_targets: int = 3, batch_size: int = 8
) -> pd.DataFrame:
    """Score a model on held-out scenes at its own image size.

    Parameters
    ----------
    sam : Sam
        From :func:`samstudy.vit_t.build_vit_t`.
    n_scenes, seed : int
        Scenes ``0 .. n_scenes - 1`` of the ``heldout`` stream of that seed.
    n_targets : int
        Objects prompted in each scene.

    Returns
    -------
    pandas.DataFrame
        One row per object and prompt (``box``: some of them jittered; ``point``: one point; ``clicks_4``:
        three corrections after the point): ``prompt single predicted_iou oracle iou_pred``, the first three
        mask IoUs in [0, 1] on the grid of half the image side, the last the model's estimate for the single
        mask (box, clicks) or for the chosen one (point).
    """
    device = sam.device
    scenes = SceneDataset(seed, 0, n_scenes, sam.image_encoder.img_size, n_targets, "heldout")
    generator = torch.Generator().manual_seed(seed)
    rows = []
    for batch in tqdm(DataLoader(scenes, batch_size), unit="batch", desc="held-out scenes"):
        batch = {name: value.to(device) for name, value in batch.items()}
        embedding = sam.image_encoder(normalised(sam, batch["image"], batch["size_hw"]))
        target = batch["targets"].flatten(0, 1)[:, 0].float() / 4
        boxes, first = batch["boxes"].flatten(0, 1), batch["positive"].flatten(0, 1)[:, :1]
        ones = torch.ones_like(first[..., 0], dtype=torch.long)
        box = decode(sam, embedding, {"points": None, "boxes": boxes, "masks": None})
        rows += _rows("box", *box, target)
        prompt = {"points": (first, ones), "boxes": None, "masks": None}
        logits, iou_pred = decode(sam, embedding, prompt)
        rows += _rows("point", logits, iou_pred, target)
        each = torch.arange(len(logits), device=device)
        mask = logits[each, 1 + iou_pred[:, 1:].argmax(1)]
        for _ in range(3):
            points, labels = next_click(mask, target, generator)
            earlier = prompt["points"]
            joined = torch.cat([earlier[0], points], 1), torch.cat([earlier[1], labels], 1)
            prompt = {"points": joined, "boxes": None, "masks": mask[:, None]}
            logits, iou_pred = decode(sam, embedding, prompt)
            mask = logits[:, 0]
        rows += _rows("clicks_4", logits, iou_pred, target)
    return pd.DataFrame(rows)


def _rows(prompt: str, logits: Tensor, iou_pred: Tensor, target: Tensor) -> list[dict]:
    iou = pairwise_iou(logits, target[:, None])[:, :, 0].cpu().numpy()
    iou_pred = iou_pred.float().cpu().numpy()
    best = 1 + iou_pred[:, 1:].argmax(1)
    each = np.arange(len(iou))
    estimate = iou_pred[each, best] if prompt == "point" else iou_pred[:, 0]
    columns = {
        "single": iou[:, 0],
        "predicted_iou": iou[each, best],
        "oracle": iou[:, 1:].max(1),
        "iou_pred": estimate,
    }
    return [{"prompt": prompt, **{k: float(v[i]) for k, v in columns.items()}} for i in range(len(iou))]


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Mean IoU by prompt and mask choice, count, and Spearman correlation of predicted with true IoU."""
    means = table.groupby("prompt", sort=False)[["single", "predicted_iou", "oracle"]].mean()
    means["n"] = table.groupby("prompt", sort=False).size()
    for prompt, part in table.groupby("prompt"):
        true = part["predicted_iou"] if prompt == "point" else part["single"]
        means.loc[prompt, "spearman"] = spearmanr(part["iou_pred"], true)[0]
    return means
