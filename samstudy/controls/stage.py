"""The stage ``controls``: a tuned model beside what the same images give by other means, on the same objects."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import asdict, replace

import pandas as pd
import torch

from samstudy.controls import probe, shuffled, unet
from samstudy.controls.whole_image import WholeImageModel
from samstudy.datasets import Dataset, load_dataset
from samstudy.errors import StudyError
from samstudy.evaluation import evaluate
from samstudy.folds import Repetition, repetitions
from samstudy.models import Model, SamModel, load_model
from samstudy.paths import table_path
from samstudy.results import make_table, read_table, write_table
from samstudy.stages import config_of, kept_path, tuned_model, tuned_models
from samstudy.study import profile as load_profile
from samstudy.tuning import Recipe
from samstudy.types import AUTOMATIC

STAGE = "controls"
METHOD = "decoder"
"""What is tuned of the models that the controls stand beside."""


def run(
    dataset: str,
    profile: str = "demo",
    device: str = "auto",
    shots: int | None = None,
    seeds: Sequence[int] | None = None,
    limit: int | None = None,
    recipe: unet.UNetRecipe | None = None,
) -> pd.DataFrame:
    """Train the controls of one data set, evaluate them beside the tuned model, and keep the table.

    Each target has models of its own. All learn from the same training and validation images, and are asked the same
    prompts about the same objects: the profile's, and ``automatic`` those that need no prompt. Trained models are
    kept where the stage ``fine_tune`` keeps its own, whose decoders are taken as they are.

    Parameters
    ----------
    dataset : str
        Registered name or ``folder:<path>``.
    profile : str
        Of ``study.yaml``; gives model, prompts, recipe and what is not given here.
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``mps``.
    shots : int, optional
        Number of training images, by default ``controls.shots``; more than there are means all.
    seeds : sequence of int, optional
        One repetition each (column ``fold``), by default ``fine_tuning.seeds``, on the committed split.
    limit : int, optional
        Most held-out images.
    recipe : UNetRecipe, optional
        Of the U-Net.

    Returns
    -------
    pandas.DataFrame
        The score table, as in ``data/results/<profile>/<dataset>.controls.parquet``. Rows by ``model`` and ``tuning``:
        the base (``none``), tuned (``decoder``) and tuned on shuffled labels (``shuffled``); ``unet`` (``scratch``);
        ``linear_probe`` (``probe``); ``otsu`` and ``ellipse``. Where labels cannot be shuffled there are no such rows,
        and a warning says why. In the mode ``automatic`` there are no tuned rows but of a model that was tuned for it.

    Raises
    ------
    StudyError
        As :func:`samstudy.stages.tuned_models`.
    """
    plan = load_profile(profile)
    tuning, source = plan.fine_tuning, load_dataset(dataset)
    base, runs = load_model(tuning.model, device), repetitions(seeds or tuning.seeds)
    count = min(shots or tuning.controls.shots, max(1, len(source.ids("train"))))
    seeds = tuple(one.seed for one in runs)
    tuned = list(tuned_models(dataset, profile, base, (count,), None, seeds, device, (METHOD,), folds=1))
    prompted = [one for one in tuned if one[1].prompts != (AUTOMATIC,)]
    automatic = {targets: models for targets, own, models in tuned if own.prompts == (AUTOMATIC,)}
    tables, left_out = [], ""
    for targets, own, models in prompted:
        about = source, count, own, profile, dataset
        whole: list[WholeImageModel] = []
        for one in runs:
            whole += [_unet(base.device, one, *about, recipe), _probe(base, one, *about)]
        try:
            mixed = [_shuffled(base, one, *about) for one in runs]
        except StudyError as error:
            mixed, left_out = [], str(error)
            warnings.warn(f"left out: {error}", stacklevel=2)
        untrained: list[Model] = [load_model("otsu"), load_model("ellipse")]
        asked = {tuple(own.prompts): [base, *models, *mixed, *whole, *untrained]}
        asked[AUTOMATIC,] = [base, *automatic.get(targets, ()), *whole, *untrained]
        tables += [
            evaluate(source, these, modes, None, limit or tuning.limit, plan.seed, targets=targets)
            for modes, these in asked.items()
        ]
    facts = {
        "recipe": asdict(replace(prompted[0][1], targets=())),
        "unet": asdict(recipe or unet.UNetRecipe()),
    }
    if left_out:
        facts["left_out"] = {shuffled.TUNING: left_out}
    table = pd.concat(tables, ignore_index=True)
    write_table(table, table_path(profile, dataset, STAGE), config_of(source, plan.seed, **facts))
    return table


def read(profile: str = "demo") -> pd.DataFrame:
    """Put together the tables of :func:`run` over the data sets that the profile controls.

    Returns
    -------
    pandas.DataFrame
        Without rows where no table has been made.
    """
    paths = [table_path(profile, name, STAGE) for name in load_profile(profile).fine_tuning.controls.datasets]
    found = [read_table(path) for path in paths if path.is_file()]
    return pd.concat(found, ignore_index=True) if found else make_table([])


def _unet(
    device: torch.device,
    one: Repetition,
    source: Dataset,
    count: int,
    own: Recipe,
    profile: str,
    dataset: str,
    recipe: unet.UNetRecipe | None,
) -> unet.UNetModel:
    recipe = replace(recipe or unet.UNetRecipe(), max_val_images=own.max_val_images)
    path = kept_path(profile, dataset, source, None, count, unet.TUNING, one, own, asdict(recipe))
    if not path.is_file():
        model = unet.train_unet(source, own.targets, count, one.seed, recipe, device)
        model.history["fold"] = one.number
        unet.save_unet(model, path)
    return unet.load_unet(path, device)


def _probe(
    base: SamModel, one: Repetition, source: Dataset, count: int, own: Recipe, profile: str, dataset: str
) -> probe.LinearProbe:
    path = kept_path(profile, dataset, source, base, count, probe.TUNING, one, own)
    if not path.is_file():
        model = probe.fit_probe(base, source, own.targets, count, one.seed, own.max_val_images)
        model.history["fold"] = one.number
        probe.save_probe(model, path)
    return probe.load_probe(path, base)


def _shuffled(
    base: SamModel, one: Repetition, source: Dataset, count: int, own: Recipe, profile: str, dataset: str
) -> SamModel:
    mixed = shuffled.ShuffledLabels(source, one.seed)
    return tuned_model(base, mixed, count, METHOD, one, own, profile, dataset, shuffled.TUNING)
