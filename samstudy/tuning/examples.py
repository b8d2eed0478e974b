"""What the loop learns from: few images, their cached embeddings, prompts and targets on the decoder's grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from samstudy.datasets import Dataset
from samstudy.embeddings import embed
from samstudy.errors import StudyError
from samstudy.models import SamModel
from samstudy.prompts import PROMPTS, make_prompt
from samstudy.seeds import rng_for
from samstudy.tuning.recipe import Recipe
from samstudy.types import MASK_CHOICES, Prompt, target_of


@dataclass(frozen=True)
class Example:
    """One image: its embedding, the prompts of its objects and each prompt's target at decoder resolution."""

    features: Tensor
    size_hw: tuple[int, int]
    prompts: list[Prompt]
    targets: Tensor
    object_index: list[int]
    counted: Tensor


def choose_shots(dataset: Dataset, shots: int, seed: int) -> list[str]:
    """Draw training images: a different group each as long as there are groups left.

    Raises
    ------
    StudyError
        If the training split has fewer images, or ``shots`` is under 1.
    """
    ids = dataset.ids("train")
    if not 1 <= shots <= len(ids):
        raise StudyError(
            f"{shots} training images were asked for, but the training split of {dataset.info.name} has {len(ids)}: "
            f"choose 1 to {len(ids)}."
        )
    rng = rng_for(seed, "shots", dataset.info.name)
    waiting: dict[str, list[str]] = {}
    for image_id in rng.permutation(ids):
        waiting.setdefault(dataset.group_of(str(image_id)), []).append(str(image_id))
    rounds = [(turn, image_id) for group in waiting.values() for turn, image_id in enumerate(group)]
    return [image_id for _, image_id in sorted(rounds, key=lambda pair: pair[0])][:shots]


def validation_ids(dataset: Dataset, most: int) -> list[str]:
    """Take at most ``most`` validation images, evenly spaced.

    Raises
    ------
    StudyError
        If there are none.
    """
    ids = dataset.ids("val")
    if not ids:
        raise StudyError(
            f"{dataset.info.name} has no validation images, which early stopping needs: mark some groups 'val' in "
            "its splits.csv, or add images."
        )
    step = max(1, -(-len(ids) // most))
    return ids[::step]


def make_examples(
    model: SamModel, dataset: Dataset, ids: Sequence[str], recipe: Recipe, seed: int
) -> list[Example]:
    """Read, embed and prompt images; those that show none of the recipe's targets are passed over.

    Raises
    ------
    StudyError
        If no image shows an object to learn from, or a prompt mode is composite or takes the model's own answers.
    """
    for mode in recipe.prompts:
        if PROMPTS[mode].n_turns > 1 or PROMPTS[mode].choices != MASK_CHOICES:
            raise StudyError(
                f"the prompt {mode!r} cannot be trained with, as it is not made before the model answers; choose a "
                "mode of one prompt, such as box."
            )
    found = [_example(model, dataset, image_id, recipe, seed) for image_id in ids]
    kept = [example for example in found if example is not None]
    if not kept:
        raise StudyError(
            f"none of the images {', '.join(ids[:3])} of {dataset.info.name} shows an object to learn from."
        )
    return kept


def _example(model: SamModel, dataset: Dataset, image_id: str, recipe: Recipe, seed: int) -> Example | None:
    sample = dataset.load(image_id)
    everywhere = np.ones(sample.size_hw, bool) if sample.valid is None else sample.valid
    wanted = {name: mask & everywhere for name, mask in sample.labels.items() if _is_wanted(name, recipe)}
    objects = {name: mask for name, mask in wanted.items() if mask.any()}
    if not objects:
        return None
    prompts, object_index = [], []
    for index, (name, mask) in enumerate(objects.items()):
        for mode in recipe.prompts:
            for variant in range(recipe.variants):
                rng = rng_for(seed, "tuning", dataset.info.name, image_id, name, mode, variant)
                prompts.append(make_prompt(mode, mask, rng))
                object_index.append(index)
    if any(prompt.parts for prompt in prompts):
        raise StudyError(
            "composite prompts cannot be trained with; choose prompt modes of one part, such as box."
        )
    embedding = embed(model, sample.image)
    side = model.image_size
    cell = side // (4 * embedding.features.shape[-1])
    grids = [to_decoder_grid(m, embedding.input_hw, side, cell) for m in (*objects.values(), everywhere)]
    return Example(
        embedding.features.to(model.device),
        embedding.size_hw,
        prompts,
        torch.stack(grids[:-1]).to(model.device),
        object_index,
        (grids[-1] > 0.5).float().to(model.device),
    )


def _is_wanted(label: str, recipe: Recipe) -> bool:
    return not recipe.targets or target_of(label) in recipe.targets


def to_decoder_grid(mask: np.ndarray, input_hw: tuple[int, int], side: int, cell: int) -> Tensor:
    """Bring a mask to the grid of the decoder's logits, as the fraction of each cell that it covers.

    Parameters
    ----------
    mask : numpy.ndarray, bool, H x W
        At the original resolution.
    input_hw : tuple of int
        Size of the resized image in the encoder's input.
    side : int
        Side of that input; what the image does not fill is padding and gets 0.
    cell : int
        Input pixels per logit.

    Returns
    -------
    torch.Tensor, float32, side / cell x side / cell
        In [0, 1].
    """
    full = torch.as_tensor(mask, dtype=torch.float32)[None, None]
    resized = F.interpolate(full, input_hw, mode="bilinear", align_corners=False, antialias=True)
    padded = F.pad(resized, (0, side - input_hw[1], 0, side - input_hw[0]))
    return F.avg_pool2d(padded, cell)[0, 0].clamp(0, 1)
