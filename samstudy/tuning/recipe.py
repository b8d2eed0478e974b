"""Hyperparameters of a fine-tuning, kept beside its weights."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """Hyperparameters; saved beside the weights.

    Attributes
    ----------
    prompts : tuple of str
        Modes that the model is trained with, drawn equally often. With ``automatic`` it learns an embedding of
        that mode too (:mod:`samstudy.automatic`).
    targets : tuple of str
        What it learns to segment; none means every target. Targets that share a prompt (the box around a brain
        is that around its grey matter, and ``automatic`` is one for all) contradict each other, so tune one at a time
        where they are nested.
    steps : int
        Most optimiser steps.
    images_per_step, prompts_per_image : int
        Size of a step. Images go through the model one after another and their gradients add up, so that memory
        is that of one image however many there are.
    learning_rate, weight_decay : float
        AdamW; linear warm-up over ``warmup_steps``, then cosine to zero.
    clip_norm : float
        Largest gradient norm.
    validate_every, patience : int
        The validation loss is taken every so many steps; training stops after so many without a better one,
        and the best weights are kept. The untuned model counts as the first candidate.
    blend : tuple of float
        At the end, weights at these shares of the way from the base to the best and to the last weights are tried on
        the validation images too (:mod:`samstudy.tuning.blend`).
    max_val_images : int
        At most so many images of the validation split, evenly spaced.
    variants : int
        Random prompts drawn beforehand per object and mode; a mode that draws nothing has one.
    loss : {"dice_ce", "focal", "cldice"}
        See :data:`samstudy.tuning.losses.LOSSES`; ``cldice`` is for what is long and thin.
    image_size : int
        Side of the encoder's input in pixels, for ``vit_t`` alone, in whose weights nothing depends on it: what is
        thin needs a finer grid. 0 keeps the model's own.
    flips : bool
        Train on each image upright, mirrored, upside down and both. Each view is encoded once, so that cached
        embeddings serve as before.
    brightness : float
        Pixels are multiplied by a factor of 1 plus or minus up to so much in each step; ``lora`` and ``full``
        alone, as a cached embedding cannot follow.
    mixed_precision : bool
        bfloat16 where PyTorch's autocast has it; weights and optimiser stay float32.
    lora_rank, lora_alpha, lora_targets : int, float, tuple of str
        Rank of the change of a weight; its factor is ``lora_alpha / lora_rank``; which of ``q``, ``k``, ``v``, ``proj``
        of the encoder's attention are changed (:mod:`samstudy.tuning.lora`).
    lora_learning_rate, full_learning_rate : float
        Of the image encoder's part, for ``lora`` and ``full``; all the rest has ``learning_rate``.
    """

    prompts: tuple[str, ...] = ("box", "point_center")
    targets: tuple[str, ...] = ()
    steps: int = 200
    images_per_step: int = 2
    prompts_per_image: int = 4
    learning_rate: float = 3e-4
    weight_decay: float = 1e-2
    warmup_steps: int = 10
    clip_norm: float = 1.0
    validate_every: int = 20
    patience: int = 4
    blend: tuple[float, ...] = (0.25, 0.5, 0.75)
    max_val_images: int = 8
    variants: int = 2
    loss: str = "dice_ce"
    image_size: int = 0
    flips: bool = False
    brightness: float = 0.1
    mixed_precision: bool = False
    lora_rank: int = 8
    lora_alpha: float = 8.0
    lora_targets: tuple[str, ...] = ("q", "v", "proj")
    lora_learning_rate: float = 1e-3
    full_learning_rate: float = 1e-4
