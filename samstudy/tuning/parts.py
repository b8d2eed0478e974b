"""What a method trains: a copy of the base with its trainable part, and the state of that part."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from segment_anything.modeling import Sam
from torch import Tensor, nn

from samstudy.automatic import give_prompt, has_learnt_prompt
from samstudy.drawn_prompt import DrawnPromptEncoder
from samstudy.errors import StudyError
from samstudy.models import SamModel
from samstudy.tuning import lora
from samstudy.tuning.recipe import Recipe
from samstudy.types import AUTOMATIC
from samstudy.vit_t import set_image_size

METHODS = ("decoder", "lora", "full")
"""``decoder``: the mask decoder, on embeddings that are made once. ``lora``: that and a change of low rank of the image
encoder's attention. ``full``: every weight."""


def runs_encoder(method: str) -> bool:
    """Say whether the image encoder changes, so that it runs in each step."""
    return method != "decoder"


def trainable_copy(base: SamModel, method: str, recipe: Recipe, seed: int = 0) -> SamModel:
    """Copy a model, and unfreeze what the method trains.

    Parts that stay as they are are shared with the base. With ``automatic`` among the recipe's prompts the copy
    has an embedding for that mode.

    Raises
    ------
    StudyError
        If LoRA does not fit the encoder, or an input size is asked of a model that has a fixed one.
    """
    size = recipe.image_size or base.image_size
    keeps_encoder = not runs_encoder(method) and size == base.image_size
    shared = (base.sam.image_encoder, base.sam.prompt_encoder) if keeps_encoder else ()
    tuned = SamModel(base.name, copy.deepcopy(base.sam, {id(part): part for part in shared}))
    resize_input(tuned.sam, size)
    if AUTOMATIC in recipe.prompts and not has_learnt_prompt(tuned.sam):
        give_prompt(tuned.sam)
    if method == "lora":
        lora.inject(tuned.sam.image_encoder, recipe.lora_rank, recipe.lora_alpha, recipe.lora_targets, seed)
    for name, parameter in tuned.sam.named_parameters():
        if method == "full" or name.startswith(("mask_decoder.", "automatic.")):
            parameter.requires_grad_(True)
    if not runs_encoder(method):
        tuned.encoder_sha = base.encoder_sha
    return tuned


def resize_input(sam: Sam, image_size: int) -> None:
    """Change the side of a ``vit_t``'s input, in place.

    Raises
    ------
    StudyError
        If it is another model and another size than its own, or no positive multiple of 16.
    """
    if image_size == sam.image_encoder.img_size:
        return
    if not isinstance(sam.prompt_encoder, DrawnPromptEncoder):
        raise StudyError(
            f"this model's input has a fixed side of {sam.image_encoder.img_size} pixels, not {image_size}: leave the "
            "image size out; only vit_t takes another."
        )
    set_image_size(sam, image_size)


def parameter_groups(sam: Sam, method: str, recipe: Recipe) -> list[dict]:
    """Trainable parameters by learning rate: the image encoder's, and the rest."""
    encoder_rate = recipe.lora_learning_rate if method == "lora" else recipe.full_learning_rate
    groups = [{"params": [], "base_rate": recipe.learning_rate}, {"params": [], "base_rate": encoder_rate}]
    for name, parameter in trained(sam).items():
        groups[name.startswith("image_encoder.")]["params"].append(parameter)
    return [group for group in groups if group["params"]]


def trained(sam: Sam) -> dict[str, nn.Parameter]:
    """Trainable parameters by name."""
    return {name: parameter for name, parameter in sam.named_parameters() if parameter.requires_grad}


def trained_state(sam: Sam) -> dict[str, Tensor]:
    """Copy the trainable parameters."""
    return {name: parameter.detach().clone() for name, parameter in trained(sam).items()}


@torch.no_grad()
def put_state(sam: Sam, state: Mapping[str, Tensor]) -> None:
    """Write a copy of :func:`trained_state` back."""
    for name, parameter in trained(sam).items():
        parameter.copy_(state[name])


def finish(tuned: SamModel, method: str) -> None:
    """Freeze a trained model; what LoRA has learnt is merged, and its matrices are kept beside the model."""
    if method == "lora":
        tuned.adapters = lora.adapters(tuned.sam.image_encoder)
        lora.merge(tuned.sam.image_encoder)
    tuned.sam.requires_grad_(False)
