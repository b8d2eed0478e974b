"""Fine-tuning with a few images: SAM's mask decoder alone, on cached embeddings, in one readable loop.

Recipe, after the decoder-only tuning of Huang et al. (2024) and the first MedSAM recipe (Ma et al. 2023): the
image encoder and the prompt encoder stay as they are, so each image is encoded once and never again. Prompts
are simulated from the reference, several objects and modes per image and step. The loss is Dice plus
cross-entropy at the decoder's resolution, for the single mask and for the best of the three, plus the squared
error of the predicted IoU (Kirillov et al. 2023). Cached embeddings allow no augmentation of pixels; there is none.
"""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import torch
from segment_anything.modeling import Sam
from tqdm import tqdm

from samstudy.datasets import Dataset
from samstudy.errors import StudyError, unknown_name
from samstudy.evaluation import check_targets
from samstudy.models import SamModel, load_model
from samstudy.seeds import rng_for
from samstudy.tuning.examples import Example, choose_shots, make_examples, validation_ids
from samstudy.tuning.losses import example_loss
from samstudy.tuning.recipe import Recipe

METHODS = ("decoder",)


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

    Parameters
    ----------
    model : SamModel or str
        The base; it is not changed.
    dataset : Dataset
        Its ``train`` split gives the shots (for one seed the smaller number is a subset of the larger), its
        ``val`` split the early stopping. The ``test`` split is never read.
    shots : int
        Number of training images, 1 or more. Validation images come on top and are counted in the history.
    method : {"decoder"}
        What is trained.
    seed : int
        Names the choice of images, the prompts and their order.
    recipe : Recipe, optional
        Hyperparameters.
    progress : bool
        Show a progress bar.

    Returns
    -------
    SamModel
        Shares the image encoder, and so the cached embeddings, of the base. ``history`` holds recipe, split
        hash, image names and the curve.

    Raises
    ------
    StudyError
        Unknown method, a model that is not a SAM, fewer training images than shots, no validation images,
        no object to learn from, or a composite prompt mode.
    """
    recipe = recipe or Recipe()
    if method not in METHODS:
        raise unknown_name("fine-tuning method", method, METHODS)
    base = load_model(model) if isinstance(model, str) else model
    if not isinstance(base, SamModel):
        raise StudyError(f"the model {base.name!r} has no mask decoder to tune; choose a SAM.")
    check_targets(dataset, recipe.targets)
    train_ids = choose_shots(dataset, shots, seed)
    val_ids = validation_ids(dataset, recipe.max_val_images)
    tuned = _with_own_decoder(base)
    train = make_examples(tuned, dataset, train_ids, recipe, seed)
    val = make_examples(tuned, dataset, val_ids, dataclasses.replace(recipe, variants=1), seed)
    curve = _train(tuned.sam, train, val, recipe, seed, progress)
    tuned.tuning, tuned.shots, tuned.fold = method, shots, seed
    tuned.history = {
        "base": base.name,
        "base_source": base.source,
        "base_encoder_sha": base.encoder_sha,
        "base_weights_sha": base.weights_sha,
        "method": method,
        "shots": shots,
        "fold": seed,
        "recipe": dataclasses.asdict(recipe),
        "dataset": dataset.info.name,
        "split_sha": dataset.fingerprint(),
        "train_ids": train_ids,
        "val_ids": val_ids,
        "curve": curve,
    }
    return tuned


def _with_own_decoder(base: SamModel) -> SamModel:
    shared = {id(part): part for part in (base.sam.image_encoder, base.sam.prompt_encoder)}
    tuned = SamModel(base.name, copy.deepcopy(base.sam, shared))
    tuned.encoder_sha = base.encoder_sha
    return tuned


def _train(
    sam: Sam, train: list[Example], val: list[Example], recipe: Recipe, seed: int, progress: bool
) -> list[dict[str, float]]:
    parameters = [parameter.requires_grad_(True) for parameter in sam.mask_decoder.parameters()]
    optimiser = torch.optim.AdamW(parameters, recipe.learning_rate, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step, recipe))
    best_loss = _validationexample_loss(sam, val)
    best_state = copy.deepcopy(sam.mask_decoder.state_dict())
    curve = [{"step": 0, "train_loss": float("nan"), "val_loss": best_loss}]
    recent, misses = [], 0
    for step in tqdm(range(1, recipe.steps + 1), desc="tuning", unit="step", disable=not progress):
        recent.append(_step(sam, train, recipe, seed, step, optimiser))
        schedule.step()
        if step % recipe.validate_every and step != recipe.steps:
            continue
        loss = _validationexample_loss(sam, val)
        curve.append({"step": step, "train_loss": float(np.mean(recent)), "val_loss": loss})
        recent = []
        if loss < best_loss:
            best_loss, best_state, misses = loss, copy.deepcopy(sam.mask_decoder.state_dict()), 0
        else:
            misses += 1
        if misses >= recipe.patience:
            break
    sam.mask_decoder.load_state_dict(best_state)
    for parameter in parameters:
        parameter.requires_grad_(False)
    return curve


def _rate(step: int, recipe: Recipe) -> float:
    if step < recipe.warmup_steps:
        return (step + 1) / recipe.warmup_steps
    rest = (step - recipe.warmup_steps) / max(1, recipe.steps - recipe.warmup_steps)
    return 0.5 * (1 + float(np.cos(np.pi * min(1.0, rest))))


def _step(
    sam: Sam, train: list[Example], recipe: Recipe, seed: int, step: int, optimiser: torch.optim.Optimizer
) -> float:
    rng = rng_for(seed, "step", step)
    chosen = rng.choice(len(train), min(recipe.images_per_step, len(train)), replace=False)
    optimiser.zero_grad(set_to_none=True)
    total = 0.0
    for index in chosen:
        n_prompts = len(train[index].prompts)
        picked = rng.choice(n_prompts, min(recipe.prompts_per_image, n_prompts), replace=False)
        loss = example_loss(sam, train[index], [int(i) for i in picked]) / len(chosen)
        loss.backward()
        total += float(loss.detach())
    torch.nn.utils.clip_grad_norm_(sam.mask_decoder.parameters(), recipe.clip_norm)
    optimiser.step()
    return total


@torch.no_grad()
def _validationexample_loss(sam: Sam, val: list[Example]) -> float:
    return float(np.mean([float(example_loss(sam, example, range(len(example.prompts)))) for example in val]))
