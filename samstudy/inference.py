"""One image embedding, many prompts: SAM's own forward pass, batched, with every candidate kept.

The arithmetic is that of ``segment_anything.SamPredictor`` (same resize, padding, decoder and upsampling); a
test holds the two together. What differs: the single mask and the three masks come from one decoder pass.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from segment_anything.modeling import Sam
from segment_anything.utils.transforms import ResizeLongestSide
from torch import Tensor

from samstudy.automatic import has_learnt_prompt
from samstudy.decoder import attend, draw_masks, predict_iou
from samstudy.errors import DataError, StudyError
from samstudy.everything import propose
from samstudy.images.display import check_image
from samstudy.types import AUTOMATIC, Prediction, Prompt

PREPROCESSING = "resize-longest-side/pad-right-bottom/v1"
_CHUNK = {"cpu": 8, "cuda": 64, "mps": 16}


@dataclass(frozen=True)
class Embedding:
    """What the image encoder makes of one image.

    Attributes
    ----------
    features : torch.Tensor, float32, 1 x C x h x w, or None
        On the CPU; None for a model that does not look at the image.
    input_hw : tuple of int
        Size of the resized image before padding, in encoder pixels.
    size_hw : tuple of int
        Size of the original image.
    key : str
        Name of its content in the cache, under which what is made of it may be kept too; ``""`` for none.
    """

    features: Tensor | None
    input_hw: tuple[int, int]
    size_hw: tuple[int, int]
    key: str = ""


@torch.no_grad()
def encode_image(sam: Sam, image: np.ndarray) -> Embedding:
    """Resize, normalise, pad and encode one image.

    Parameters
    ----------
    sam : segment_anything.modeling.Sam
        On any device.
    image : numpy.ndarray, uint8, H x W x 3
        RGB in [0, 255].

    Raises
    ------
    DataError
        If the image is no such array, or so elongated that its short side would vanish.
    """
    check_image(image)
    side = sam.image_encoder.img_size
    if min(ResizeLongestSide.get_preprocess_shape(*image.shape[:2], side)) < 1:
        raise DataError(
            f"an image of {image.shape[0]} x {image.shape[1]} pixels is too elongated for a side of {side}."
        )
    resized = ResizeLongestSide(side).apply_image(image)
    pixels = torch.as_tensor(resized, device=sam.device).permute(2, 0, 1).contiguous()[None]
    features = sam.image_encoder(sam.preprocess(pixels))
    return Embedding(features.float().cpu(), tuple(resized.shape[:2]), tuple(image.shape[:2]))


def decode_low_res(
    sam: Sam, features: Tensor, prompts: Sequence[Prompt], size_hw: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Run prompt encoder and mask decoder for prompts of one shape; gradients flow where enabled.

    Parameters
    ----------
    sam : segment_anything.modeling.Sam
        Its device holds ``features``.
    features : torch.Tensor, 1 x C x h x w
        One image's embedding.
    prompts : sequence of Prompt
        All with the same number of points and all with or all without a box, all or none automatic; no composites.
    size_hw : tuple of int
        Size of the original image, in whose pixels the prompts are given.

    Returns
    -------
    logits : torch.Tensor, B x 4 x 4h x 4w
        Index 0 is the single mask, 1-3 the three masks.
    iou_pred : torch.Tensor, B x 4

    Raises
    ------
    StudyError
        If a mask is not of the decoder's size.
    """
    sparse, dense = encode_prompts(sam, prompts, size_hw)
    tokens, cells = attend(sam, features, sparse, dense)
    return draw_masks(sam, tokens, cells), predict_iou(sam, tokens)


