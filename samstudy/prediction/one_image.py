"""One new image: read, embedded, asked; its masks and overlay written, a row for each object."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from samstudy.embeddings import embed
from samstudy.errors import DataError, StudyError
from samstudy.figures.common import shorten
from samstudy.figures.segmented import draw_segmented
from samstudy.images import ImageFile, read_image
from samstudy.inference import Embedding
from samstudy.models import SamModel
from samstudy.paths import written_whole
from samstudy.prediction.mask_files import MaskWriter
from samstudy.prediction.pictures import Picture
from samstudy.prediction.prompt_file import Asked
from samstudy.prompts.mode import authors_choice
from samstudy.types import AUTOMATIC, Prediction, Prompt

_DPI = 200
_MOST_MASK_BYTES = 256 << 20

Row = dict[str, Any]


@dataclass(frozen=True)
class Work:
    """What is the same for every image of a run.

    Attributes
    ----------
    model : SamModel
    output : pathlib.Path
        Folder of the results.
    asked : mapping of str to sequence of Asked, or None
        By image; None asks each image as a whole.
    writer : MaskWriter
    window : tuple of float or None
        (level, width) for more than 8 bits.
    """

    model: SamModel
    output: Path
    asked: Mapping[str, Sequence[Asked]] | None
    writer: MaskWriter
    window: tuple[float, float] | None


def image_rows(work: Work, picture: Picture) -> Iterator[Row]:
    """Segment one image, write its masks and overlay, and yield a row for each object.

    What cannot be segmented is a row with ``status`` error and the reason. See
    :data:`samstudy.prediction.segment.COLUMNS`.

    Raises
    ------
    StudyError
        If a file cannot be written.
    """
    known = _known(work.model, picture)
    try:
        image = read_image(picture.file, picture.index, work.window)
        # prompts are corrected and asked again, whole images hardly ever
        embedding = embed(work.model, image.rgb, cache=work.asked is not None)
    except (StudyError, RuntimeError) as error:
        names = [one.object_id for one in work.asked[picture.image_id]] if work.asked else [""]
        yield from (known | _failed(name, error) for name in names)
        return
    height, width = image.rgb.shape[:2]
    known |= {"height": height, "width": width, "note": _note(image, picture)}
    asked, rows = _usable(work, picture, (height, width))
    masks: dict[str, np.ndarray] = {}
    try:
        for one, prediction in _answers(work.model, embedding, asked):
            row, masks[one.object_id] = _chosen(one, prediction, image.spacing_mm)
            rows.append(row)
    except (StudyError, RuntimeError) as error:
        rows += [_failed(one.object_id, error) for one in asked if one.object_id not in masks]
    if masks:
        known["overlay"] = _draw(work, picture, image, masks, asked)
    for row in rows:
        mask = masks.get(row["object_id"])
        path = "" if mask is None else work.writer.write(picture, row["object_id"], mask)
        yield known | row | {"mask": path}


def _known(model: SamModel, picture: Picture) -> Row:
    return {
        "image_id": picture.image_id,
        "image": picture.file.name,
        "model": model.name,
        "tuning": model.tuning,
        "shots": model.shots,
        "weights_sha": model.weights_sha,
    }


def _failed(object_id: str, error: Exception) -> Row:
    return {"object_id": object_id, "status": "error", "error": str(error)}


def _note(image: ImageFile, picture: Picture) -> str:
    notes = list(image.notes)
    if image.orientation != 1:
        notes.append(
            f"has the EXIF orientation tag {image.orientation}, not applied: pixels are taken as stored"
        )
    return f"{picture.file.name} {'; '.join(notes)}" if notes else ""


def _usable(work: Work, picture: Picture, size_hw: tuple[int, int]) -> tuple[list[Asked], list[Row]]:
    """What is asked about an image, and rows for what lies outside it."""
    if work.asked is None:
        whole = np.array([0, 0, size_hw[1] - 1, size_hw[0] - 1], np.float32)
        return [Asked(_automatic_name(work.model), Prompt(box_xyxy=whole, mode=AUTOMATIC), AUTOMATIC)], []
    usable, faults = [], []
    for one in work.asked[picture.image_id]:
        try:
            one.check_inside(size_hw, picture.file.name)
            usable.append(one)
        except DataError as error:
            faults.append(_failed(one.object_id, error))
    return usable, faults


def _automatic_name(model: SamModel) -> str:
    """Name of what a model finds unasked: the one target it was tuned on, else ``mask``."""
    targets = model.history.get("recipe", {}).get("targets") or ()
    return targets[0] if len(targets) == 1 else "mask"


def _answers(
    model: SamModel, embedding: Embedding, asked: Sequence[Asked]
) -> Iterator[tuple[Asked, Prediction]]:
    """Predict a few objects at a time: all four masks of many, whole, are large."""
    height, width = embedding.size_hw
    at_once = max(1, _MOST_MASK_BYTES // (4 * height * width))
    for start in range(0, len(asked), at_once):
        some = asked[start : start + at_once]
        yield from zip(some, model.predict(embedding, [one.prompt for one in some]), strict=True)


def _chosen(
    one: Asked, prediction: Prediction, spacing_mm: tuple[float, float] | None
) -> tuple[Row, np.ndarray]:
    choice = authors_choice(one.prompt)
    index = prediction.choose(choice)
    # a copy: the other three need not be kept
    mask = prediction.masks[index].copy()
    n_px = int(mask.sum())
    row = {
        "object_id": one.object_id,
        "iou_pred": round(float(prediction.iou_pred[index]), 4),
        "n_pred_px": n_px,
        "area_mm2": round(n_px * spacing_mm[0] * spacing_mm[1], 3) if spacing_mm else None,
        "prompt": _words(one.prompt),
        "prompt_source": one.where,
        "mask_choice": choice,
        "status": "ok" if n_px else "pred_empty",
    }
    return row, mask


def _words(prompt: Prompt) -> str:
    """``"box 120 84 171 140; point 96 110; background 130 60"``."""
    words = [] if prompt.box_xyxy is None else ["box " + " ".join(f"{v:g}" for v in prompt.box_xyxy)]
    for (x, y), label in zip(prompt.points_xy, prompt.point_labels, strict=True):
        words.append(f"{'point' if label else 'background'} {x:g} {y:g}")
    return "; ".join(words)


def _draw(
    work: Work, picture: Picture, image: ImageFile, masks: dict[str, np.ndarray], asked: Sequence[Asked]
) -> str:
    model = work.model
    title = f"{shorten(picture.image_id, 40)}: {model.name}"
    if model.tuning != "none":
        title += f", {model.tuning} tuned on {model.shots} image{'' if model.shots == 1 else 's'}"
    prompts = [] if work.asked is None else [one.prompt for one in asked]
    figure = draw_segmented(image.rgb, masks, prompts, title, image.spacing_mm)
    path = f"overlays/{picture.image_id}.png"
    with written_whole(work.output / path) as temporary:
        figure.savefig(temporary, dpi=_DPI, metadata={"Software": None})
    plt.close(figure)
    return path
