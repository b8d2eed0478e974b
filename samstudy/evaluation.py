"""The only loop over image x model x object x prompt: what comes out is the score table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from samstudy.datasets import Dataset
from samstudy.embeddings import embed
from samstudy.errors import StudyError, unknown_name
from samstudy.inference import Embedding
from samstudy.metrics import METRICS, MaskScorer, is_tubular
from samstudy.models import Model, load_model
from samstudy.prompts import PROMPTS, headline_choice, make_prompt
from samstudy.results import make_table
from samstudy.rowcache import RowCache
from samstudy.seeds import rng_for, seed_for
from samstudy.types import MASK_CHOICES, Prediction, Prompt, Sample, target_of

Row = dict[str, Any]
_MOST_MASK_BYTES = 256 << 20


@dataclass(frozen=True)
class _Work:
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
) -> pd.DataFrame:
    """Score models on the objects of a data set under simulated prompts.

    Parameters
    ----------
    dataset : Dataset
        From :func:`samstudy.load_dataset`.
    models : sequence of Model or str
        Loaded models or their names.
    prompts : sequence of str
        Registered prompt modes. They are simulated from the reference mask.
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

    Returns
    -------
    pandas.DataFrame
        Columns of :data:`samstudy.results.COLUMNS`. An image that cannot be read, a prompt that cannot be
        made and a model that fails are rows with ``status == "error"`` and the reason; an empty reference
        gives rows with ``ref_empty`` and no scores; clDice is there for tubular references only
        (:func:`samstudy.metrics.is_tubular`). Order: image, model, object, prompt, mask choice.

    Raises
    ------
    StudyError
        For unknown names, an empty split, or a limit under 1: nothing has been computed yet.
    """
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
    twice = [name for (name, *_), n in Counter((m.name, m.weights_sha) for m in loaded).items() if n > 1]
    if twice:
        raise StudyError(f"the model {twice[0]!r} is named twice with the same weights: name it once.")
    for model in loaded:
        model.prepare(dataset)
    work = _Work(dataset, tuple(prompts), seed, check_targets(dataset, targets))
    rows: list[Row] = []
    for image_id in tqdm(ids, desc=dataset.info.name, unit="image", disable=not progress):
        rows.extend(_image_rows(work, loaded, image_id, cache))
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


def _image_rows(work: _Work, models: Sequence[Model], image_id: str, cache: bool) -> Iterator[Row]:
    try:
        sample = work.dataset.load(image_id)
    except StudyError as error:
        for model in models:
            yield from _error_rows(work, model, {"image_id": image_id}, str(error))
        return
    content = sample.content_sha()
    tasks = None
    for model in models:
        store = (
            RowCache(content, model, work.dataset, work.prompts, work.seed, work.targets) if cache else None
        )
        rows = store.read() if store else None
        if rows is None:
            tasks = tasks or _tasks(work, sample)
            rows = list(_model_rows(work, model, sample, tasks, cache))
            if store and not any(row["status"] == "error" for row in rows):
                store.write(rows)
        yield from rows


@dataclass(frozen=True)
class _Task:
    """One object under one prompt mode; ``prompt`` is None where it could not be made, for the ``reason``."""

    known: Row
    mode: str
    scorer: MaskScorer
    reference: np.ndarray
    prompt: Prompt | None
    status: str = "ok"
    reason: str = ""


def _tasks(work: _Work, sample: Sample) -> list[_Task]:
    """Make the prompts of one image, the same for every model."""
    tasks = []
    for object_id, mask in sample.labels.items():
        if work.targets and target_of(object_id) not in work.targets:
            continue
        reference = mask if sample.valid is None else mask & sample.valid
        metrics = [name for name in METRICS if name != "cldice" or is_tubular(reference)]
        scorer = MaskScorer(reference, sample.spacing_mm, work.dataset.info.nsd_tolerance, metrics=metrics)
        known = _sample_columns(sample) | {
            "object_id": object_id,
            "target": target_of(object_id),
            "n_ref_px": int(reference.sum()),
            "nsd_tolerance": scorer.nsd_tolerance,
            "distance_unit": "px" if sample.spacing_mm is None else "mm",
        }
        for mode in work.prompts:
            seed = seed_for(work.seed, work.dataset.info.name, sample.image_id, object_id, mode)
            task = _Task(known | {"prompt_seed": seed}, mode, scorer, reference, None)
            tasks.append(_prompted(work, sample, task))
    return tasks


def _prompted(work: _Work, sample: Sample, task: _Task) -> _Task:
    if not task.reference.any():
        return replace(task, status="ref_empty")
    try:
        return replace(
            task, prompt=prompt_for(work.dataset, sample, task.known["object_id"], task.mode, work.seed)
        )
    except StudyError as error:
        return replace(task, status="error", reason=str(error))


def _model_rows(work: _Work, model: Model, sample: Sample, tasks: list[_Task], cache: bool) -> Iterator[Row]:
    try:
        embedding = embed(model, sample.image, cache=cache)
    except (StudyError, RuntimeError) as error:
        yield from _error_rows(
            work, model, _sample_columns(sample), f"{model.name} could not embed the image: {error}"
        )
        return
    # Whole masks of many prompts are large, so they are decoded and scored a batch at a time.
    at_once = max(1, _MOST_MASK_BYTES // (4 * sample.size_hw[0] * sample.size_hw[1]))
    for start in range(0, len(tasks), at_once):
        yield from _batch_rows(work, model, sample, embedding, tasks[start : start + at_once])


def _batch_rows(
    work: _Work, model: Model, sample: Sample, embedding: Embedding, tasks: list[_Task]
) -> Iterator[Row]:
    reason = ""
    try:
        found = iter(model.predict(embedding, [task.prompt for task in tasks if task.prompt is not None]))
    except (StudyError, RuntimeError) as error:
        reason = f"{model.name} failed on this image: {error}"
    for task in tasks:
        if task.status == "ref_empty":
            for choice in _choices(model):
                yield _row(work, model, task.known, task.mode, choice, status="ref_empty")
        elif task.prompt is None or reason:
            why = task.reason or reason
            yield _row(
                work, model, task.known, task.mode, _headline(model, task.mode), status="error", error=why
            )
        else:
            yield from _choice_rows(work, model, sample, task, next(found))


def prompt_for(dataset: Dataset, sample: Sample, object_id: str, mode: str, seed: int) -> Prompt:
    """Make the prompt that an evaluation with this base seed gives an object.

    Only the valid part of the reference is shown to the prompt, as only that part is scored.
    """
    reference = sample.labels[object_id] if sample.valid is None else sample.labels[object_id] & sample.valid
    rng = rng_for(seed, dataset.info.name, sample.image_id, object_id, mode)
    return make_prompt(mode, reference, rng).for_target(target_of(object_id))


def _choice_rows(
    work: _Work, model: Model, sample: Sample, task: _Task, prediction: Prediction
) -> Iterator[Row]:
    if sample.valid is not None:
        prediction = replace(prediction, masks=prediction.masks & sample.valid)
    known = task.known | {"n_points": task.prompt.n_points, "box_jitter_px": task.prompt.box_jitter_px}
    scores: dict[int, Row] = {}
    for choice in _choices(model):
        index = prediction.choose(choice, task.reference)
        if index not in scores:
            mask = prediction.masks[index]
            scores[index] = task.scorer.score(mask) | {"n_pred_px": int(mask.sum())}
        found = scores[index] | {"iou_pred": float(prediction.iou_pred[index])}
        status = "ok" if found["n_pred_px"] else "pred_empty"
        yield _row(work, model, known | found, task.mode, choice, status=status)


def _choices(model: Model) -> tuple[str, ...]:
    return MASK_CHOICES if model.uses_image else MASK_CHOICES[:1]


def _headline(model: Model, mode: str) -> str:
    return headline_choice(mode) if model.uses_image else MASK_CHOICES[0]


def _sample_columns(sample: Sample) -> Row:
    height, width = sample.size_hw
    return {"image_id": sample.image_id, "modality": sample.modality, "height": height, "width": width}


def _error_rows(work: _Work, model: Model, known: Row, reason: str) -> Iterator[Row]:
    for mode in work.prompts:
        yield _row(work, model, known, mode, _headline(model, mode), status="error", error=reason)


def _row(work: _Work, model: Model, known: Row, mode: str, choice: str, **more: Any) -> Row:
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
