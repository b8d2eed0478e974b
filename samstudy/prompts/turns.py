"""Modes that go on after the model's first answer: the rules of the next prompt, and the dialogue that applies them.

A mode of one turn is a dialogue that ends at once, so that :func:`converse` is the only way models are asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from samstudy.prompts.mode import PromptMode, authors_choice
from samstudy.prompts.points import deepest
from samstudy.types import Prediction, Prompt

Predict = Callable[[Sequence[Prompt]], Sequence[Prediction]]


def feed_back(
    prompt: Prompt, _shown: np.ndarray, logits: np.ndarray | None, _reference: np.ndarray
) -> Prompt | None:
    """Give the same prompt again together with the model's own mask as SAM's mask input.

    None for a model without logits: its answer would be the same.
    """
    return None if logits is None else replace(prompt, mask_logits=logits)


def next_click(
    prompt: Prompt, shown: np.ndarray, logits: np.ndarray | None, reference: np.ndarray
) -> Prompt | None:
    """Add the click that a user would make next, and feed the model's own mask back.

    Of the missed pixels and of the surplus ones, each with its own border, the pixel farthest from the border is
    clicked: positive where it was missed, negative where it is surplus, the missed one where both are equally far.
    Pixels that were clicked before count as border, so that no pixel is clicked twice. Ties within a region are
    broken as in :func:`~samstudy.prompts.points.center_xy`.

    Mazurowski et al. (2023) take the same point of the two regions together and feed no mask back; feeding it
    back is how the examples of ``segment_anything`` go on, and :func:`click_only` leaves it out.

    Parameters
    ----------
    prompt : Prompt
        The last one.
    shown : numpy.ndarray, bool, H x W
        The mask the user saw.
    logits : numpy.ndarray, float32, 1 x h x w, or None
        Its logits at the decoder's resolution.
    reference : numpy.ndarray, bool, H x W
        What the user wants.

    Returns
    -------
    Prompt or None
        With one point more; None where nothing is left to click.
    """
    regions = [(reference & ~shown, 1), (shown & ~reference, 0)]
    columns, rows = prompt.points_xy.astype(int).T
    for region, _ in regions:
        region[rows, columns] = False
    clicks = [(*deepest(region), label) for region, label in regions if region.any()]
    if not clicks:
        return None
    xy, _, label = max(clicks, key=lambda click: click[1])
    return replace(
        prompt,
        points_xy=np.vstack([prompt.points_xy, xy]),
        point_labels=np.append(prompt.point_labels, label),
        mask_logits=logits,
    )


def click_only(
    prompt: Prompt, shown: np.ndarray, _logits: np.ndarray | None, reference: np.ndarray
) -> Prompt | None:
    """Add the click of :func:`next_click`, but feed no mask back."""
    return next_click(prompt, shown, None, reference)


@dataclass(frozen=True)
class Dialogue:
    """One object under the modes of one series.

    Attributes
    ----------
    modes : tuple of PromptMode
        Alike but for the number of turns: each is answered by the turn it ends with.
    first : Prompt
        Of the first turn.
    reference : numpy.ndarray, bool, H x W
        What the simulated user wants, its valid part.
    valid : numpy.ndarray, bool, H x W, or None
        Pixels that count; masks are cut to them before anybody sees them. None means all.
    """

    modes: tuple[PromptMode, ...]
    first: Prompt
    reference: np.ndarray
    valid: np.ndarray | None = None

    @property
    def n_turns(self) -> int:
        """Turns of the longest mode."""
        return max(mode.n_turns for mode in self.modes)

    def next_prompt(self, prompt: Prompt, prediction: Prediction) -> Prompt | None:
        """Prompt that follows an answer, of which the user is shown the mask that SAM's authors would take."""
        index = prediction.choose(authors_choice(prompt))
        low_res = prediction.low_res_logits
        logits = None if low_res is None else low_res[index : index + 1]
        return self.modes[0].follow(prompt, prediction.masks[index], logits, self.reference)


class Turn(NamedTuple):
    """The answer that a mode of a dialogue is scored by."""

    dialogue: int
    mode: PromptMode
    prompt: Prompt
    prediction: Prediction


def converse(predict: Predict, dialogues: Sequence[Dialogue]) -> Iterator[Turn]:
    """Hold dialogues with a model, all of them turn by turn, so that each turn is one batch.

    Parameters
    ----------
    predict : callable
        Prompts of one image to their predictions, in order.
    dialogues : sequence of Dialogue
        About one image.

    Yields
    ------
    Turn
        One for each mode of each dialogue, as soon as it is answered; its ``dialogue`` is an index into
        ``dialogues``. Where nothing was left to correct, later turns repeat the last prompt and answer.
    """
    prompts = {index: dialogue.first for index, dialogue in enumerate(dialogues)}
    turn = 0
    while prompts:
        turn += 1
        following = {}
        for (index, prompt), prediction in zip(prompts.items(), predict(list(prompts.values())), strict=True):
            dialogue = dialogues[index]
            prediction = prediction.within(dialogue.valid)
            goes_on = turn < dialogue.n_turns
            next_prompt = dialogue.next_prompt(prompt, prediction) if goes_on else None
            if next_prompt is not None:
                following[index] = next_prompt
            for mode in dialogue.modes:
                if mode.n_turns == turn or (mode.n_turns > turn and next_prompt is None):
                    yield Turn(index, mode, replace(prompt, mode=mode.name), prediction)
        prompts = following
