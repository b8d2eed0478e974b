"""Hyperparameters of a fine-tuning, kept beside its weights."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """Hyperparameters; saved beside the weights.

    Attributes
    ----------
    prompts : tuple of str
        Modes that the decoder is trained with, drawn equally often.
    targets : tuple of str
        What it learns to segment; none means every target. Targets that share a prompt (the box around a brain
        is that around its grey matter) contradict each other, so tune one at a time where they are nested.
    steps : int
        Most optimiser steps.
    images_per_step, prompts_per_image : int
        Size of a step.
    learning_rate, weight_decay : float
        AdamW; linear warm-up over ``warmup_steps``, then cosine to zero.
    clip_norm : float
        Largest gradient norm.
    validate_every, patience : int
        The validation loss is taken every so many steps; training stops after so many without a better one,
        and the best weights are kept. The untuned decoder counts as the first candidate.
    max_val_images : int
        At most so many images of the validation split, evenly spaced.
    variants : int
        Random prompts drawn beforehand per object and mode.
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
    max_val_images: int = 8
    variants: int = 2
