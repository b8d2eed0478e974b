"""New images -> a folder of masks, overlays and a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from samstudy.automatic import has_learnt_prompt
from samstudy.datasets.paired import checked_window
from samstudy.errors import StudyError
from samstudy.models import SamModel, load_model
from samstudy.paths import check_writable, written_whole
from samstudy.prediction.mask_files import MaskWriter
from samstudy.prediction.one_image import Row, Work, image_rows
from samstudy.prediction.pictures import list_pictures
from samstudy.prediction.prompt_file import read_prompt_file

TABLE = "predictions.csv"
COLUMNS = tuple(
    (
        "image_id image object_id iou_pred n_pred_px area_mm2 height width mask overlay prompt prompt_source "
        "mask_choice model tuning shots weights_sha status error note"
    ).split()
)
"""Columns of the table; those that the score table has too mean the same. ``status`` is ok, pred_empty or error;
``mask`` and ``overlay`` are paths below the output folder; ``area_mm2`` is there where the file states its spacing."""

_WHOLE = ["n_pred_px", "height", "width", "shots"]


@dataclass(frozen=True)
class PredictionReport:
    """What a prediction leaves behind.

    Attributes
    ----------
    table : pandas.DataFrame
        Columns of :data:`COLUMNS`.
    summary : str
        For a person to read.
    problems : list of str
        A sentence for each object or image that has no mask.
    """

    table: pd.DataFrame
    summary: str
    problems: list[str] = field(default_factory=list)


def predict_images(
    weights: str | Path,
    images: Sequence[str | Path],
    output: str | Path,
    *,
    prompts: str | Path | None = None,
    window: tuple[float, float] | None = None,
    device: str = "auto",
    base: str | Path | None = None,
    progress: bool = True,
) -> PredictionReport:
    """Segment images that have no reference.

    Written are ``masks/<image>/<object>`` (see ``samstudy.prediction.mask_files``) at the size of the image,
    ``overlays/<image>.png`` and ``predictions.csv``. With the images copied to ``images/`` beside them, the folder
    is a data set: masks that were corrected can be tuned on.

    Parameters
    ----------
    weights : str or pathlib.Path
        Name or file of a SAM, tuned or not, see :func:`samstudy.load_model`.
    images : sequence of str or pathlib.Path
        Files and folders; a volume is segmented slice by slice.
    output : str or pathlib.Path
        Folder of the results.
    prompts : str or pathlib.Path, optional
        Boxes and points, see ``samstudy.prediction.prompt_lines``; images without any are passed over. When not
        given, the whole image is the box, mode ``automatic``: what a model tuned so segments without being asked.
    window : tuple of float, optional
        (level, width) for more than 8 bits, as in ``samstudy.images``.
    device : str
        See :func:`samstudy.models.resolve_device`.
    base : str or pathlib.Path, optional
        What the weights were tuned from, where that file has moved; see :func:`samstudy.load_model`.
    progress : bool
        Show a bar.

    Returns
    -------
    PredictionReport
        Masks are those SAM's authors would take: the best of three by predicted IoU for a single point, else the
        single one. An image that cannot be read and a prompt outside its image are rows with ``status`` error;
        the others are segmented.

    Raises
    ------
    StudyError
        For a model that is no SAM, faults in the prompts file, no image, or an output folder that cannot be
        written or holds an earlier prediction: nothing has been computed.
    """
    output, window = Path(output), checked_window(window)
    _refuse_earlier(output)
    pictures, ignored = list_pictures(images)
    asked = None if prompts is None else read_prompt_file(prompts, pictures)
    model = load_model(weights, device, base)
    if not isinstance(model, SamModel):
        raise StudyError(
            f"the model {model.name!r} sees no image: predict with a SAM, such as vit_t or vit_b."
        )
    check_writable(output)
    work = Work(model, output, asked, MaskWriter(output), window)
    todo = [picture for picture in pictures if asked is None or picture.image_id in asked]
    rows: list[Row] = []
    for picture in tqdm(todo, desc="segmenting", unit="image", disable=not progress):
        rows += image_rows(work, picture)
    work.writer.finish()
    table = pd.DataFrame(rows, columns=list(COLUMNS)).astype(dict.fromkeys(_WHOLE, "Int64"))
    with written_whole(output / TABLE) as temporary:
        table.to_csv(temporary, index=False)
    lines = [*_counts(table, len(pictures) - len(todo), ignored), f"{output}: {TABLE}, masks, overlays"]
    if asked is None and not has_learnt_prompt(model.sam):
        lines.insert(
            1, f"{model.name} has not learnt to answer unasked: tune it with --prompts automatic for that."
        )
    return PredictionReport(table, "\n".join(lines), _problems(table))


def _refuse_earlier(output: Path) -> None:
    if (output / TABLE).exists():
        raise StudyError(
            f"{output} holds the predictions of an earlier run, whose masks may have been corrected since: choose "
            f"another folder, or remove {output / TABLE} to write over them."
        )


def _counts(table: pd.DataFrame, n_unasked: int, ignored: Sequence[str]) -> list[str]:
    made = table[table["status"] != "error"]
    n_empty, n_failed = (int((table["status"] == status).sum()) for status in ("pred_empty", "error"))
    lines = [
        f"{len(made)} masks in {made['image_id'].nunique()} images, {n_empty} of them empty; {n_failed} failed."
    ]
    if n_unasked:
        lines.append(f"{n_unasked} images without a prompt were passed over.")
    if ignored:
        more = ", ..." if len(ignored) > 4 else ""
        lines.append(f"Not read, no images: {', '.join(ignored[:4])}{more}.")
    return lines


def _problems(table: pd.DataFrame) -> list[str]:
    failed = table[table["status"] == "error"]
    return [
        f"{row.image_id}{f' {row.object_id}' if row.object_id else ''}: {row.error}"
        for row in failed.itertuples()
    ]
