"""What the loop learns from: few images, embedded or not, with prompts and targets on the decoder's grid."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from segment_anything.modeling import Sam
from segment_anything.utils.transforms import ResizeLongestSide
from torch import Tensor
from torch.nn import functional as F

from samstudy.datasets import Dataset
from samstudy.embeddings import embed
from samstudy.errors import StudyError
from samstudy.models import SamModel
from samstudy.prompts import PROMPTS, make_prompt
from samstudy.questions import objects_asked
from samstudy.seeds import rng_for
from samstudy.tuning.recipe import Recipe
from samstudy.types import MASK_CHOICES, Prompt, Sample, target_of


@dataclass(frozen=True)
class Example:
    """One view of an image: the prompts of its objects and each prompt's target at decoder resolution.

    It holds the embedding (``features``, 1 x C x h x w) where the encoder stays as it is; where the encoder is trained,
    the resized image (``pixels``, uint8 3 x h x w). ``chances`` makes modes and objects
    equally likely in a step, however many random prompts each has.
    """

    features: Tensor | None
    pixels: Tensor | None
    size_hw: tuple[int, int]
    prompts: list[Prompt]
    targets: Tensor
    object_index: list[int]
    counted: Tensor
    content_sha: str
    chances: tuple[float, ...]

    def pick(self, rng: np.random.Generator, most: int) -> list[int]:
        """Draw the prompts of a step: indices of different ones, at most so many."""
        n_prompts = len(self.prompts)
        chances = np.array(self.chances) / sum(self.chances)
        return [int(i) for i in rng.choice(n_prompts, min(most, n_prompts), replace=False, p=chances)]


def image_features(sam: Sam, example: Example, brightness: float = 1.0) -> Tensor:
    """Return the kept embedding of an example, or encode its image with pixels multiplied by ``brightness``."""
    if example.features is not None:
        return example.features
    pixels = (example.pixels.float() * brightness).clamp(0, 255)
    return sam.image_encoder(sam.preprocess(pixels[None]))


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
    model: SamModel, dataset: Dataset, ids: Sequence[str], recipe: Recipe, seed: int, embedded: bool = True
) -> list[Example]:
    """Read and prompt images; those that show none of the recipe's targets are passed over.

    With ``embedded`` each is encoded, through the cache; else its resized pixels are kept.

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
    found = [
        _example(model, dataset.info.name, view, recipe, seed, embedded)
        for image_id in ids
        for view in _views(dataset.load(image_id), recipe.flips)
    ]
    kept = [example for example in found if example is not None]
    if not kept:
        raise StudyError(
            f"none of the images {', '.join(ids[:3])} of {dataset.info.name} shows an object to learn from."
        )
    return kept


def _views(sample: Sample, flips: bool) -> Iterator[Sample]:
    """Yield an image as it is, and with ``flips`` mirrored, upside down and both."""
    yield sample
    for rows, columns in ((1, -1), (-1, 1), (-1, -1)) if flips else ():
        valid = sample.valid
        yield replace(
            sample,
            image=np.ascontiguousarray(sample.image[::rows, ::columns]),
            labels={label: mask[::rows, ::columns] for label, mask in sample.labels.items()},
            valid=None if valid is None else valid[::rows, ::columns],
            learns=None
            if sample.learns is None
            else {label: mask[::rows, ::columns] for label, mask in sample.learns.items()},
        )


def _example(
    model: SamModel, dataset: str, sample: Sample, recipe: Recipe, seed: int, embedded: bool
) -> Example | None:
    everywhere = np.ones(sample.size_hw, bool) if sample.valid is None else sample.valid
    prompts, object_index, chances, masks = [], [], [], []
    for name, modes in objects_asked(sample, recipe.prompts):
        mask = sample.reference(name) & everywhere
        if not mask.any() or (recipe.targets and target_of(name) not in recipe.targets):
            continue
        for mode in modes:
            made = _variants(mode, mask, recipe.variants, (seed, "tuning", dataset, sample.image_id, name))
            prompts += made
            object_index += [len(masks)] * len(made)
            chances += [1 / len(made)] * len(made)
        masks.append(sample.to_learn(name) & everywhere)
    if not masks:
        return None
    if any(prompt.parts for prompt in prompts):
        raise StudyError(
            "composite prompts cannot be trained with; choose prompt modes of one part, such as box."
        )
    features = pixels = None
    side = model.image_size
    input_hw = ResizeLongestSide.get_preprocess_shape(*sample.size_hw, side)
    if embedded:
        features = embed(model, sample.image).features.to(model.device)
    else:
        resized = ResizeLongestSide(side).apply_image(sample.image)
        pixels = torch.as_tensor(resized, device=model.device).permute(2, 0, 1).contiguous()
    cell = side // (4 * model.sam.prompt_encoder.image_embedding_size[0])
    grids = [to_decoder_grid(mask, input_hw, side, cell) for mask in (*masks, everywhere)]
    return Example(
        features,
        pixels,
        sample.size_hw,
        prompts,
        torch.stack(grids[:-1]).to(model.device),
        object_index,
        (grids[-1] > 0.5).float().to(model.device),
        sample.content_sha(),
        tuple(chances),
    )


def _variants(mode: str, mask: np.ndarray, most: int, names: tuple[int | str, ...]) -> list[Prompt]:
    """Draw prompts of a mode; one alone where it draws nothing, as all would be the same."""
    made = []
    for variant in range(most):
        rng = rng_for(*names, mode, variant)
        before = rng.bit_generator.state
        made.append(make_prompt(mode, mask, rng))
        if rng.bit_generator.state == before:
            break
    return made


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
    full = torch.from_numpy(mask.astype(np.float32))[None, None]
    resized = F.interpolate(full, input_hw, mode="bilinear", align_corners=False, antialias=True)
    padded = F.pad(resized, (0, side - input_hw[1], 0, side - input_hw[0]))
    return F.avg_pool2d(padded, cell)[0, 0].clamp(0, 1)
