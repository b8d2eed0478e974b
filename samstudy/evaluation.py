"""The only loop over image x model x object x prompt: what comes out is the score table."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from samstudy.ahead import ahead
from samstudy.datasets import Dataset
from samstudy.embeddings import embed
from samstudy.errors import StudyError, unknown_name
from samstudy.everything import n_proposals
from samstudy.inference import Embedding
from samstudy.leakage import refuse_seen_groups
from samstudy.models import Model, load_model
from samstudy.prompts import PROMPTS, PromptMode, Turn, converse
from samstudy.questions import Question, Row, questions_about, sample_columns
from samstudy.results import make_table
from samstudy.rowcache import RowCache
from samstudy.types import MASK_CHOICES, Sample

if TYPE_CHECKING:
    from distributed import Client

_MOST_MASK_BYTES = 256 << 20


@dataclass(frozen=True)
class Work:
    """What is the same for every row of one evaluation."""

    dataset: Dataset
    prompts: tuple[str, ...]
    seed: int
    targets: tuple[str, ...]


def evaluate(
    dataset: Dataset,
    models: Sequence[Model | str],
    prompts: Sequence[str],
    split: str | None = None,
    limit: int | None = None,
    seed: int = 0,
    device: str = "auto",
    cache: bool = True,
    progress: bool = True,
    targets: Sequence[str] | None = None,
    scheduler: str | Client | None = None,
) -> pd.DataFrame:
    """Score models on the objects of a data set under simulated prompts.

    Parameters
    ----------
    dataset : Dataset
        From :func:`samstudy.load_dataset`.
    models : sequence of Model or str
        Loaded models or their names.
    prompts : sequence of str
        Registered prompt modes. They are simulated from the reference mask; modes of one series
        (clicks) are turns of one dialogue, which goes as far as the longest of them.
    split : {"train", "val", "test", "all"}, optional
        The data set's own default when not given.
    limit : int, optional
        At most so many images, evenly spaced over the split, so that a short run sees all of it.
    seed : int
        Base seed; each prompt's own is derived from it and the names of data set, image, object and mode.
    device : str
        For models given by name.
    cache : bool
        Keep embeddings and finished rows under ``data/cache``: a killed run goes on where it was, and the
        same call returns the same table.
    progress : bool
        Show a progress bar.
    targets : sequence of str, optional
        Only objects of these targets; all of them when not given.
    scheduler : str or distributed.Client, optional
        Dask workers that do it, with the same table: ``local:4``, ``tcp://host:8786`` or ``file:scheduler.json``
        (docs/cluster.md). ``SAMSTUDY_SCHEDULER`` when not given, and this process where that is not set.

    Returns
    -------
    pandas.DataFrame
        Columns of :data:`samstudy.results.COLUMNS`. An image that cannot be read, a prompt that cannot be
        made and a model that fails are rows with ``status == "error"`` and the reason; an empty reference
        gives rows with ``ref_empty`` and no scores; clDice and recalls are there for tubular references only
        (:func:`samstudy.metrics.metrics_for`). Order: image, model, object, prompt, mask choice.

    Raises
    ------
    StudyError
        For unknown names, an empty split, a limit under 1, or a tuned model and an image of a group that it was
        tuned with: nothing has been computed yet.
    """
    prompts = list(dict.fromkeys(prompts))
    for mode in prompts:
        PROMPTS[mode]
    ids = _spread(dataset.ids(split), limit)
    if not ids:
        raise StudyError(
            f"the split {split!r} of {dataset.info.name} has no images; its splits: train, val, test, all."
        )
    loaded = [load_model(m, device) if isinstance(m, str) else m for m in models]
    if not loaded or not prompts:
        raise StudyError("nothing to evaluate: give at least one model and one prompt mode.")
    # a tuning that found nothing better has the weights of its base, and is a result of its own
    kinds = Counter((m.name, m.weights_sha, m.tuning, m.shots, m.fold) for m in loaded)
    twice = [name for (name, *_), n in kinds.items() if n > 1]
    if twice:
        raise StudyError(f"the model {twice[0]!r} is named twice with the same weights: name it once.")
    for model in loaded:
        refuse_seen_groups(getattr(model, "history", {}), dataset, ids)
        model.prepare(dataset)
    work = Work(dataset, tuple(prompts), seed, check_targets(dataset, targets))
    scheduler = scheduler or os.environ.get("SAMSTUDY_SCHEDULER")
    if scheduler:
        # it is built on this module, and Dask is imported only when asked for
        from samstudy.scheduling import rows_by_scheduler

        return make_table(rows_by_scheduler(scheduler, work, loaded, ids, cache, progress))
    rows: list[Row] = []
    with tqdm(total=len(ids), desc=dataset.info.name, unit="image", disable=not progress) as bar:
        for of_image in rows_of(work, loaded, ids, cache):
            rows.extend(of_image)
            bar.update()
    return make_table(rows)


def check_targets(dataset: Dataset, targets: Sequence[str] | None) -> tuple[str, ...]:
    """Return the chosen targets, none of them meaning all.

    Raises
    ------
    StudyError
        If the data set says what its targets are and one is not among them.
    """
    for target in targets or ():
        if dataset.info.targets and target not in dataset.info.targets:
            raise unknown_name(f"target of {dataset.info.name}", target, dataset.info.targets)
    return tuple(targets or ())


def _spread(ids: list[str], limit: int | None) -> list[str]:
    if limit is None or limit >= len(ids):
        return ids
    if limit < 1:
        raise StudyError(f"the limit must be at least 1 image, not {limit}.")
    return [ids[i] for i in np.linspace(0, len(ids) - 1, limit).round().astype(int)]


def rows_of(work: Work, models: Sequence[Model], ids: Sequence[str], cache: bool) -> Iterator[list[Row]]:
    """Yield the rows of each image in turn, by model; the next image is read while one is evaluated."""
    for image_id, read in zip(ids, ahead(partial(_read, work.dataset), ids), strict=True):
        yield list(_image_rows(work, models, image_id, read, cache))


def _read(dataset: Dataset, image_id: str) -> tuple[Sample, str] | StudyError:
    """An image and the hash of its content, or why there is none."""
    try:
        sample = dataset.load(image_id)
    except StudyError as error:
        return error
    return sample, sample.content_sha()


def _image_rows(
    work: Work, models: Sequence[Model], image_id: str, read: tuple[Sample, str] | StudyError, cache: bool
) -> Iterator[Row]:
    if isinstance(read, StudyError):
        for model in models:
            yield from _error_rows(work, model, {"image_id": image_id}, str(read))
        return
    sample, content = read
    questions = None
    for model in models:
        store = (
            RowCache(content, model, work.dataset, work.prompts, work.seed, work.targets) if cache else None
        )
        rows = store.read() if store else None
        if rows is None:
            questions = questions or list(
                questions_about(work.dataset, sample, work.prompts, work.seed, work.targets)
            )
            rows = list(_model_rows(work, model, sample, questions, cache))
            if store and not any(row["status"] == "error" for row in rows):
                store.write(rows)
        yield from rows


def _model_rows(
    work: Work, model: Model, sample: Sample, questions: list[Question], cache: bool
) -> Iterator[Row]:
    try:
        embedding = embed(model, sample.image, cache=cache)
    except (StudyError, RuntimeError) as error:
        yield from _error_rows(
            work, model, sample_columns(sample), f"{model.name} could not embed the image: {error}"
        )
        return
    rows = {}
    for batch in _batches(questions, sample.size_hw):
        rows |= _answered(work, model, embedding, batch)
    for question in questions:
        if question.dialogue is None:
            rows |= {_key(question, mode): _unasked(work, model, question, mode) for mode in question.modes}
    for object_id in dict.fromkeys(question.known["object_id"] for question in questions):
        for mode in work.prompts:
            yield from rows.get((object_id, mode), ())


def _key(question: Question, mode: PromptMode) -> tuple[str, str]:
    return question.known["object_id"], mode.name


def _batches(questions: list[Question], size_hw: tuple[int, int]) -> Iterator[list[Question]]:
    """Split what there is to ask: whole masks of many prompts are large, so they are held a batch at a time.

    All objects share the proposals of everything mode, so its grids are asked for together.
    """
    asked = [question for question in questions if question.dialogue is not None]
    at_once = max(1, _MOST_MASK_BYTES // (4 * size_hw[0] * size_hw[1]))
    for points_per_side, same in groupby(sorted(asked, key=_points_per_side), key=_points_per_side):
        same = list(same)
        step = len(same) if points_per_side else at_once
        yield from (same[start : start + step] for start in range(0, len(same), step))


def _points_per_side(question: Question) -> int:
    return question.dialogue.first.points_per_side


def _answered(
    work: Work, model: Model, embedding: Embedding, batch: list[Question]
) -> dict[tuple[str, str], list[Row]]:
    """Hold the dialogues of a batch and score each answer; what a failing model leaves unanswered is an error."""
    rows = {}
    reason = "it gave no answer"
    try:
        for turn in converse(
            lambda prompts: model.predict(embedding, prompts), [question.dialogue for question in batch]
        ):
            question = batch[turn.dialogue]
            rows[_key(question, turn.mode)] = list(_choice_rows(work, model, question, turn))
    except (StudyError, RuntimeError) as error:
        reason = f"{model.name} failed on this image: {error}"
    for question in batch:
        for mode in question.modes:
            if _key(question, mode) not in rows:
                failed = replace(question, status="error", reason=reason)
                rows[_key(question, mode)] = _unasked(work, model, failed, mode)
    return rows


def _unasked(work: Work, model: Model, question: Question, mode: PromptMode) -> list[Row]:
    if question.status == "ref_empty":
        choices, more = _choices(model, mode), {"status": "ref_empty"}
    else:
        choices, more = (_headline(model, mode),), {"status": "error", "error": question.reason}
    return [_row(work, model, question.known, mode.name, choice, **more) for choice in choices]


def _choice_rows(work: Work, model: Model, question: Question, turn: Turn) -> Iterator[Row]:
    known = question.known | {
        "n_points": turn.prompt.n_points,
        "box_jitter_px": turn.prompt.box_jitter_px,
        "n_proposals": n_proposals(turn.prediction),
    }
    scores: dict[int, Row] = {}
    for choice in _choices(model, turn.mode):
        index = turn.prediction.choose(choice, question.reference)
        if index not in scores:
            mask = turn.prediction.masks[index]
            scores[index] = question.scorer.score(mask) | {"n_pred_px": int(np.count_nonzero(mask))}
        found = scores[index] | {"iou_pred": float(turn.prediction.iou_pred[index])}
        status = "ok" if found["n_pred_px"] else "pred_empty"
        yield _row(work, model, known | found, turn.mode.name, choice, status=status)


def _choices(model: Model, mode: PromptMode) -> tuple[str, ...]:
    return MASK_CHOICES[:1] if _has_one_mask(model) else mode.choices


def _headline(model: Model, mode: PromptMode) -> str:
    return MASK_CHOICES[0] if _has_one_mask(model) else mode.headline


def _has_one_mask(model: Model) -> bool:
    return getattr(model, "one_mask", not model.uses_image)


def _error_rows(work: Work, model: Model, known: Row, reason: str) -> Iterator[Row]:
    for mode in work.prompts:
        yield _row(work, model, known, mode, _headline(model, PROMPTS[mode]), status="error", error=reason)


def _row(work: Work, model: Model, known: Row, mode: str, choice: str, **more: Any) -> Row:
    dataset, image_id = work.dataset, known["image_id"]
    return (
        known
        | {
            "dataset": dataset.info.name,
            "modality": known.get("modality") or dataset.info.modality,
            "dataset_options": dataset.options_text,
            "split": dataset.split_of(image_id),
            "group_id": dataset.group_of(image_id),
            "model": model.name,
            "weights_sha": model.weights_sha,
            "tuning": model.tuning,
            "shots": model.shots,
            "fold": model.fold,
            "prompt": mode,
            "mask_choice": choice,
        }
        | more
    )
