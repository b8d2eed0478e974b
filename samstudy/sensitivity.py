"""Does a tuned model listen to its prompt? Prompted where the target is not, it must not return the target.

A model that has learnt to return the organ wherever it is asked scores well with a prompt made from the reference. So
every held-out object's prompt is moved to where its target is not (:mod:`samstudy.places`), and the answer is held
against the target all the same: a Dice of at least :data:`samstudy.returned.RETURNED_DICE` counts as returned.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from samstudy.cells import Row
from samstudy.datasets import Dataset, load_dataset
from samstudy.embeddings import embed
from samstudy.errors import DataError, StudyError
from samstudy.models import Model, load_model
from samstudy.paths import table_path
from samstudy.places import Place, movable_modes, places
from samstudy.present import tunable_datasets
from samstudy.prompts import PROMPTS
from samstudy.results import read_parquet, read_table, write_parquet
from samstudy.returned import COLUMNS, RETURNED_DICE, with_types
from samstudy.rowcache import RowCache
from samstudy.seeds import rng_for, seed_for
from samstudy.stages import tuned_models
from samstudy.study import load_study
from samstudy.study import profile as load_profile
from samstudy.types import Sample, target_of

STAGE = "sensitivity"
N_PLACES = 3
_NO_PLACE = "it names no single place that could be moved"


def run(
    dataset: str,
    profile: str = "demo",
    device: str = "auto",
    *,
    model: str | None = None,
    shots: Sequence[int] | None = None,
    prompts: Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
) -> pd.DataFrame:
    """Prompt the base and every tuned model of a data set elsewhere, and keep the table.

    Parameters
    ----------
    dataset, profile, device
        As in :func:`samstudy.stages.fine_tune`, whose models and held-out images are used.
    model, shots, prompts, seeds
        What that stage was given beside the profile.

    Returns
    -------
    pandas.DataFrame
        Columns of :data:`samstudy.returned.COLUMNS`, as in
        ``data/results/<profile>/<dataset>.sensitivity.parquet``. Modes that name no single place (``automatic``) are
        left out; the table's metadata says so.

    Raises
    ------
    StudyError
        If the stage ``fine_tune`` has not been run.
    """
    plan, source = load_profile(profile), load_dataset(dataset)
    held_out = read_table(table_path(profile, dataset, "fine_tune"))
    base = load_model(model or plan.fine_tuning.model, device)
    tables, left_out = [prompt_elsewhere(source, [], (), [])], {}
    for targets, recipe, tuned in tuned_models(dataset, profile, base, shots, prompts, seeds, device):
        modes = movable_modes(recipe.prompts)
        left_out |= {mode: _NO_PLACE for mode in recipe.prompts if mode not in modes}
        of_target = held_out[held_out["target"].isin(targets)] if targets else held_out
        ids = list(dict.fromkeys(of_target["image_id"])) if modes else []
        tables.append(prompt_elsewhere(source, [base, *tuned], modes, ids, targets, plan.seed))
    table = with_types(pd.concat([each for each in tables if len(each)] or tables[:1]))
    config = {"study_sha": load_study().sha256, "split_sha": source.fingerprint(), "seed": plan.seed}
    config |= {"left_out": left_out, "n_places": N_PLACES, "returned_dice": RETURNED_DICE}
    write_parquet(table, table_path(profile, dataset, STAGE), config, _read_file)
    return table


def read(profile: str = "demo") -> pd.DataFrame:
    """Put together the tables of :func:`run` over all data sets of a profile; without rows where there is none."""
    paths = [table_path(profile, name, STAGE) for name in tunable_datasets(profile)]
    found = [_read_file(path) for path in paths if path.is_file()]
    return with_types(pd.concat(found) if found else pd.DataFrame(columns=COLUMNS))


def _read_file(path: Path) -> pd.DataFrame:
    return with_types(read_parquet(path))


def prompt_elsewhere(
    dataset: Dataset,
    models: Sequence[Model],
    prompts: Sequence[str],
    image_ids: Sequence[str],
    targets: Sequence[str] = (),
    seed: int = 0,
    n_places: int = N_PLACES,
    progress: bool = True,
) -> pd.DataFrame:
    """Prompt models where each object's target is not, and score the answers against the target.

    Parameters
    ----------
    dataset : Dataset
    models : sequence of Model
        All of them get the same prompts.
    prompts : sequence of str
        Of :func:`samstudy.places.movable_modes`.
    image_ids : sequence of str
        Held-out images.
    targets : sequence of str
        Only objects of these; none of them means all.
    seed : int
        Base seed; that of each object's places is derived from it and the names of data set, image, object and mode.
    n_places : int
        Most places for each object and mode.
    progress : bool
        Show a progress bar.

    Returns
    -------
    pandas.DataFrame
        Columns of :data:`samstudy.returned.COLUMNS`. The answer is the mask that SAM's authors would take; of a target
        in several instances, the Dice is that with the instance, or with all of them together, that it agrees with
        best. An object without room, an empty reference and an image that cannot be read are rows without a Dice.

    Raises
    ------
    StudyError
        For a mode whose prompt cannot be moved.
    """
    for mode in prompts:
        if mode not in movable_modes([mode]):
            raise StudyError(f"the prompt {mode!r} cannot be moved: {_NO_PLACE}.")
    rows: list[Row] = []
    named = [f"elsewhere, {n_places} places", *prompts]
    bar = {"desc": f"{dataset.info.name} elsewhere", "unit": "image", "disable": not (progress and image_ids)}
    for image_id in tqdm(image_ids, **bar):
        known = _image_columns(dataset, image_id)
        try:
            sample = dataset.load(image_id)
        except DataError as error:
            failed = known | {"status": "error", "error": str(error)}
            rows += [failed | _model_columns(m) | {"prompt": mode} for m in models for mode in prompts]
            continue
        asked = None
        for model in models:
            store = RowCache(sample.content_sha(), model, dataset, named, seed, targets)
            found = store.read()
            if found is None:
                asked = asked or list(_questions(dataset, sample, prompts, targets, seed, n_places))
                found = [known | _model_columns(model) | row for row in _answers(model, sample, asked)]
                store.write(found)
            rows += found
    return with_types(pd.DataFrame(rows))


def _image_columns(dataset: Dataset, image_id: str) -> Row:
    return {
        "dataset": dataset.info.name,
        "dataset_options": dataset.options_text,
        "split": dataset.split_of(image_id),
        "image_id": image_id,
        "group_id": dataset.group_of(image_id),
    }


def _model_columns(model: Model) -> Row:
    return {
        "model": model.name,
        "weights_sha": model.weights_sha,
        "tuning": model.tuning,
        "shots": model.shots,
        "fold": model.fold,
    }


_Asked = tuple[Row, str, "Place | None"]


def _questions(
    dataset: Dataset, sample: Sample, prompts: Sequence[str], targets: Sequence[str], seed: int, n_places: int
) -> Iterator[_Asked]:
    """Yield what is known of each row before an answer, its target, and where the prompt is moved to, if anywhere."""
    for object_id in sample.labels:
        name = target_of(object_id)
        if targets and name not in targets:
            continue
        reference, target = _valid(sample, object_id), _valid(sample, name)
        for mode in prompts:
            drawn_by = dataset.info.name, sample.image_id, object_id, mode, "elsewhere"
            known = {"object_id": object_id, "target": name, "prompt": mode, "n_ref_px": int(reference.sum())}
            known |= {"prompt_seed": seed_for(seed, *drawn_by), "place": 0}
            if not reference.any():
                yield known | {"status": "ref_empty"}, name, None
                continue
            rng = rng_for(seed, *drawn_by)
            prompt = PROMPTS[mode](reference, rng).for_target(name)
            found = places(prompt, reference, target, sample.valid, rng, n_places)
            if not found:
                yield known | {"status": "no_room"}, name, None
            for number, place in enumerate(found):
                about = {"place": number, "overlap": place.overlap, "distance_px": place.distance_px}
                yield known | about, name, place


def _valid(sample: Sample, object_id: str) -> np.ndarray:
    mask = sample.reference(object_id)
    return mask if sample.valid is None else mask & sample.valid


def _answers(model: Model, sample: Sample, asked: Sequence[_Asked]) -> Iterator[Row]:
    """Ask all that has a place at once, in order."""
    prompts = [place.prompt for _, _, place in asked if place]
    embedding = embed(model, sample.image) if prompts else None
    predictions = iter(model.predict(embedding, prompts) if prompts else ())
    instances: dict[str, list[np.ndarray]] = {}
    for known, target, place in asked:
        if place is None:
            yield known
            continue
        prediction = next(predictions).within(sample.valid)
        mask = prediction.masks[prediction.choose(PROMPTS[known["prompt"]].headline)]
        if target not in instances:
            names = dict.fromkeys([*(n for n in sample.labels if target_of(n) == target), target])
            instances[target] = [_valid(sample, name) for name in names]
        dice = max(_dice(mask, reference) for reference in instances[target])
        scored = {"dice": dice, "returned": float(dice >= RETURNED_DICE), "n_pred_px": int(mask.sum())}
        yield known | scored | {"status": "ok"}


def _dice(mask: np.ndarray, reference: np.ndarray) -> float:
    both = np.count_nonzero(mask) + np.count_nonzero(reference)
    return 2 * np.count_nonzero(mask & reference) / both if both else 0.0
