"""The study's stages: what ``study.yaml`` asks of one data set, evaluated and kept as one table."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path

import pandas as pd

from samstudy.datasets import Dataset, load_dataset
from samstudy.errors import ModelError, StudyError
from samstudy.evaluation import evaluate
from samstudy.folds import Repetition, dealt, repetitions
from samstudy.models import Model, SamModel, load_model
from samstudy.paths import results_dir, slug, table_path
from samstudy.present import present_datasets, tunable_datasets
from samstudy.provenance import code_sha
from samstudy.results import read_table, write_table
from samstudy.study import load_study
from samstudy.study import profile as load_profile
from samstudy.tuning import Recipe, finetune, save_tuned
from samstudy.tuning.examples import choose_shots, validation_ids
from samstudy.types import AUTOMATIC

STAGES = ("zero_shot", "fine_tune", "controls", "transfer")


def zero_shot(
    dataset: str,
    profile: str = "demo",
    models: Sequence[str] | None = None,
    prompts: Sequence[str] | None = None,
    limit: int | None = None,
    seed: int | None = None,
    device: str = "auto",
) -> pd.DataFrame:
    """Evaluate the models as they are on the test split, and keep the table.

    Parameters
    ----------
    dataset : str
        Registered name or ``folder:<path>``.
    profile : str
        Of ``study.yaml``; gives what is not given here.
    models, prompts : sequence of str, optional
        Names. A published checkpoint that is not on this machine is left out with a warning, and the
        table's metadata says so.
    limit : int, optional
        Most images.
    seed : int, optional
        Base seed of the prompts.
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``mps``.

    Returns
    -------
    pandas.DataFrame
        The score table, as in ``data/results/<profile>/<dataset>.zero_shot.parquet``.

    Raises
    ------
    StudyError
        For unknown names, or when none of the models is here.
    """
    plan = load_profile(profile)
    source = load_dataset(dataset)
    loaded, left_out = _present_models(models or plan.models, device)
    seed = plan.seed if seed is None else seed
    table = evaluate(
        source, loaded, prompts or plan.prompts, limit=limit or plan.zero_shot.limit, seed=seed, device=device
    )
    write_table(table, table_path(profile, dataset, "zero_shot"), config_of(source, seed, left_out=left_out))
    return table


def fine_tune(
    dataset: str,
    profile: str = "demo",
    model: str | None = None,
    shots: Sequence[int] | None = None,
    prompts: Sequence[str] | None = None,
    limit: int | None = None,
    seeds: Sequence[int] | None = None,
    device: str = "auto",
    methods: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Tune a model with a few images and evaluate it before and after on the same held-out objects.

    The tuned models are those of :func:`tuned_models`, and so are the parameters; ``limit`` is the most held-out
    images.

    Returns
    -------
    pandas.DataFrame
        Rows with ``tuning == "none"`` and ``shots == 0`` (before), then those of each tuned model and, as it
        stands beside every prompted score, of the ``ellipse``. The column ``fold`` numbers the repetitions
        (:class:`samstudy.folds.Repetition`).
    """
    plan = load_profile(profile)
    tuning, source = plan.fine_tuning, load_dataset(dataset)
    base = load_model(model or tuning.model, device)
    tables, recipes = [], []
    for targets, recipe, tuned in tuned_models(
        dataset, profile, base, shots, prompts, seeds, device, methods
    ):
        models, held_out = [base, *tuned, load_model("ellipse")], limit or tuning.limit
        tables.append(evaluate(source, models, recipe.prompts, None, held_out, plan.seed, targets=targets))
        recipes.append(replace(recipe, targets=()))
        runs = {model.fold: model.history["repetition"] for model in tuned}
    learnt = tuning.targets.get(dataset, source.info.targets)
    facts = asdict(recipes[0]) | {
        "methods": tuple(methods or tuning.methods),
        "shots": sorted({model.shots for model in tuned}),
        "repetitions": [f"seed {run['seed']}, fold {run['fold']} of {run['folds']}" for run in runs.values()],
        "targets": f"one decoder for each of {', '.join(learnt)}" if learnt else "one decoder for all",
    }
    if recipes[-1] != recipes[0]:
        facts[AUTOMATIC] = f"a model of its own, {tuning.automatic.recipe}"
    table = pd.concat(tables, ignore_index=True)
    write_table(table, table_path(profile, dataset, "fine_tune"), config_of(source, plan.seed, recipe=facts))
    return table


