"""The values that flow through the study: Sample -> Prompt -> Prediction."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace

import numpy as np

MASK_CHOICES = ("single", "first", "predicted_iou", "oracle")

AUTOMATIC = "automatic"
"""The prompt mode that takes nothing from the reference, for which a tuned model may have learnt an embedding."""


@dataclass(frozen=True)
class Sample:
    """One 2-D image with its reference masks.

    Attributes
    ----------
    image_id, group_id : str
        Unique name of the image; unit of independence (patient, slab of slices, ...).
    image : numpy.ndarray, uint8, H x W x 3
        RGB in [0, 255], as shown to the model.
    labels : dict of str to numpy.ndarray, bool, H x W
        One mask per object. ``"lesion"`` is the whole target; ``"nucleus#3"`` is the third instance of
        the target ``nucleus``. A mask may be empty: that is a fact about the image, not an error.
    spacing_mm : tuple of float or None
        (row, column) pixel pitch in millimetres; None where it is not known.
    valid : numpy.ndarray, bool, H x W, or None
        Pixels that count when scoring (a field of view); None means all.
    modality : str
        Kind of image, where a data set has several; ``""`` means the data set's.
    learns : dict of str to numpy.ndarray, bool, H x W, or None
        By label, what a tuning learns in place of ``labels``, from which the prompts are made all the same: the control
        of shuffled labels. None means the labels themselves.
    """

    image_id: str
    group_id: str
    image: np.ndarray
    labels: dict[str, np.ndarray]
    spacing_mm: tuple[float, float] | None = None
    valid: np.ndarray | None = None
    modality: str = ""
    learns: dict[str, np.ndarray] | None = None

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.image.shape[0], self.image.shape[1]

    def reference(self, object_id: str) -> np.ndarray:
        """Mask of an object by its label, or of a whole target by its name: the union of its instances.

        Raises
        ------
        KeyError
            If there is neither.
        """
        if object_id in self.labels:
            return self.labels[object_id]
        instances = [mask for label, mask in self.labels.items() if target_of(label) == object_id]
        if not instances:
            raise KeyError(object_id)
        return np.logical_or.reduce(instances)

    def to_learn(self, object_id: str) -> np.ndarray:
        """Mask that a tuning learns for an object: its reference, or what stands in ``learns`` for it."""
        return (self if self.learns is None else replace(self, labels=self.learns)).reference(object_id)

    def content_sha(self) -> str:
        """SHA-256 of everything a result can depend on: names, pixels, masks, spacing."""
        digest = hashlib.sha256(
            f"{self.image_id} {self.group_id} {self.modality} {self.spacing_mm} {self.size_hw}".encode()
        )
        digest.update(np.ascontiguousarray(self.image).data)
        for label, mask in (*self.labels.items(), *(self.learns or {}).items()):
            digest.update(label.encode())
            digest.update(np.packbits(mask).data)
        if self.valid is not None:
            digest.update(np.packbits(self.valid).data)
        return digest.hexdigest()


def target_of(label: str) -> str:
    """Return the target a label belongs to: ``"nucleus#3"`` -> ``"nucleus"``."""
    return label.split("#", 1)[0]


def _no_points() -> np.ndarray:
    return np.zeros((0, 2), np.float32)


def _no_point_labels() -> np.ndarray:
    return np.zeros((0,), np.int64)


@dataclass(frozen=True)
class Prompt:
    """What a user would give the model, in pixel coordinates of the original image.

    Attributes
    ----------
    points_xy : numpy.ndarray, float32, N x 2
        (x, y) = (column, row); N may be 0.
    point_labels : numpy.ndarray, int64, N
        1 foreground, 0 background.
    box_xyxy : numpy.ndarray, float32, 4, or None
        Left, top, right, bottom; the last two are the last pixel that belongs to the object.
    mask_logits : numpy.ndarray, float32, 1 x h x w, or None
        SAM's mask input: logits of a mask at the decoder's resolution in the padded input frame, as in
        ``Prediction.low_res_logits``; None for no mask.
    points_per_side : int
        Everything mode: a grid of so many points along each side of the image, whatever is in it. 0 for every
        other prompt; such a prompt has no points, box or mask.
    parts : tuple of Prompt
        Non-empty for a composite prompt: each part is predicted alone, the masks are united.
    mode : str
        Registered name of the prompt mode that made it, or ``""``.
    target : str
        Name of the target; only the no-image baselines look at it.
    box_jitter_px : float
        Largest displacement of a box edge from the tight box, in pixels; 0 for a tight box.
    """

    points_xy: np.ndarray = field(default_factory=_no_points)
    point_labels: np.ndarray = field(default_factory=_no_point_labels)
    box_xyxy: np.ndarray | None = None
    mask_logits: np.ndarray | None = None
    points_per_side: int = 0
    parts: tuple[Prompt, ...] = ()
    mode: str = ""
    target: str = ""
    box_jitter_px: float = 0.0

    @property
    def n_points(self) -> int:
        """Number of points, those of the parts included, those of a grid over the whole image not."""
        return len(self.points_xy) + sum(part.n_points for part in self.parts)

    def for_target(self, target: str) -> Prompt:
        """Return a copy (parts included) that knows its target."""
        return replace(self, target=target, parts=tuple(p.for_target(target) for p in self.parts))


@dataclass(frozen=True)
class Prediction:
    """Every candidate a model offers for one prompt, at the original resolution.

    Attributes
    ----------
    masks : numpy.ndarray, bool, C x H x W
        Index 0 is the single-mask output; indices 1-3, where present, are SAM's three masks for an
        ambiguous prompt in its own order. A baseline has C = 1. Everything mode has its proposals here, surest
        first, or one empty mask of NaN predicted IoU where it proposes nothing.
    iou_pred : numpy.ndarray, float32, C
        The model's own estimate of each candidate's IoU; NaN where it makes none.
    low_res_logits : numpy.ndarray, float32, C x h x w, or None
        Logits at the decoder's resolution, to be fed back as a mask prompt; None for baselines and
        composite prompts.
    proposals : bool
        Whether the candidates are those of everything mode: objects anywhere in the image. They have no
        single-mask output and no order of three, so only ``predicted_iou`` and ``oracle`` choose among them.
    """

    masks: np.ndarray
    iou_pred: np.ndarray
    low_res_logits: np.ndarray | None = None
    proposals: bool = False

    def within(self, valid: np.ndarray | None) -> Prediction:
        """Return a copy whose masks are cut to the valid pixels (bool H x W); itself where all are valid."""
        return self if valid is None else replace(self, masks=self.masks & valid)

    def choose(self, rule: str, reference: np.ndarray | None = None) -> int:
        """Index of the candidate that a mask-choice rule takes.

        Parameters
        ----------
        rule : {"single", "first", "predicted_iou", "oracle"}
            ``single``: SAM's single-mask output. ``first``: the first of the three (Mazurowski 2023).
            ``predicted_iou``: the best of the three by the model's own score. ``oracle``: the best of
            the three by Dice with the reference (Huang 2024), which no user has. Among proposals, the best
            of all.
        reference : numpy.ndarray, bool, H x W
            Needed by ``oracle`` only. Where it is empty the first of the three is taken.

        Returns
        -------
        int
            Index into ``masks``; 0 for a one-candidate model, whatever the rule.

        Raises
        ------
        ValueError
            If the rule is unknown, ``oracle`` has no reference, or ``single`` or ``first`` is asked of proposals.
        """
        if rule not in MASK_CHOICES:
            raise ValueError(f"unknown mask choice {rule!r}; use one of {', '.join(MASK_CHOICES)}.")
        if self.proposals and rule in ("single", "first"):
            raise ValueError(f"everything mode has no {rule!r} mask; use predicted_iou or oracle.")
        if rule == "single" or len(self.masks) == 1:
            return 0
        start = 0 if self.proposals else 1
        if rule == "first":
            return start
        if rule == "predicted_iou":
            return start + int(np.argmax(self.iou_pred[start:]))
        if reference is None:
            raise ValueError("the oracle mask choice needs the reference mask.")
        # One at a time: the proposals of a large image are many megabytes.
        overlap = np.array([np.count_nonzero(mask & reference) for mask in self.masks[start:]])
        total = np.array([np.count_nonzero(mask) for mask in self.masks[start:]]) + np.count_nonzero(
            reference
        )
        return start + int(np.argmax(overlap / np.maximum(total, 1)))