def encode_prompts(sam: Sam, prompts: Sequence[Prompt], size_hw: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Run the prompt encoder alone; prompts and errors as in :func:`decode_low_res`.

    Returns
    -------
    sparse, dense : torch.Tensor, B x T x C and B x C x h x w
        Gradients flow to what ``automatic`` learns.
    """
    transform = ResizeLongestSide(sam.image_encoder.img_size)
    points = boxes = masks = None
    if len(prompts[0].points_xy):
        xy = transform.apply_coords(np.stack([p.points_xy for p in prompts]), size_hw)
        labels = np.stack([p.point_labels for p in prompts])
        points = (_float(xy, sam), torch.as_tensor(labels, dtype=torch.int, device=sam.device))
    if prompts[0].box_xyxy is not None:
        boxes = _float(transform.apply_boxes(np.stack([p.box_xyxy for p in prompts]), size_hw), sam)
    if prompts[0].mask_logits is not None:
        masks = _float(np.stack([_mask_input(p, sam) for p in prompts]), sam)
    sparse, dense = sam.prompt_encoder(points=points, boxes=boxes, masks=masks)
    if prompts[0].mode == AUTOMATIC and has_learnt_prompt(sam):
        return sam.automatic(sparse, dense)
    return sparse, dense


def _mask_input(prompt: Prompt, sam: Sam) -> np.ndarray:
    expected = (1, *sam.prompt_encoder.mask_input_size)
    if np.shape(prompt.mask_logits) != expected:
        raise StudyError(
            f"the mask of the prompt {prompt.mode!r} has shape {np.shape(prompt.mask_logits)}, but this model takes "
            f"{expected}: give one of a prediction's low_res_logits, with its first axis kept."
        )
    return prompt.mask_logits


def _float(array: np.ndarray, sam: Sam) -> Tensor:
    return torch.as_tensor(array, dtype=torch.float, device=sam.device)


def batches(prompts: Sequence[Prompt], most: int) -> Iterator[list[int]]:
    """Split prompts into batches that one decoder pass can take.

    Parameters
    ----------
    prompts : sequence of Prompt
        Without composites and grids.
    most : int
        Largest batch.

    Yields
    ------
    list of int
        Indices into ``prompts`` whose prompts have the same number of points, of boxes and of masks, automatic
        ones apart. (Padding with "not a point" would change SAM's result, so shapes are not mixed.)
    """
    by_shape = defaultdict(list)
    for index, prompt in enumerate(prompts):
        shape = len(prompt.points_xy), prompt.box_xyxy is None, prompt.mask_logits is None
        if shape == (0, True, True):
            raise StudyError(
                f"the prompt {prompt.mode!r} has neither a point nor a box nor a mask: nothing to segment."
            )
        by_shape[*shape, prompt.mode == AUTOMATIC].append(index)
    for indices in by_shape.values():
        for start in range(0, len(indices), most):
            yield indices[start : start + most]


@torch.inference_mode()
def decode(sam: Sam, embedding: Embedding, prompts: Sequence[Prompt]) -> list[Prediction]:
    """Predict every candidate mask of every prompt at the original resolution.

    Parameters
    ----------
    sam : segment_anything.modeling.Sam
        The model whose encoder made the embedding.
    embedding : Embedding
        Of the image the prompts belong to.
    prompts : sequence of Prompt
        Any mixture of modes; may be empty.

    Returns
    -------
    list of Prediction
        In the order of ``prompts``, four candidates each. The candidates of a composite prompt are the
        unions over its parts, their predicted IoU the mean over its parts. A grid gives the proposals of
        everything mode (:func:`samstudy.everything.propose`). Prompts of the same content are answered once, by the
        same object: an object of one part has the same box in three modes, and all objects share ``automatic``.
    """
    flat = [part for prompt in prompts for part in (prompt.parts or (prompt,))]
    distinct = {_content(part): part for part in flat}
    asked = {key: part for key, part in distinct.items() if not part.points_per_side}
    answers = dict(zip(asked, _decode_each(sam, embedding, list(asked.values())), strict=True))
    for key in distinct.keys() - asked.keys():
        answers[key] = propose(sam, embedding, distinct[key].points_per_side)
    parts = iter([answers[_content(part)] for part in flat])
    return [_united([next(parts) for _ in (p.parts or (p,))]) for p in prompts]


def _content(prompt: Prompt) -> tuple:
    """What the answer depends on; prompts that agree in it are asked once."""
    box, mask = prompt.box_xyxy, prompt.mask_logits
    return (
        prompt.points_per_side,
        prompt.mode == AUTOMATIC,
        np.asarray(prompt.points_xy, np.float64).tobytes(),
        np.asarray(prompt.point_labels, np.int64).tobytes(),
        None if box is None else np.asarray(box, np.float64).tobytes(),
        None if mask is None else (np.shape(mask), hashlib.sha256(np.ascontiguousarray(mask)).digest()),
    )


def _decode_each(sam: Sam, embedding: Embedding, prompts: Sequence[Prompt]) -> list[Prediction]:
    features = embedding.features.to(sam.device)
    found: list[Prediction | None] = [None] * len(prompts)
    for indices in batches(prompts, _CHUNK.get(sam.device.type, 8)):
        logits, iou_pred = decode_low_res(sam, features, [prompts[i] for i in indices], embedding.size_hw)
        for row, index in enumerate(indices):
            full = sam.postprocess_masks(logits[row : row + 1], embedding.input_hw, embedding.size_hw)
            found[index] = Prediction(
                masks=(full[0] > sam.mask_threshold).cpu().numpy(),
                iou_pred=iou_pred[row].float().cpu().numpy(),
                low_res_logits=logits[row].float().cpu().numpy(),
            )
    return found


def _united(predictions: list[Prediction]) -> Prediction:
    if len(predictions) == 1:
        return predictions[0]
    masks = np.logical_or.reduce([p.masks for p in predictions])
    return Prediction(masks, np.mean([p.iou_pred for p in predictions], axis=0, dtype=np.float32))
