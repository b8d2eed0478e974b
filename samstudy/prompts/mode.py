"""What a prompt mode is, and the registry that every mode is found through."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from samstudy.errors import StudyError
from samstudy.masks import as_mask
from samstudy.registry import Registry
from samstudy.types import MASK_CHOICES, Prompt

PromptMaker = Callable[[np.ndarray, np.random.Generator], Prompt]
"""``(mask bool HxW, non-empty; numpy Generator) -> Prompt``."""

FollowUp = Callable[[Prompt, np.ndarray, "np.ndarray | None", np.ndarray], "Prompt | None"]
"""``(last prompt, mask shown bool HxW, its logits float32 1xhxw or None, reference bool HxW) -> next prompt``, or
None where there is nothing to add."""


@dataclass(frozen=True)
class PromptMode:
    """A registered way to prompt.

    Attributes
    ----------
    name, title : str
        Registered name; words for figures and tables.
    make : callable
        Makes the prompt, or the first one of several turns; see :data:`PromptMaker`.
    headline : {"single", "predicted_iou"}
        The mask choice SAM's authors make for such a prompt: the best of three by the model's own score
        for one ambiguous point, the single-mask output for boxes and several points (Kirillov et al. 2023).
    source : str
        Studies whose mode this is, with their name for it.
    rule : str
        How the prompt is made, in a sentence.
    choices : tuple of str
        Mask choices there are for it.
    follow : callable, optional
        Makes the next prompt from the model's answer, see :data:`FollowUp`; None for a mode of one turn.
    n_turns : int
        Answers it takes; the score is that of the last.
    series : str
        Modes of one series are turns of the same dialogue: they share its draws, and it is held once for all.
    per_target : bool
        Asked once for all instances of a target in an image, as their union; else for each object.
    """

    name: str
    title: str
    make: PromptMaker
    headline: str
    source: str
    rule: str = ""
    choices: tuple[str, ...] = MASK_CHOICES
    follow: FollowUp | None = None
    n_turns: int = 1
    series: str = ""
    per_target: bool = False

    @property
    def seed_name(self) -> str:
        """Name that its draws are seeded by: that of its series, where it has one."""
        return self.series or self.name

    def __call__(self, mask: np.ndarray, rng: np.random.Generator) -> Prompt:
        """Make the (first) prompt; see :func:`make_prompt`."""
        mask = as_mask(mask)
        if not mask.any():
            raise StudyError(
                f"cannot make the prompt {self.name!r} from an empty mask: "
                "the object is not in this image, so skip it."
            )
        if not isinstance(rng, np.random.Generator):
            raise StudyError(
                f"the prompt {self.name!r} needs a numpy Generator for its draws, got {rng!r}; "
                "pass numpy.random.default_rng(0) or samstudy.seeds.rng_for(...)."
            )
        return replace(self.make(mask, rng), mode=self.name)


PROMPTS: Registry[PromptMode] = Registry("prompt")


def add_mode(
    name: str,
    make: PromptMaker,
    *,
    title: str,
    source: str,
    rule: str = "",
    headline: str = "single",
    choices: tuple[str, ...] = MASK_CHOICES,
    follow: FollowUp | None = None,
    n_turns: int = 1,
    series: str = "",
    per_target: bool = False,
) -> None:
    """Register a prompt mode; see :class:`PromptMode` for the arguments.

    Raises
    ------
    ValueError
        If the name is taken, or modes of the same series begin or go on otherwise.
    """
    for other in map(PROMPTS.__getitem__, PROMPTS if series else ()):
        if other.series == series and (other.make is not make or other.follow is not follow):
            raise ValueError(
                f"{name!r} and {other.name!r} are of the series {series!r}, but are not made alike: give both the same "
                "make and follow."
            )
    PROMPTS.register(name)(
        PromptMode(name, title, make, headline, source, rule, choices, follow, n_turns, series, per_target)
    )


def make_prompt(mode: str, mask: np.ndarray, rng: np.random.Generator) -> Prompt:
    """Simulate what a user would give the model for one object.

    Parameters
    ----------
    mode : str
        A name in :data:`PROMPTS`.
    mask : numpy.ndarray, bool, H x W
        Reference mask of the object; at least one pixel.
    rng : numpy.random.Generator
        Source of every draw (``seeds.rng_for(...)``); modes without randomness leave it untouched.

    Returns
    -------
    Prompt
        With ``mode`` set. Positive points lie in the mask, negative ones outside it, boxes in the image. Of
        a mode of several turns it is the first; :func:`samstudy.prompts.converse` takes all of them. Everything
        mode and ``automatic`` take nothing from the mask.

    Raises
    ------
    StudyError
        If the mode is unknown, or the mask is empty, not binary or not 2-D.
    """
    return PROMPTS[mode](mask, rng)


def headline_choice(mode: str) -> str:
    """Mask choice of SAM's authors for a mode: ``"predicted_iou"`` for one point, else ``"single"``.

    Everything mode has no single-mask output: ``"predicted_iou"``, the proposal the model is surest of, is what
    it offers without the reference.
    """
    return PROMPTS[mode].headline


def authors_choice(prompt: Prompt) -> str:
    """Mask choice of SAM's authors for one prompt.

    ``"predicted_iou"`` for a single point without box or mask, which is ambiguous, and for a grid; else
    ``"single"``, as the examples of ``segment_anything`` have it.
    """
    is_one_point = prompt.n_points == 1 and prompt.box_xyxy is None and prompt.mask_logits is None
    return "predicted_iou" if is_one_point or prompt.points_per_side else "single"
