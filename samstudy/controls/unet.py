"""A small U-Net trained from scratch on the images that SAM is tuned with: what these images give without SAM."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from tqdm import tqdm

from samstudy.checkpoints import load_into, metadata_json, read_checkpoint, state_sha
from samstudy.controls.views import Example, augmented, example, normalised, off_canvas
from samstudy.controls.whole_image import WholeImageModel, history_of, learning_samples, target_mask
from samstudy.datasets import Dataset
from samstudy.errors import StudyError
from samstudy.images.display import check_image
from samstudy.inference import Embedding
from samstudy.paths import written_whole
from samstudy.seeds import rng_for, seed_for
from samstudy.tuning.losses import LOSSES
from samstudy.vessels import is_tubular

NAME, TUNING = "unet", "scratch"
_KEY = "samstudy_unet"


@dataclass(frozen=True)
class UNetRecipe:
    """Architecture and training; the defaults train in half a minute on one CPU core.

    Attributes
    ----------
    channels : tuple of int
        Of each resolution, each half the one before; MONAI's 2-D ``UNet`` with instance normalisation.
    residual_units : int
        Of each resolution; 0 for plain convolutions.
    side : int
        Longer side that images are resized to, a multiple of ``2 ** (len(channels) - 1)``.
    crop : int
        Side of the square that is trained on; 0 is the whole canvas.
    steps, batch : int
        Most optimiser steps; views in each, drawn from the training images with repetition.
    learning_rate, weight_decay : float
        AdamW; the rate falls to zero along a cosine.
    validate_every, patience : int
        The validation loss is taken every so many steps; training stops after so many without a better one, and the
        best weights are kept.
    max_val_images : int
        As in :class:`samstudy.tuning.Recipe`.
    rotation_deg, zoom, intensity : float
        Of :func:`samstudy.controls.views.augmented`; mirrored views are always among those drawn.
    """

    channels: tuple[int, ...] = (16, 32, 64, 128, 256)
    residual_units: int = 0
    side: int = 192
    crop: int = 0
    steps: int = 300
    batch: int = 4
    learning_rate: float = 3e-3
    weight_decay: float = 1e-2
    validate_every: int = 20
    patience: int = 6
    max_val_images: int = 8
    rotation_deg: float = 15.0
    zoom: float = 0.25
    intensity: float = 0.3


def recipe_for(masks: Sequence[np.ndarray], recipe: UNetRecipe | None = None) -> UNetRecipe:
    """Choose the resolution: what is long and thin is learnt from crops of an image of 512 pixels.

    Parameters
    ----------
    masks : sequence of numpy.ndarray, bool, H x W
        To be learnt; those of most of them decide.
    recipe : UNetRecipe, optional
        To start from. One that crops already is left as it is.
    """
    recipe = recipe or UNetRecipe()
    tubular = np.mean([is_tubular(mask) for mask in masks]) > 0.5
    return replace(recipe, side=512, crop=recipe.side) if tubular and not recipe.crop else recipe


@dataclass
class UNetModel(WholeImageModel):
    """A trained U-Net as a model of the study; see :class:`samstudy.controls.whole_image.WholeImageModel`.

    Attributes
    ----------
    net : torch.nn.Module
        In evaluation mode, on its device; pictures N x 3 x side x side to logits N x 1 x side x side.
    history : dict
        Recipe, image names, split hash and curve.
    """

    net: nn.Module
    history: dict = field(default_factory=dict)
    name = NAME
    tuning = TUNING

    @cached_property
    def weights_sha(self) -> str:
        """Hash of every weight."""
        return state_sha(self.net.state_dict())

    @torch.no_grad()
    def embed(self, image: np.ndarray) -> Embedding:
        """Make the logits of the whole image on its canvas, float32 1 x 1 x side x side."""
        check_image(image)
        canvas = normalised(image, self.history["recipe"]["side"])
        device = next(self.net.parameters()).device
        logits = self.net(canvas.pixels[None].to(device)).float().cpu()
        return Embedding(logits, canvas.content_hw, image.shape[:2])

    def mask(self, embedding: Embedding) -> np.ndarray:
        """Pixels of probability above one half, at the resolution of the image."""
        logits = off_canvas(embedding.features, embedding.input_hw, embedding.size_hw)
        return (logits[0, 0] > 0).numpy()


def train_unet(
    dataset: Dataset,
    targets: Sequence[str] = (),
    shots: int = 10,
    seed: int = 0,
    recipe: UNetRecipe | None = None,
    device: torch.device | str = "cpu",
    progress: bool = True,
) -> UNetModel:
    """Train a U-Net on the images that SAM is tuned with.

    Parameters
    ----------
    dataset : Dataset
        Training and validation images are those of :func:`samstudy.tuning.finetune` with the same shots and seed.
        The ``test`` split is never read.
    targets : sequence of str
        What it learns to segment, as one region; none means every target.
    shots, seed : int
        Number of training images; names their choice, the first weights and the views.
    recipe : UNetRecipe, optional
        See :func:`recipe_for`.
    device : torch.device or str
        Where to train.
    progress : bool
        Show a progress bar.

    Raises
    ------
    StudyError
        As :func:`samstudy.controls.whole_image.learning_samples`; a side or crop that the resolutions do not divide.
    """
    recipe = recipe or UNetRecipe()
    train, val = learning_samples(dataset, shots, seed, targets, recipe.max_val_images)
    recipe = recipe_for([target_mask(sample, targets) for sample in train], recipe)
    net = build_unet(recipe, seed_for(seed, NAME)).to(device)
    examples = [
        [_on(example(sample, target_mask(sample, targets), recipe.side), device) for sample in part]
        for part in (train, val)
    ]
    curve = _train(net, *examples, recipe, seed, progress)
    about = history_of(dataset, shots, seed, targets, train, val)
    return UNetModel(net, about | {"recipe": asdict(recipe), "curve": curve})


def build_unet(recipe: UNetRecipe, seed: int = 0) -> nn.Module:
    """Build MONAI's 2-D U-Net with weights drawn from a seed; global random state is left as it was.

    Raises
    ------
    StudyError
        If a side is no multiple of the factor by which the resolutions shrink it.
    """
    # MONAI takes seconds to import
    from monai.networks.nets import UNet

    factor = 2 ** (len(recipe.channels) - 1)
    for name, pixels in (("side", recipe.side), ("crop", recipe.crop or recipe.side)):
        if pixels < factor or pixels % factor:
            raise StudyError(f"the {name} of this U-Net must be a multiple of {factor} pixels, not {pixels}.")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return UNet(
            spatial_dims=2,
            in_channels=3,
            out_channels=1,
            channels=recipe.channels,
            strides=(2,) * (len(recipe.channels) - 1),
            num_res_units=recipe.residual_units,
        )


def _on(one: Example, device: torch.device | str) -> Example:
    picture = replace(one.picture, pixels=one.picture.pixels.to(device))
    return Example(picture, one.target.to(device), one.counted.to(device))


def _train(
    net: nn.Module, train: list[Example], val: list[Example], recipe: UNetRecipe, seed: int, progress: bool
) -> list[dict[str, float]]:
    """Train, leave the best weights in the net, frozen, and return the curve."""
    optimiser = torch.optim.AdamW(net.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, recipe.steps)
    best, best_state, misses = float("inf"), {}, 0
    curve, recent = [], []
    for step in tqdm(range(1, recipe.steps + 1), NAME, unit="step", disable=not progress):
        recent.append(_step(net.train(), train, recipe, rng_for(seed, NAME, step), optimiser))
        schedule.step()
        if step % recipe.validate_every and step != recipe.steps:
            continue
        loss = _validation_loss(net.eval(), val)
        curve.append({"step": step, "train_loss": float(np.mean(recent)), "val_loss": loss})
        recent, misses = [], misses + 1
        if loss < best:
            best, best_state, misses = loss, copy.deepcopy(net.state_dict()), 0
        if misses >= recipe.patience:
            break
    net.load_state_dict(best_state)
    net.eval().requires_grad_(False)
    return curve


def _step(
    net: nn.Module,
    train: list[Example],
    recipe: UNetRecipe,
    rng: np.random.Generator,
    optimiser: torch.optim.Optimizer,
) -> float:
    shown = np.concatenate([rng.permutation(len(train)) for _ in range(-(-recipe.batch // len(train)))])
    looks = recipe.crop or recipe.side, recipe.rotation_deg, recipe.zoom, recipe.intensity
    views = torch.cat([augmented(train[i], *looks, rng) for i in shown[: recipe.batch]])
    optimiser.zero_grad(set_to_none=True)
    loss = _losses(net(views[:, :-2]), views[:, -2:-1], views[:, -1]).mean()
    loss.backward()
    nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    optimiser.step()
    return float(loss.detach())


@torch.no_grad()
def _validation_loss(net: nn.Module, val: list[Example]) -> float:
    losses = [_losses(net(one.picture.pixels[None]), one.target[None], one.counted) for one in val]
    return float(torch.cat(losses).mean())


def _losses(logits: Tensor, target: Tensor, counted: Tensor) -> Tensor:
    """Dice plus cross-entropy of each view; a view in which nothing counts has a mean over nothing, so at least 1."""
    loss = LOSSES["dice_ce"]
    each = [
        loss(one[None], mask[None], where if where.any() else torch.ones_like(where))
        for one, mask, where in zip(logits, target, counted, strict=True)
    ]
    return torch.cat(each)[:, 0]


def save_unet(model: UNetModel, path: str | Path) -> Path:
    """Write weights and history as safetensors, for :func:`load_unet`."""
    tensors = {name: value.cpu().contiguous() for name, value in model.net.state_dict().items()}
    with written_whole(path) as temporary:
        save_file(tensors, temporary, {_KEY: json.dumps(model.history)})
    return Path(path)


def load_unet(path: str | Path, device: torch.device | str = "cpu") -> UNetModel:
    """Read a file of :func:`save_unet`.

    Raises
    ------
    ModelError
        If it is missing, damaged or of another kind.
    """
    checkpoint = read_checkpoint(path)
    history = metadata_json(checkpoint, _KEY)
    net = build_unet(UNetRecipe(**history["recipe"] | {"channels": tuple(history["recipe"]["channels"])}))
    load_into(net, checkpoint, NAME)
    return UNetModel(net.to(device).eval().requires_grad_(False), history)
