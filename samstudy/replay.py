"""The masks behind rows of a score table, made again for looking at them: a table keeps scores, not masks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from samstudy.datasets import Dataset
from samstudy.prompts import PROMPTS, converse
from samstudy.questions import dialogue_for
from samstudy.types import Prompt, Sample

if TYPE_CHECKING:
    from samstudy.models import Model


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
        Per row: object_id, the prompt (the last of several turns), and the candidate (bool H x W) that the
        row's mask choice takes.
    """
    # with it comes torch, which figures of a table or of a data set do not need
    from samstudy.embeddings import embed

    dialogues = [
        dialogue_for(dataset, sample, row.object_id, [PROMPTS[row.prompt]], seed) for row in rows.itertuples()
    ]
    embedding = embed(model, sample.image)
    found = {}
    for turn in converse(lambda prompts: model.predict(embedding, prompts), dialogues):
        row = rows.iloc[turn.dialogue]
        index = turn.prediction.choose(row["mask_choice"], dialogues[turn.dialogue].reference)
        found[turn.dialogue] = row["object_id"], turn.prompt, turn.prediction.masks[index]
    return [found[index] for index in range(len(dialogues))]


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
