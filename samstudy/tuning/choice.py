"""The recipe of a fine-tuning for which nobody named one, chosen by what its training images show.

A prompt says where the object is, and a model that was pretrained to follow prompts needs small steps: that is what
:class:`samstudy.tuning.Recipe` is by default. To answer without a prompt (``automatic``) is new to the model and takes
larger ones; and where the objects are thin against the cells of the model's mask, no tuning helps but a finer input.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from samstudy.ceiling import cells_of, through_grid
from samstudy.datasets import Dataset
from samstudy.drawn_prompt import DrawnPromptEncoder
from samstudy.metrics import score
from samstudy.models import SamModel
from samstudy.tuning.examples import choose_shots
from samstudy.tuning.recipe import Recipe
from samstudy.types import AUTOMATIC, target_of
from samstudy.vessels import is_tubular

AUTOMATIC_RATE = 1e-3
FINE_SIDE = 768
"""Side of ``vit_t``'s input for what is thin. Four times the time of its own side; the next step would be sixteen."""

_LEAST_CEILING, _LEAST_CEILING_TUBULAR = 0.9, 0.95
_MOST_READ = 4


@dataclass(frozen=True)
class Choice:
    """A recipe, and a sentence for each setting that was chosen.

    Attributes
    ----------
    recipe : Recipe
    reasons : tuple of str
        Kept in the history of a tuning; empty where everything is the default or was given.
    """

    recipe: Recipe
    reasons: tuple[str, ...] = ()


def choose_recipe(
    model: SamModel,
    dataset: Dataset,
    shots: int,
    prompts: Sequence[str],
    targets: Sequence[str] = (),
    given: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> Choice:
    """Choose what was not given, for this model and these training images.

    Parameters
    ----------
    model : SamModel
        The base.
    dataset : Dataset
        Of its training images those that will be trained on are looked at, :data:`_MOST_READ` at most.
    shots, seed : int
        As for :func:`samstudy.tuning.finetune`: they say which images these are.
    prompts, targets : sequence of str
        Of the recipe.
    given : mapping of str to object, optional
        Other fields of :class:`samstudy.tuning.Recipe`; what is given is never changed.

    Returns
    -------
    Choice
        For prompted modes the defaults. With ``automatic`` among the prompts the learning rate is
        :data:`AUTOMATIC_RATE`, and where the references lose a tenth of their
        Dice on the model's own grid of mask cells (:func:`samstudy.ceiling.through_grid`), or a twentieth where
        they are long and thin (:func:`samstudy.vessels.is_tubular`), the input of ``vit_t`` has a side of
        :data:`FINE_SIDE` and images are mirrored as well. Other models have an input of a fixed side, which a reason
        then says, and are spared the three more encodings of an image on a CPU.

    Raises
    ------
    StudyError
        If the training split has fewer images than ``shots``.
    """
    given = dict(given or {})
    recipe = Recipe(prompts=tuple(prompts), targets=tuple(targets), **given)
    if AUTOMATIC not in recipe.prompts:
        return Choice(recipe)
    reasons = {
        "learning_rate": f"learning rate {AUTOMATIC_RATE:g}: to answer without a prompt is new to the model"
    }
    chosen: dict[str, Any] = {"learning_rate": AUTOMATIC_RATE}
    shown = _references(dataset, choose_shots(dataset, shots, seed)[:_MOST_READ], recipe.targets)
    thin, is_vit_t = _why_thin(list(shown), cells_of(model)), _is_vit_t(model)
    if thin and is_vit_t:
        chosen["image_size"] = max(FINE_SIDE, model.image_size)
        reasons["image_size"] = f"input of {chosen['image_size']} pixels: {thin}"
    elif thin:
        reasons["image_size"] = (
            f"input of {model.image_size} pixels, which this model cannot change, though {thin}"
        )
    if thin and (is_vit_t or model.device.type != "cpu"):
        chosen["flips"] = True
        reasons["flips"] = "mirrored images too: what is thin has no side that it is always seen from"
    for name in given.keys() & reasons.keys():
        del reasons[name]
    return Choice(replace(recipe, **{**chosen, **given}), tuple(reasons.values()))


def _is_vit_t(model: SamModel) -> bool:
    return isinstance(model.sam.prompt_encoder, DrawnPromptEncoder)


def _references(dataset: Dataset, ids: Sequence[str], targets: Sequence[str]) -> Iterator[np.ndarray]:
    """Yield what ``automatic`` is to find in these images: the union of the instances of each target."""
    for image_id in ids:
        sample = dataset.load(image_id)
        for target in dict.fromkeys(map(target_of, sample.labels)):
            mask = sample.reference(target)
            mask = mask if sample.valid is None else mask & sample.valid
            if mask.any() and (not targets or target in targets):
                yield mask


def _why_thin(references: Sequence[np.ndarray], cells: int) -> str:
    """Say why a finer grid than ``cells`` is worth its time; ``""`` where it is not."""
    if not references:
        return ""
    ceilings = [score(mask, through_grid(mask, cells), metrics=["dice"])["dice"] for mask in references]
    best = float(np.mean(ceilings))
    tubular = 2 * sum(map(is_tubular, references)) >= len(references)
    if best >= (_LEAST_CEILING_TUBULAR if tubular else _LEAST_CEILING):
        return ""
    shape = "long and thin references" if tubular else "the references"
    return f"at best {shape} have a Dice of {best:.2f} on a grid of {cells} mask cells"
