"""What an explorer knows, without any widget: an image, the prompt so far, and the answers to it.

Every change of the prompt or of the image has a number. An answer carries the number of the question it answers and is
taken only while that is the newest, so a slow answer never stands over a newer click.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from samstudy.embeddings import embed
from samstudy.errors import StudyError
from samstudy.explore.sources import Shown
from samstudy.inference import Embedding
from samstudy.metrics import score
from samstudy.models import Model
from samstudy.prompts.mode import authors_choice
from samstudy.types import Prediction, Prompt

MOST_MODELS = 2


@dataclass(frozen=True)
class Marks:
    """What a person has drawn.

    Attributes
    ----------
    points : tuple of (float, float, int)
        x, y in pixels of the image, and 1 (of the object) or 0 (of the background).
    box_xyxy : tuple of float or None
        Left, top, right, bottom.
    """

    points: tuple[tuple[float, float, int], ...] = ()
    box_xyxy: tuple[float, float, float, float] | None = None

    def can_be_asked(self) -> bool:
        """Whether there is something of the object: background points alone say nothing of it."""
        return self.box_xyxy is not None or any(label for _, _, label in self.points)

    def prompt(self) -> Prompt:
        """Return the prompt that SAM is given."""
        points = np.array(self.points, np.float32).reshape(-1, 3)
        box = None if self.box_xyxy is None else np.array(self.box_xyxy, np.float32)
        return Prompt(points[:, :2], points[:, 2].astype(np.int64), box)


@dataclass(frozen=True)
class Question:
    """One prompt put to one model.

    Attributes
    ----------
    number : int
        Of the change of the session that it stands for.
    place : int
        Index of the model.
    """

    number: int
    place: int
    model: Model
    embedding: Embedding
    prompt: Prompt

    def answer(self) -> Prediction:
        """Ask the model; the only call of this module that takes time after an image is embedded."""
        return self.model.predict(self.embedding, [self.prompt])[0]


class Session:
    """An image, one or two models, a prompt that can be undone, and the newest answers.

    Attributes
    ----------
    shown : Shown or None
        The image that is open.
    marks : Marks
        The prompt so far.
    models : tuple of Model
    answers : list of (Prediction or None)
        By model; None where the newest prompt has no answer (yet).
    target : str
        Object of the reference that masks are compared with; ``""`` for none.
    number : int
        Counts the changes.
    """

    def __init__(self, models: Sequence[Model] = ()) -> None:
        self.shown: Shown | None = None
        self.marks = Marks()
        self.models: tuple[Model, ...] = ()
        self.answers: list[Prediction | None] = []
        self.target = ""
        self.number = 0
        self._undo: list[Marks] = []
        self._chosen: int | None = None
        self._embeddings: dict[int, Embedding] = {}
        self.use(models)

    # --- what is looked at ----------------------------------------------------------------------------------

    def use(self, models: Sequence[Model]) -> None:
        """Take other models; the prompt stays, their answers are yet to come.

        Raises
        ------
        StudyError
            For more than two.
        """
        if len(models) > MOST_MODELS:
            raise StudyError(f"{len(models)} models were given; the explorer compares {MOST_MODELS} at most.")
        self.models, self._embeddings = tuple(models), {}
        self._changed()

    def open(self, shown: Shown, target: str = "") -> None:
        """Show another image: the prompt, its undo stack and the answers of the last one are gone.

        Raises
        ------
        StudyError
            If the image has no such object.
        """
        self.shown, self._embeddings = shown, {}
        self.marks, self._undo = Marks(), []
        self.compare_with(target)
        self._changed()

    def compare_with(self, target: str) -> None:
        """Choose the object of the reference; ``""`` for none. The prompt and the answers stay."""
        if target and (self.shown is None or target not in self.shown.references):
            raise StudyError(f"the image has no object {target!r}; choose one of its list.")
        self.target = target

    def embed(self, place: int) -> Embedding:
        """Embed the image with a model, through the study's cache, once."""
        if place not in self._embeddings:
            self._embeddings[place] = embed(self.models[place], self._open_image().rgb)
        return self._embeddings[place]

    # --- the prompt -----------------------------------------------------------------------------------------

    def add_point(self, x: float, y: float, positive: bool = True) -> None:
        """Add a point at a place of the image, in pixels.

        Raises
        ------
        StudyError
            If it lies outside the image.
        """
        height, width = self._open_image().rgb.shape[:2]
        if not (-0.5 <= x <= width - 0.5 and -0.5 <= y <= height - 0.5):
            raise StudyError(f"the point ({x:.1f}, {y:.1f}) is outside the image of {width}x{height} pixels.")
        point = (round(float(x), 2), round(float(y), 2), int(positive))
        self._draw(Marks((*self.marks.points, point), self.marks.box_xyxy))

    def set_box(self, x0: float, y0: float, x1: float, y1: float) -> None:
        """Draw the box, in place of an earlier one; corners may come in any order and are cut to the image."""
        height, width = self._open_image().rgb.shape[:2]
        xs, ys = (
            np.clip(sorted(pair), 0, size - 1) for pair, size in (((x0, x1), width), ((y0, y1), height))
        )
        box = tuple(round(float(value), 2) for value in (xs[0], ys[0], xs[1], ys[1]))
        self._draw(Marks(self.marks.points, box))

    def undo(self) -> bool:
        """Take the last change of the prompt back; False where there is none."""
        if not self._undo:
            return False
        self.marks = self._undo.pop()
        self._changed()
        return True

    def clear(self) -> None:
        """Remove the prompt; can be undone."""
        if self.marks != Marks():
            self._draw(Marks())

    def _draw(self, marks: Marks) -> None:
        self._undo.append(self.marks)
        self.marks = marks
        self._changed()

    def _changed(self) -> None:
        self.number += 1
        self._chosen = None
        self.answers = [None] * len(self.models)

    def _open_image(self) -> Shown:
        if self.shown is None:
            raise StudyError("no image is open: choose one first.")
        return self.shown

    # --- questions and answers ------------------------------------------------------------------------------

    def questions(self) -> list[Question]:
        """What the newest prompt asks of each model; none while there is nothing of the object in it."""
        if self.shown is None or not self.marks.can_be_asked():
            return []
        prompt = self.marks.prompt()
        return [
            Question(self.number, place, model, self.embed(place), prompt)
            for place, model in enumerate(self.models)
        ]

    def receive(self, question: Question, prediction: Prediction) -> bool:
        """Take an answer, unless the prompt, the image or the models have changed since; say whether it was taken."""
        if question.number != self.number:
            return False
        self.answers[question.place] = prediction
        return True

    def ask(self) -> None:
        """Ask every model and take the answers."""
        for question in self.questions():
            self.receive(question, question.answer())

    # --- the candidates -------------------------------------------------------------------------------------

    def choose(self, candidate: int | None) -> None:
        """Show a candidate by its index (0 single mask, 1-3 the three); None for the one SAM's authors would take.

        It holds for the newest answer only: the next change of the prompt goes back to the authors' choice.
        """
        self._chosen = candidate

    @property
    def picked(self) -> int | None:
        """The candidate that was chosen by hand; None for the authors' choice."""
        return self._chosen

    def chosen(self, place: int = 0) -> int | None:
        """Index of the candidate that is shown; None without an answer."""
        prediction = self.answers[place] if place < len(self.answers) else None
        if prediction is None:
            return None
        if self._chosen is not None and self._chosen < len(prediction.masks):
            return self._chosen
        return prediction.choose(authors_choice(self.marks.prompt()))

    def mask(self, place: int = 0) -> np.ndarray | None:
        """The mask that is shown (bool H x W); None without an answer."""
        index = self.chosen(place)
        return None if index is None else self.answers[place].masks[index]

    def scores(self, place: int = 0) -> list[tuple[float, float | None]]:
        """Predicted IoU and Dice with the chosen object of each candidate; Dice is None without a reference.

        Where the data set has a region that counts, masks and reference are compared within it.
        """
        prediction = self.answers[place] if place < len(self.answers) else None
        if prediction is None:
            return []
        reference = self.shown.references.get(self.target) if self.target else None
        dice: list[float | None] = [None] * len(prediction.masks)
        if reference is not None:
            valid = np.ones_like(reference) if self.shown.valid is None else self.shown.valid
            masks = prediction.within(self.shown.valid).masks
            dice = [score(reference & valid, mask, metrics=["dice"])["dice"] for mask in masks]
        return [(float(iou), value) for iou, value in zip(prediction.iou_pred, dice, strict=True)]