def tuned_models(
    dataset: str,
    profile: str = "demo",
    model: SamModel | str | None = None,
    shots: Sequence[int] | None = None,
    prompts: Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
    device: str = "auto",
    methods: Sequence[str] | None = None,
    folds: int | None = None,
) -> Iterator[tuple[tuple[str, ...], Recipe, list[SamModel]]]:
    """Yield the models of the stage ``fine_tune``, each tuned now or taken from where it is kept.

    Each target gets a mask decoder of its own: nested targets share prompts, and one decoder cannot answer the
    same box with the brain and with its white matter. A set that does not name its targets gets one for all.
    ``study.yaml`` may name the targets of a data set that are tuned, and data sets on which a model of its own
    is tuned to answer without a prompt (mode ``automatic``); naming ``prompts`` here leaves that out.

    The tuned weights are in ``data/results/<profile>/tuned`` with their history, and are taken from there when
    everything they depend on is the same; a tuning that was killed goes on.

    Parameters
    ----------
    dataset : str
        Registered name or ``folder:<path>``.
    profile : str
        Of ``study.yaml``; gives what is not given here.
    model : SamModel or str, optional
        The base, or its name.
    shots : sequence of int, optional
        Numbers of training images; more than every repetition has means all that every repetition has.
    prompts : sequence of str, optional
        Modes that the models are trained with.
    seeds : sequence of int, optional
        Draws of training images and prompts.
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``mps``.
    methods : sequence of str, optional
        What is trained (column ``tuning``).
    folds : int, optional
        Dealings of the training and validation groups for each seed (:mod:`samstudy.folds`).

    Yields
    ------
    targets : tuple of str
        What the models segment; empty for every target.
    recipe : Recipe
        With those targets and the prompts.
    models : list of SamModel
        By repetition, method and number of images.

    Raises
    ------
    StudyError
        As :func:`samstudy.tuning.finetune` and :func:`samstudy.folds.dealt`.
    """
    tuning, source = load_profile(profile).fine_tuning, load_dataset(dataset)
    base = load_model(model or tuning.model, device) if not isinstance(model, SamModel) else model
    curve = tuning.curve_of(dataset)
    views = [(run, dealt(source, run)) for run in repetitions(seeds or curve.seeds, folds or curve.folds)]
    available = min(len(view.ids("train")) for _, view in views)
    counts = sorted({min(count, available) for count in shots or curve.shots})
    recipes = [Recipe(prompts=tuple(prompts or tuning.prompts), steps=tuning.steps)]
    if dataset in tuning.automatic.datasets and not prompts:
        recipes.append(replace(recipes[0], prompts=(AUTOMATIC,), **tuning.automatic.recipe))
    learnt = tuning.targets.get(dataset, source.info.targets)
    for recipe, targets in product(recipes, [(target,) for target in learnt] or [()]):
        own = replace(recipe, targets=targets)
        runs = product(views, methods or tuning.methods, counts)
        yield (
            targets,
            own,
            [
                tuned_model(base, view, count, method, run, own, profile, dataset)
                for (run, view), method, count in runs
            ],
        )


