"""The mask behind a row of a profile's score tables, made again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from samstudy.datasets import Dataset, load_dataset
from samstudy.errors import StudyError
from samstudy.metrics import score
from samstudy.models import MODELS, Model, load_model
from samstudy.paths import results_dir
from samstudy.replay import predict_row
from samstudy.results import read_table
from samstudy.study import profile as read_profile
from samstudy.types import Prompt, Sample

STAGES = ("zero_shot", "fine_tune")
_TOLERANCE = 0.0005


def read_results(profile: str, datasets: Sequence[str] = ()) -> tuple[pd.DataFrame, list[str]]:
    """Read the score tables of a profile.

    Parameters
    ----------
    profile : str
        Of ``study.yaml``.
    datasets : sequence of str
        Only these (names as in file names); by default all.

    Returns
    -------
    table : pandas.DataFrame
        Rows of all tables that can be read.
    left_out : list of str
        A sentence for each that cannot.

    Raises
    ------
    StudyError
        If none is there.
    """
    folder = results_dir(profile)
    tables, left_out = [], []
    for path in sorted(folder.glob("*.parquet")):
        dataset, _, stage = path.stem.rpartition(".")
        if stage not in STAGES or (datasets and dataset not in datasets):
            continue
        try:
            tables.append(read_table(path))
        except StudyError as error:
            left_out.append(f"{path.name}: {error}")
    if not tables:
        reasons = f" {' '.join(left_out)}" if left_out else ""
        raise StudyError(
            f"no score table can be read in {folder}: run `make all PROFILE={profile}` first.{reasons}"
        )
    return pd.concat(tables, ignore_index=True), left_out


class Replayer:
    """Makes masks of rows again; keeps the data sets and models that it has opened.

    Parameters
    ----------
    profile : str
        Gives the seed of the prompts and the folder of the tuned models.
    device : str
        See :func:`samstudy.load_model`.
    """

    def __init__(self, profile: str, device: str = "auto") -> None:
        self.profile, self.device = profile, device
        self._seed = read_profile(profile).seed
        self.dataset = lru_cache(maxsize=4)(load_dataset)
        self._models: dict[tuple, Model] = {}

    def make(self, row: pd.Series) -> tuple[Sample, Prompt, np.ndarray, str]:
        """Make the mask of a row.

        Returns
        -------
        sample : Sample
        prompt : Prompt
        mask : numpy.ndarray, bool, H x W
        remark : str
            Says so where the mask now has another Dice than the row; else ``""``.

        Raises
        ------
        StudyError
            If the data set or the model of the row is not here.
        """
        dataset = self.dataset(row["dataset"])
        sample, prompt, mask = predict_row(dataset, self._model(row, dataset), row, self._seed)
        reference = sample.reference(row["object_id"])
        valid = np.ones_like(mask) if sample.valid is None else sample.valid
        now = score(reference & valid, mask & valid, metrics=["dice"])["dice"]
        remark = ""
        if np.isfinite(row["dice"]) and abs(now - row["dice"]) > _TOLERANCE:
            remark = (
                f"The table says Dice {row['dice']:.3f}, the mask made now has {now:.3f}: weights, code or data have "
                "changed since."
            )
        return sample, prompt, mask, remark

    def _model(self, row: pd.Series, dataset: Dataset) -> Model:
        key = (
            row["model"],
            row["weights_sha"],
            row["tuning"],
            row["dataset"] if row["model"] == "ellipse" else "",
        )
        if key not in self._models:
            self._models[key] = self._find(row)
            self._models[key].prepare(dataset)
        return self._models[key]

    def _find(self, row: pd.Series) -> Model:
        if row["tuning"] == "none":
            if row["model"] not in MODELS:
                raise StudyError(
                    f"the row's model {row['model']!r} is a checkpoint file of which only the name is kept."
                )
            return load_model(row["model"], self.device)
        for path in sorted((results_dir(self.profile) / "tuned").glob("*.safetensors")):
            if _may_be(path, row):
                model = load_model(path, self.device)
                if model.weights_sha == row["weights_sha"]:
                    return model
        raise StudyError(
            f"the weights {row['weights_sha']} of the tuned {row['model']} are not in "
            f"{results_dir(self.profile) / 'tuned'}: run the notebook 20_fine_tune again."
        )


def _may_be(path: Path, row: pd.Series) -> bool:
    try:
        history = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        return history["base"] == row["model"] and history["dataset"] == row["dataset"]
    except (OSError, ValueError, KeyError):
        return False
