"""Fine-tuning with a few images, in one readable loop: the mask decoder alone, LoRA in the encoder, or every weight.

``decoder`` is after the decoder-only tuning of Huang et al. (2024) and the first MedSAM recipe (Ma et al. 2023): image
encoder and prompt encoder stay as they are, so each image is encoded once and never again. With ``lora`` (after SAMed,
Zhang & Liu 2023) and ``full`` the encoder is trained too and runs in each step; the rest is the same. Prompts are
simulated from the reference, several objects and modes per image and step; ``automatic`` takes nothing from it. The
loss is taken at the decoder's resolution, for the single mask and for the best of the three, plus the squared error of
the predicted IoU (Kirillov et al. 2023).

Augmentation: flips of the whole image, encoded once each, where the recipe asks for them; brightness where the encoder
runs. Cached embeddings allow no other.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from segment_anything.modeling import Sam
from tqdm import tqdm

from samstudy.datasets import Dataset
from samstudy.errors import StudyError, unknown_name
from samstudy.evaluation import check_targets
from samstudy.leakage import refuse_shared_groups
from samstudy.models import SamModel, load_model
from samstudy.provenance import code_sha
from samstudy.seeds import rng_for, seed_for
from samstudy.tuning.blend import End, best_between
from samstudy.tuning.chunks import (
    Chunk,
    Draw,
    accumulate,
    mean_loss,
    told_when_memory_runs_out,
    within_memory,
)
from samstudy.tuning.cost import LONG_S, estimate
from samstudy.tuning.examples import Example, choose_shots, make_examples, validation_ids
from samstudy.tuning.losses import LOSSES
from samstudy.tuning.parts import (
    METHODS,
    finish,
    parameter_groups,
    put_state,
    runs_encoder,
    trainable_copy,
    trained,
    trained_state,
)
from samstudy.tuning.recipe import Recipe
from samstudy.tuning.resume import Standing, read_standing, standing_path, write_standing


def finetune(
    model: SamModel | str,
    dataset: Dataset,
    shots: int = 10,
    method: str = "decoder",
    seed: int = 0,
    recipe: Recipe | None = None,
    progress: bool = True,
) -> SamModel:
    """Tune a model on ``shots`` training images.

    A tuning that was killed is kept under ``data/cache/tuning`` as of its last validation; the same call goes on
    from there and ends with the same weights.

    Parameters
    ----------
    model : SamModel or str
        The base; it is not changed.
    dataset : Dataset
        Its ``train`` split gives the shots (for one seed the smaller number is a subset of the larger), its
        ``val`` split the early stopping. The ``test`` split is never read.
    shots : int
        Number of training images, 1 or more. Validation images come on top and are counted in the history.
    method : {"decoder", "lora", "full"}
        What is trained: :data:`samstudy.tuning.METHODS`.
    seed : int
        Names the choice of images, the prompts and their order, and LoRA's first matrices.
    recipe : Recipe, optional
        Hyperparameters.
    progress : bool
        Show a progress bar.

    Returns
    -------
    SamModel
        Tuned by ``decoder`` it shares the image encoder, and so the cached embeddings, of the base. ``history``
        holds recipe, split hash, image names and the curve.

    Raises
    ------
    StudyError
        Unknown method or loss, a model that is not a SAM, a group in two parts of the split, fewer training images
        than shots, no validation images, no object to learn from, or a composite prompt mode.
    """
    recipe = recipe or Recipe()
    if method not in METHODS:
        raise unknown_name("fine-tuning method", method, METHODS)
    LOSSES[recipe.loss]
    base = load_model(model) if isinstance(model, str) else model
    if not isinstance(base, SamModel):
        raise StudyError(f"the model {base.name!r} has no mask decoder to tune; choose a SAM.")
    check_targets(dataset, recipe.targets)
    refuse_shared_groups(dataset)
    train_ids = choose_shots(dataset, shots, seed)
    val_ids = validation_ids(dataset, recipe.max_val_images)
    tuned = trainable_copy(base, method, recipe, seed_for(seed, "lora"))
    embedded = not runs_encoder(method)
    plain = dataclasses.replace(recipe, variants=1, flips=False)
    with told_when_memory_runs_out(tuned.sam, recipe, "while an image was encoded"):
        train = make_examples(tuned, dataset, train_ids, recipe, seed, embedded)
        val = make_examples(tuned, dataset, val_ids, plain, seed, embedded)
    contents = [example.content_sha for example in (*train, *val)]
    about = dataclasses.asdict(recipe), dataset.info.name, contents, shots, seed
    path = standing_path(code_sha(), base.weights_sha, tuned.device.type, method, *about)
    curve, kept = _train(tuned.sam, train, val, method, recipe, seed, path, progress)
    finish(tuned, method)
    tuned.tuning, tuned.shots, tuned.fold = method, shots, seed
    tuned.history = {
        "base": base.name,
        "base_source": base.source,
        "base_encoder_sha": base.encoder_sha,
        "base_weights_sha": base.weights_sha,
        "method": method,
        "shots": shots,
        "fold": seed,
        "image_size": tuned.image_size,
        "recipe": dataclasses.asdict(recipe),
        "dataset": dataset.info.name,
        "split_sha": dataset.fingerprint(),
        "train_ids": train_ids,
        "val_ids": val_ids,
        "train_groups": [dataset.group_of(image_id) for image_id in train_ids],
        "val_groups": [dataset.group_of(image_id) for image_id in val_ids],
        "curve": curve,
        "kept": kept,
    }
    return tuned


def _train(
    sam: Sam,
    train: list[Example],
    val: list[Example],
    method: str,
    recipe: Recipe,
    seed: int,
    path: Path,
    progress: bool,
) -> tuple[list[dict[str, float]], dict[str, float]]:
    """Train from where ``path`` stands, leave the best weights in the model; return the curve and which these are."""
    base_state = trained_state(sam)
    optimiser = torch.optim.AdamW(parameter_groups(sam, method, recipe), weight_decay=recipe.weight_decay)
    standing = read_standing(path, sam, optimiser) or Standing(float("inf"), trained_state(sam))
    chunk = standing.chunk
    cost = estimate(sam, train, val, recipe, chunk, standing.step, bool(optimiser.state))
    if progress and cost.total_s > LONG_S:
        tqdm.write(f"tuning: {cost}", file=sys.stderr)
    if not standing.curve:
        standing.best_loss = _validation_loss(sam, val, recipe, chunk)
        standing.curve.append({"step": 0, "train_loss": float("nan"), "val_loss": standing.best_loss})
    recent = []
    bar = tqdm(
        range(standing.step + 1, recipe.steps + 1),
        f"tuning, {cost}",
        recipe.steps,
        initial=standing.step,
        unit="step",
        disable=not progress,
    )
    for step in bar:
        recent.append(_step(sam, train, recipe, seed, step, optimiser, chunk))
        if step % recipe.validate_every and step != recipe.steps:
            continue
        loss = _validation_loss(sam, val, recipe, chunk)
        standing.step = step
        standing.curve.append({"step": step, "train_loss": float(np.mean(recent)), "val_loss": loss})
        recent = []
        if loss < standing.best_loss:
            standing.best_loss, standing.best_state, standing.misses = loss, trained_state(sam), 0
        else:
            standing.misses += 1
        if standing.misses >= recipe.patience:
            break
        if step < recipe.steps:
            write_standing(path, standing, sam, optimiser)
    kept = _keep_best(sam, base_state, standing, val, recipe)
    path.unlink(missing_ok=True)
    return standing.curve, kept


def _keep_best(
    sam: Sam, base_state: dict[str, torch.Tensor], standing: Standing, val: list[Example], recipe: Recipe
) -> dict[str, float]:
    """Put the best of the best, the last and the weights between them and the base into the model, and say which."""

    def loss_of(state: Mapping[str, torch.Tensor]) -> float:
        put_state(sam, state)
        return _validation_loss(sam, val, recipe, standing.chunk)

    best = min(standing.curve, key=lambda point: point["val_loss"])
    last = standing.curve[-1]
    ends = [End(last["step"], last["val_loss"], trained_state(sam))]
    if best["step"] != last["step"]:
        ends.insert(0, End(best["step"], best["val_loss"], standing.best_state))
    found = best_between(base_state, ends, recipe.blend, loss_of)
    put_state(sam, found.state)
    return {"step": found.step, "share": found.share, "val_loss": found.loss}


def _rate(step: int, recipe: Recipe) -> float:
    if step < recipe.warmup_steps:
        return (step + 1) / recipe.warmup_steps
    rest = (step - recipe.warmup_steps) / max(1, recipe.steps - recipe.warmup_steps)
    return 0.5 * (1 + float(np.cos(np.pi * min(1.0, rest))))


def _step(
    sam: Sam,
    train: list[Example],
    recipe: Recipe,
    seed: int,
    step: int,
    optimiser: torch.optim.Optimizer,
    chunk: Chunk,
) -> float:
    draws = _draws(train, recipe, seed, step)
    for group in optimiser.param_groups:
        group["lr"] = group["base_rate"] * _rate(step - 1, recipe)
    widest = max(len(draw.picked) for draw in draws)
    loss = within_memory(chunk, lambda most: accumulate(sam, draws, recipe, most), sam, recipe, widest)
    torch.nn.utils.clip_grad_norm_(trained(sam).values(), recipe.clip_norm)
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    return loss


def _draws(train: list[Example], recipe: Recipe, seed: int, step: int) -> list[Draw]:
    """Draw images, prompts and brightness; they depend on seed and step alone, so that a step can be repeated."""
    rng = rng_for(seed, "step", step)
    draws = []
    for index in rng.choice(len(train), min(recipe.images_per_step, len(train)), replace=False):
        picked = train[index].pick(rng, recipe.prompts_per_image)
        brightness = 1.0 if train[index].pixels is None else rng.uniform(-1, 1) * recipe.brightness + 1
        draws.append(Draw(train[index], picked, brightness))
    return draws


def _validation_loss(sam: Sam, val: list[Example], recipe: Recipe, chunk: Chunk) -> float:
    widest = max(len(example.prompts) for example in val)
    return within_memory(chunk, lambda most: mean_loss(sam, val, recipe, most), sam, recipe, widest)