def read(profile: str = "demo", stage: str = "zero_shot") -> pd.DataFrame:
    """Put together the tables of a stage over all data sets of a profile.

    Raises
    ------
    StudyError
        If the stage is unknown, or none of its tables has been made yet.
    """
    if stage not in STAGES:
        raise StudyError(f"unknown stage {stage!r}; use one of {', '.join(STAGES)}.")
    names = present_datasets(profile) if stage == "zero_shot" else tunable_datasets(profile)
    paths = [table_path(profile, name, stage) for name in names]
    found = [read_table(path) for path in paths if path.is_file()]
    if not found:
        raise StudyError(f"no {stage} table of the profile {profile!r} has been made yet: run `make all`.")
    return pd.concat(found, ignore_index=True)


def config_of(dataset: Dataset, seed: int, **more: object) -> dict:
    """What is kept beside a stage's table: hashes of ``study.yaml`` and of the split, the seed, and more."""
    return {"study_sha": load_study().sha256, "split_sha": dataset.fingerprint(), "seed": seed, **more}


def _present_models(names: Sequence[str], device: str) -> tuple[list[Model], dict[str, str]]:
    loaded, left_out = [], {}
    for name in names:
        try:
            loaded.append(load_model(name, device))
        except ModelError as error:
            left_out[name] = str(error)
            warnings.warn(f"left out: {error}", stacklevel=3)
    if not any(model.uses_image for model in loaded):
        reasons = " ".join(left_out.values()) or "only baselines were named."
        raise StudyError(f"there is no SAM to evaluate: {reasons}")
    return loaded, left_out


def tuned_model(
    base: SamModel,
    source: Dataset,
    shots: int,
    method: str,
    run: Repetition,
    recipe: Recipe,
    profile: str,
    dataset: str,
    kind: str = "",
) -> SamModel:
    """Tune a model for one repetition, or take it from where it is kept; its ``tuning`` is ``kind`` or the method."""
    path = kept_path(profile, dataset, source, base, shots, kind or method, run, recipe)
    if not path.is_file():
        tuned = finetune(base, source, shots, method, run.seed, recipe)
        tuned.fold = run.number
        tuned.history |= {"tuning": kind or method, "fold": run.number, "repetition": asdict(run)}
        save_tuned(tuned, path)
    return _sharing_encoder(load_model(path, base.device.type), base)


def kept_path(
    profile: str,
    dataset: str,
    source: Dataset,
    base: Model | None,
    shots: int,
    tuning: str,
    run: Repetition,
    recipe: Recipe,
    *more: object,
) -> Path:
    """File of a model that was trained on the images of a repetition, named by everything that it depends on.

    Parameters
    ----------
    profile, dataset : str
        Names.
    source : Dataset
        As the repetition sees it.
    base : Model or None
        What it starts from; None for nothing.
    shots, tuning, run, recipe
        Number of training images, the column ``tuning``, the repetition, the recipe of SAM's tuning with its targets.
    *more : JSON-ready or str
        What else the result depends on.
    """
    ids = [*choose_shots(source, shots, run.seed), *validation_ids(source, recipe.max_val_images)]
    content = [source.load(image_id).content_sha() for image_id in ids]
    start = (base.name, base.weights_sha) if base else ()
    parts = [code_sha(), *start[1:], content, tuning, shots, asdict(run), asdict(recipe), *more]
    key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]
    repetition = f"seed{run.seed}" if run.folds == 1 else f"seed{run.seed}fold{run.fold}of{run.folds}"
    words = [slug(dataset), *recipe.targets, *start[:1], tuning, f"{shots}shot", repetition, key]
    return results_dir(profile) / "tuned" / f"{'.'.join(words)}.safetensors"


def _sharing_encoder(tuned: SamModel, base: SamModel) -> SamModel:
    """Give up the copy of an encoder that was not tuned: a learning curve is many models at once."""
    if tuned.history["method"] == "decoder" and tuned.image_size == base.image_size:
        tuned.sam.image_encoder, tuned.encoder_sha = base.sam.image_encoder, base.encoder_sha
    return tuned
