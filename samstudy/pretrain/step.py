"""One training step: each image is encoded once, its prompts are decoded three times.

Boxes, then points, then a correction of one of the two, with the previous mask as prompt.
"""

from __future__ import annotations

import numpy as np
import torch
from segment_anything.modeling import Sam
from torch import Tensor

from samstudy.pretrain.losses import prompt_loss
from samstudy.pretrain.prompting import next_click


def decode(sam: Sam, embedding: Tensor, prompts: dict[str, object]) -> tuple[Tensor, Tensor]:
    """Decode K prompts for each of B images at once.

    SAM's decoder takes one image at a time and adds the dense prompt embedding to it. Here the image
    embedding travels inside the dense embedding, which is the same sum.

    Parameters
    ----------
    sam : Sam
    embedding : Tensor
        B x C x h x w.
    prompts : dict
        ``points``, ``boxes``, ``masks`` of SAM's prompt encoder, B * K rows, image by image.

    Returns
    -------
    logits : Tensor
        (B * K) x 4 x 4h x 4w.
    iou_pred : Tensor
        (B * K) x 4.
    """
    sparse, dense = sam.prompt_encoder(**prompts)
    each = embedding.repeat_interleave(len(sparse) // len(embedding), dim=0)
    return sam.mask_decoder.predict_masks(
        image_embeddings=torch.zeros_like(embedding[:1]),
        image_pe=sam.prompt_encoder.get_dense_pe().to(each.dtype),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense.to(each.dtype) + each,
    )


def normalised(sam: Sam, image: Tensor, size_hw: Tensor) -> Tensor:
    """SAM's preprocessing of a padded uint8 batch: normalise, then zero the padding."""
    x = (image.float() - sam.pixel_mean) / sam.pixel_std
    side = torch.arange(x.shape[-1], device=x.device)
    rows = side[None, :] < size_hw[:, 0:1].to(x.device)
    columns = side[None, :] < size_hw[:, 1:2].to(x.device)
    return x * (rows[:, None, :, None] & columns[:, None, None, :])


def choose_points(batch: dict[str, Tensor], rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Points of this step's point prompts, N x P x 2, and labels: one point in half of the steps."""
    n_positive = 1 if rng.random() < 0.6 else int(rng.integers(2, 6))
    n_negative = 0 if rng.random() < 0.6 else int(rng.integers(1, 6))
    if n_positive == 1 and rng.random() < 0.7:
        n_negative = 0
    points = torch.cat([batch["positive"][:, :n_positive], batch["negative"][:, :n_negative]], dim=1)
    labels = torch.tensor([1] * n_positive + [0] * n_negative, device=points.device)
    return points, labels.expand(len(points), -1)


def step_loss(
    sam: Sam, batch: dict[str, Tensor], seed: int, balance: float, correction_share: float = 1.0
) -> tuple[Tensor, dict[str, float]]:
    """Loss and mean IoUs of one batch of :class:`SceneDataset`: boxes, points, perhaps one correction."""
    rng = np.random.default_rng(seed)
    generator = torch.Generator().manual_seed(seed)
    embedding = sam.image_encoder(normalised(sam, batch["image"], batch["size_hw"]))
    flat = {
        name: batch[name].flatten(0, 1) for name in ("targets", "exists", "boxes", "positive", "negative")
    }
    targets, exists = flat["targets"].float() / 4, flat["exists"]
    alone = exists & (torch.arange(exists.shape[1], device=exists.device) == 0)

    box_points = None
    if rng.random() < 0.25:
        first = flat["positive"][:, :1]
        box_points = (first, torch.ones_like(first[..., 0], dtype=torch.long))
    box = {"points": box_points, "boxes": flat["boxes"], "masks": None}
    box_logits, box_pred = decode(sam, embedding, box)
    box_loss, box_iou = prompt_loss(
        box_logits, box_pred, targets, alone, balance, share_mean=0.3, single_weight=1.5
    )

    points = choose_points(flat, rng)
    point = {"points": points, "boxes": None, "masks": None}
    point_logits, point_pred = decode(sam, embedding, point)
    ambiguous = points[1].shape[1] == 1
    accepted, weight = (exists, 0.2) if ambiguous else (alone, 1.0)
    point_loss, point_iou = prompt_loss(
        point_logits, point_pred, targets, accepted, balance, single_weight=weight
    )

    def chosen(prediction: Tensor, iou: Tensor) -> float:
        best = prediction.detach()[:, 1:].argmax(1, keepdim=True)
        return iou[:, 1:].gather(1, best).mean().item()

    logged = {
        "box_iou": box_iou[:, 0].mean().item(),
        "box_predicted": chosen(box_pred, box_iou),
        "box_oracle": box_iou[:, 1:].amax(1).mean().item(),
    }
    if ambiguous:
        logged["point_iou"] = point_iou[:, 0].mean().item()
        logged["point_predicted"] = chosen(point_pred, point_iou)
        logged["point_oracle"] = point_iou[:, 1:].amax(1).mean().item()
    if rng.random() >= correction_share:
        return box_loss + point_loss, logged

    base, logits, pred = (
        (box, box_logits, box_pred) if rng.random() < 0.3 else (point, point_logits, point_pred)
    )
    refined = correction(base, logits.detach().float(), pred.detach(), targets[:, 0], generator, rng)
    refined_logits, refined_pred = decode(sam, embedding, refined)
    refined_loss, refined_iou = prompt_loss(refined_logits, refined_pred, targets, alone, balance)
    logged["refined_iou"] = refined_iou[:, 0].mean().item()
    return box_loss + point_loss + refined_loss, logged


def correction(
    base: dict[str, object],
    logits: Tensor,
    iou_pred: Tensor,
    target: Tensor,
    generator: torch.Generator,
    rng: np.random.Generator,
) -> dict[str, object]:
    """Prompt that adds a click (now and then up to three) in the error region and the previous mask."""
    index = iou_pred.argmax(1) if rng.random() < 0.5 else torch.zeros_like(iou_pred[:, 0], dtype=torch.long)
    previous = logits[torch.arange(len(logits), device=logits.device), index]
    points, labels = base["points"] if base["points"] is not None else (None, None)
    for _ in range(1 if rng.random() < 0.7 else int(rng.integers(2, 4))):
        xy, label = next_click(previous, target, generator)
        points = xy if points is None else torch.cat([points, xy], dim=1)
        labels = label if labels is None else torch.cat([labels, label], dim=1)
    masks = previous[:, None] if rng.random() < 0.6 else None
    return {"points": (points, labels), "boxes": base["boxes"], "masks": masks}
