"""What every model is asked about one image: each object under each prompt mode, and what is known of it beforehand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from samstudy.datasets import Dataset
from samstudy.errors import StudyError
from samstudy.metrics import MaskScorer, metrics_for
from samstudy.prompts import PROMPTS, Dialogue, PromptMode
from samstudy.seeds import rng_for, seed_for
from samstudy.types import Sample, target_of

Row = dict[str, Any]


@dataclass(frozen=True)
class Question:
    """One object under the prompt modes of one series.

    Attributes
    ----------
    known : dict
        Columns of its rows that no answer changes.
    modes : tuple of PromptMode
        Each becomes rows of its own; all are answered by one dialogue.
    scorer : MaskScorer
        Against ``reference``.
    reference : numpy.ndarray, bool, H x W
        The valid part of the object's mask: only that is prompted for and scored.
    dialogue : Dialogue or None
        None where there is nothing to ask, for the ``status`` and ``reason``.
    """

    known: Row
    modes: tuple[PromptMode, ...]
    scorer: MaskScorer
    reference: np.ndarray
    dialogue: Dialogue | None = None
    status: str = "ok"
    reason: str = ""


def questions_about(
    dataset: Dataset, sample: Sample, prompts: Sequence[str], seed: int, targets: Sequence[str]
) -> Iterator[Question]:
    """Make the prompts of one image, the same for every model.

    Parameters
    ----------
    dataset : Dataset
        Of the image.
    sample : Sample
        The image, loaded.
    prompts : sequence of str
        Prompt modes.
    seed : int
        Base seed of the evaluation.
    targets : sequence of str
        Only objects of these targets; none of them means all.

    Yields
    ------
    Question
        By object, then by series in order of first appearance. A mode that is asked per target has
        the union of its instances for an object, named as the target, after the instances. An empty reference, or a
        prompt that cannot be made, is a question without a dialogue.
    """
    for object_id, asked in objects_asked(sample, prompts):
        if targets and target_of(object_id) not in targets:
            continue
        mask = sample.reference(object_id)
        reference = mask if sample.valid is None else mask & sample.valid
        scorer = MaskScorer(
            reference, sample.spacing_mm, dataset.info.nsd_tolerance, metrics=metrics_for(reference)
        )
        known = sample_columns(sample) | {
            "object_id": object_id,
            "target": target_of(object_id),
            "n_ref_px": int(reference.sum()),
            "nsd_tolerance": scorer.nsd_tolerance,
            "distance_unit": "px" if sample.spacing_mm is None else "mm",
        }
        for modes in by_series(asked):
            drawn_by = dataset.info.name, sample.image_id, object_id, modes[0].seed_name
            about = known | {"prompt_seed": seed_for(seed, *drawn_by)}, modes, scorer, reference
            if not reference.any():
                yield Question(*about, status="ref_empty")
                continue
            try:
                yield Question(*about, dialogue_for(dataset, sample, object_id, modes, seed))
            except StudyError as error:
                yield Question(*about, status="error", reason=str(error))


def objects_asked(sample: Sample, prompts: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield every object with the modes it is asked in; instances of a target together where a mode wants that."""
    targets = dict.fromkeys(map(target_of, sample.labels))
    for object_id in dict.fromkeys([*sample.labels, *targets]):
        as_instance, as_target = object_id in sample.labels, object_id in targets
        asked = [mode for mode in prompts if (as_target if PROMPTS[mode].per_target else as_instance)]
        if asked:
            yield object_id, asked


def by_series(prompts: Sequence[str]) -> list[tuple[PromptMode, ...]]:
    """Group modes that are answered by one dialogue, in order of first appearance."""
    series: dict[str, list[PromptMode]] = {}
    for name in prompts:
        series.setdefault(PROMPTS[name].seed_name, []).append(PROMPTS[name])
    return [tuple(modes) for modes in series.values()]


def dialogue_for(
    dataset: Dataset, sample: Sample, object_id: str, modes: Sequence[PromptMode], seed: int
) -> Dialogue:
    """Begin the dialogue that an evaluation with this base seed holds about an object.

    Only the valid part of the reference is shown to the prompt, as only that part is scored.

    Raises
    ------
    StudyError
        If the prompt cannot be made.
    """
    mask = sample.reference(object_id)
    reference = mask if sample.valid is None else mask & sample.valid
    rng = rng_for(seed, dataset.info.name, sample.image_id, object_id, modes[0].seed_name)
    first = modes[0](reference, rng).for_target(target_of(object_id))
    return Dialogue(tuple(modes), first, reference, sample.valid)


def sample_columns(sample: Sample) -> Row:
    """Columns that say which image it is."""
    height, width = sample.size_hw
    return {"image_id": sample.image_id, "modality": sample.modality, "height": height, "width": width}
