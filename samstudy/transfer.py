"""What does a decoder tuned on one data set do on the others, and what has it forgotten of general-domain images?

Every tuned decoder of a data set is asked about a few images of each other data set of the profile, with the prompts it
was tuned with, and so is its base: the same objects before and after.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from samstudy.datasets import Dataset, load_dataset
from samstudy.errors import StudyError
from samstudy.evaluation import evaluate
from samstudy.models import SamModel, load_model
from samstudy.paths import table_path
from samstudy.present import present_datasets, tunable_datasets
from samstudy.results import KEY, make_table, read_provenance, read_table, write_table
from samstudy.stages import tuned_models
from samstudy.study import load_study
from samstudy.study import profile as load_profile
from samstudy.transferred import ORIGIN
from samstudy.types import AUTOMATIC

STAGE = "transfer"
LEAST_CONTROL_IMAGES = 10
"""Images of a general-domain control that are asked at least: of fewer groups there is no good interval."""

ALL_TARGETS = "all targets"


def run(
    dataset: str,
    profile: str = "demo",
    device: str = "auto",
    *,
    limit: int | None = None,
    model: str | None = None,
    shots: int | None = None,
    prompts: Sequence[str] | None = None,
    seed: int | None = None,
    method: str = "decoder",
) -> pd.DataFrame:
    """Try the tuned models of a data set on every other data set of the profile, and keep the table.

    Parameters
    ----------
    dataset, profile, device
        As in :func:`samstudy.stages.fine_tune`, whose models are tried.
    limit : int, optional
        Most images of each other data set; that of the profile when not given. Of a general-domain control it is
        at least :data:`LEAST_CONTROL_IMAGES`. 0: nothing is tried and no file is written.
    model, prompts
        What that stage was given beside the profile.
    shots, seed : int, optional
        Which of the tuned models: that of the most training images and the first seed when not given.
    method : str
        How they were tuned. A model whose input has another size than its base (one for ``automatic``) is left out,
        as the embeddings of its base are of no use to it; the table's metadata says so.

    Returns
    -------
    pandas.DataFrame
        Score table with the columns :data:`samstudy.transferred.ORIGIN`, as :func:`read_file` reads it from
        ``data/results/<profile>/<dataset>.transfer.parquet``: rows of the base, then of each tuned model, on the
        test images of each data set. On its own data set a model is asked about its own target alone.
    """
    plan, study, source = load_profile(profile), load_study(), load_dataset(dataset)
    limit = plan.fine_tuning.transfer_limit if limit is None else limit
    if not limit:
        return with_origin(make_table([]), {})
    base = load_model(model or plan.fine_tuning.model, device)
    curve = plan.fine_tuning.curve_of(dataset)
    tuned, left_out = {}, {}
    for targets, recipe, models in tuned_models(
        dataset, profile, base, [shots or max(curve.shots)], prompts, [curve.seeds[0] if seed is None else seed],
        device, [method],
    ):  # fmt: skip
        if AUTOMATIC in recipe.prompts or models[0].image_size != base.image_size:
            left_out[", ".join(recipe.prompts)] = (
                "a model of its own, not answering the prompts of the others"
            )
        else:
            tuned[targets] = models[0]
    asked = tuple(prompts or plan.fine_tuning.prompts)
    general = study.hypotheses.general_domain
    # on its own data set as the stage fine_tune asks, whose rows are cached
    tables = [_own(source, base, tuned, asked, plan.fine_tuning.limit, plan.seed)]
    for name in present_datasets(profile):
        if name == dataset:
            continue
        most = max(limit, LEAST_CONTROL_IMAGES) if name in general else limit
        try:
            tables.append(_other(load_dataset(name), base, tuned, asked, most, plan.seed))
        except StudyError as error:
            left_out[name] = str(error)
    config = {
        "study_sha": study.sha256, "split_sha": source.fingerprint(), "seed": plan.seed, "limit": limit,
        "tuned_on": source.info.name, "general_domain": list(general), "left_out": left_out,
        "tuned": {", ".join(targets) or ALL_TARGETS: each.weights_sha for targets, each in tuned.items()},
    }  # fmt: skip
    path = table_path(profile, dataset, STAGE)
    write_table(pd.concat(tables, ignore_index=True), path, config)
    return read_file(path)


_Tuned = Mapping[tuple[str, ...], SamModel]


def _own(
    source: Dataset, base: SamModel, tuned: _Tuned, prompts: Sequence[str], limit: int | None, seed: int
) -> pd.DataFrame:
    tables = [
        evaluate(source, [base, model], prompts, None, limit, seed, targets=targets)
        for targets, model in tuned.items()
    ]
    return pd.concat(tables, ignore_index=True)


def _other(
    other: Dataset, base: SamModel, tuned: _Tuned, prompts: Sequence[str], limit: int, seed: int
) -> pd.DataFrame:
    # tunings that found nothing better all have the weights of the base: asked once, told apart on reading
    different = {model.weights_sha: model for model in tuned.values()}
    return evaluate(other, [base, *different.values()], prompts, None, limit, seed)


def read(profile: str = "demo") -> pd.DataFrame:
    """Put together the tables of :func:`run` over all data sets of a profile.

    Returns
    -------
    pandas.DataFrame
        As of :func:`run`; the base, which every table holds, once. Without rows where there is no table.
    """
    paths = [table_path(profile, name, STAGE) for name in tunable_datasets(profile)]
    found = [read_file(path) for path in paths if path.is_file()]
    table = pd.concat(found, ignore_index=True) if found else with_origin(make_table([]), {})
    return table.drop_duplicates([*KEY, *ORIGIN], ignore_index=True)


def read_file(path: str | Path) -> pd.DataFrame:
    """Read one table of :func:`run`, with the columns :data:`samstudy.transferred.ORIGIN`.

    Raises
    ------
    StudyError
        If the file is missing, damaged or not one of this stage.
    """
    table, config = read_table(path), read_provenance(path)["config"]
    if "tuned_on" not in config:
        raise StudyError(f"{path} does not say what its models were tuned on: it is no table of this stage.")
    return with_origin(table, config)


def with_origin(table: pd.DataFrame, config: Mapping[str, Any]) -> pd.DataFrame:
    """Add the columns :data:`samstudy.transferred.ORIGIN` to a score table.

    Parameters
    ----------
    table : pandas.DataFrame
        Rows of the base (``tuning == "none"``) and of tuned models.
    config : mapping
        ``tuned_on``, the data set; ``tuned``, from target to hash of the weights; ``general_domain``, names.

    Returns
    -------
    pandas.DataFrame
        Rows of a model that several targets share (a tuning that found nothing better has the weights of its
        base) are there once for each of them.
    """
    tuned_on, general = config.get("tuned_on", ""), config.get("general_domain", ())
    trial = pd.Series("other", table.index).mask(table["dataset"].isin(general), "general")
    table = table.assign(tuned_on=tuned_on, trial=trial.mask(table["dataset"] == tuned_on, "own"))
    is_base, is_own = table["tuning"] == "none", table["trial"] == "own"
    parts = [table[is_base].assign(tuned_on="", tuned_target="", trial="")]
    for target, sha in config.get("tuned", {}).items():
        mine = ~is_own | (table["target"] == target) | (target == ALL_TARGETS)
        parts.append(table[~is_base & (table["weights_sha"] == sha) & mine].assign(tuned_target=target))
    columns = [name for name in table if name not in ORIGIN]
    return pd.concat(parts, ignore_index=True)[[*columns, *ORIGIN]]
