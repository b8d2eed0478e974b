"""What everything mode finds: share of objects among its proposals, and how many proposals that takes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from tqdm import tqdm

from samstudy.bootstrap import mean_interval
from samstudy.cells import cells, counts, group_codes, left_out, needs, refuse_pooling
from samstudy.datasets import Dataset
from samstudy.embeddings import embed
from samstudy.errors import DataError, StudyError
from samstudy.everything import n_proposals
from samstudy.models import Model
from samstudy.prompts import PROMPTS
from samstudy.seeds import rng_for
from samstudy.statistics import GRID
from samstudy.types import Prompt


def everything_modes() -> list[str]:
    """Names of the registered modes whose answers are proposals."""
    return [name for name in PROMPTS if "single" not in PROMPTS[name].choices]


def object_recall(
    table: pd.DataFrame,
    thresholds: Sequence[float] = (0.5, 0.75),
    by: Sequence[str] = GRID,
    seed: int = 0,
    n_boot: int = 2000,
) -> pd.DataFrame:
    """Share of objects that one of the proposals covers with at least a given IoU.

    The best-matching proposal is the ``oracle`` row of an object: it is chosen by the reference. Proposals of other
    things cost nothing here; their number is told by :func:`count_proposals`.

    Parameters
    ----------
    table : pandas.DataFrame
        Score table with rows of everything mode.
    thresholds : sequence of float
        IoU from which an object counts as found.
    by : sequence of str
        Columns to split by.
    seed, n_boot : int
        Seed and number of bootstrap resamples over groups.

    Returns
    -------
    pandas.DataFrame
        One row per cell and threshold: ``by``; ``mask_choice`` (oracle); ``threshold_iou``; counts and ``left_out``
        as in :func:`samstudy.statistics.summarise`; ``n_found``, ``recall`` with ``ci_low ci_high``; ``note``.

    Raises
    ------
    StudyError
        If the table has no such rows, or a cell would pool what must not be pooled.
    """
    needs(table, [*by, "iou", "prompt", "mask_choice"])
    rows = table[table["prompt"].isin(everything_modes()) & (table["mask_choice"] == "oracle")]
    if rows.empty:
        raise StudyError(
            f"the table has no oracle rows of everything mode; evaluate the prompt {' or '.join(everything_modes())}."
        )
    found = []
    for key, cell in cells(rows, by):
        has_score = cell["iou"].notna()
        scored = cell[has_score]
        refuse_pooling(scored, "iou")
        for threshold in thresholds:
            hit = (scored["iou"] >= threshold).to_numpy(np.float64)
            low, high, note = mean_interval(hit, group_codes(scored), rng_for(seed, "bootstrap"), n_boot)
            found.append(
                key
                | {"mask_choice": "oracle", "threshold_iou": threshold}
                | counts(scored)
                | left_out(cell[~has_score], "iou")
                | {"n_found": int(hit.sum()), "recall": hit.mean() if len(hit) else np.nan}
                | {"ci_low": low, "ci_high": high, "note": note}
            )
    return pd.DataFrame(found)


def count_proposals(
    dataset: Dataset,
    models: Sequence[Model],
    ids: Sequence[str],
    mode: str = "everything",
    cache: bool = True,
    progress: bool = True,
) -> pd.DataFrame:
    """Count what everything mode proposes in each image.

    Parameters
    ----------
    dataset : Dataset
        Where the images are.
    models : sequence of Model
        Loaded; baselines propose nothing.
    ids : sequence of str
        Images, e.g. those of a score table.
    mode : str
        A name of :func:`everything_modes`.
    cache : bool
        Take embeddings and proposals from the cache, where an evaluation left them.
    progress : bool
        Show a progress bar.

    Returns
    -------
    pandas.DataFrame
        Columns ``dataset image_id group_id model tuning shots prompt n_proposals``; images that cannot be read are
        passed over, as the evaluation reports them.

    Raises
    ------
    StudyError
        If the mode is unknown or not one of everything mode.
    """
    if mode not in everything_modes():
        raise StudyError(f"{mode!r} is not everything mode: use {' or '.join(everything_modes())}.")
    anywhere = np.ones((1, 1), bool)
    prompt: Prompt = PROMPTS[mode](anywhere, rng_for(0))
    rows = []
    for image_id in tqdm(ids, desc=f"{dataset.info.name} proposals", unit="image", disable=not progress):
        try:
            sample = dataset.load(image_id)
        except DataError:
            continue
        known = {"dataset": dataset.info.name, "image_id": image_id, "group_id": sample.group_id}
        for model in models:
            (prediction,) = model.predict(embed(model, sample.image, cache=cache), [prompt])
            of_model = {"model": model.name, "tuning": model.tuning, "shots": model.shots, "prompt": mode}
            rows.append(known | of_model | {"n_proposals": n_proposals(prediction)})
    columns = ["dataset", "image_id", "group_id", "model", "tuning", "shots", "prompt", "n_proposals"]
    return pd.DataFrame(rows, columns=columns)
