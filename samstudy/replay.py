"""The masks behind rows of a score table, made again for looking at them: a table keeps scores, not masks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from samstudy.datasets import Dataset
from samstudy.embeddings import embed
from samstudy.evaluation import prompt_for
from samstudy.models import Model
from samstudy.types import Prompt, Sample


def predict_sample(
    dataset: Dataset, model: Model, sample: Sample, rows: pd.DataFrame, seed: int = 0
) -> list[tuple[str, Prompt, np.ndarray]]:
    """Make again the masks behind rows of a score table that belong to one image, for looking at them.

    Parameters
    ----------
    dataset, model
        Those of the rows; a baseline must have been prepared.
    sample : Sample
        The image, loaded.
    rows : pandas.DataFrame
        Needs ``object_id``, ``prompt`` and ``mask_choice``.
    seed : int
        Base seed of the evaluation.

    Returns
    -------
    list of (str, Prompt, numpy.ndarray)
        Per row: object_id, the prompt, and the candidate (bool H x W) that the row's mask choice takes.
    """
    prompts = [prompt_for(dataset, sample, row.object_id, row.prompt, seed) for row in rows.itertuples()]
    everywhere = np.ones(sample.size_hw, bool) if sample.valid is None else sample.valid
    found = []
    for row, prompt, prediction in zip(
        rows.itertuples(), prompts, model.predict(embed(model, sample.image), prompts), strict=True
    ):
        masks = prediction.masks & everywhere
        reference = sample.labels[row.object_id] & everywhere
        found.append(
            (
                row.object_id,
                prompt,
                masks[replace(prediction, masks=masks).choose(row.mask_choice, reference)],
            )
        )
    return found


def predict_row(
    dataset: Dataset, model: Model, row: pd.Series, seed: int = 0
) -> tuple[Sample, Prompt, np.ndarray]:
    """Make again the mask behind one row of a score table.

    Parameters are those of :func:`predict_sample`, with ``image_id`` in the row.

    Returns
    -------
    sample : Sample
    prompt : Prompt
    mask : numpy.ndarray, bool, H x W
    """
    sample = dataset.load(row["image_id"])
    _, prompt, mask = predict_sample(dataset, model, sample, row.to_frame().T, seed)[0]
    return sample, prompt, mask
