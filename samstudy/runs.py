"""One data set, evaluated or tuned into a folder: what the commands ``run`` and ``finetune`` do."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from tqdm import tqdm

from samstudy.datasets import Dataset, load_dataset
from samstudy.evaluation import evaluate
from samstudy.figures import save_figure, standard_caption
from samstudy.figures.image import draw_image
from samstudy.models import Model, SamModel, load_model
from samstudy.paths import check_writable, written_whole
from samstudy.prompts import PROMPTS
from samstudy.results import write_table
from samstudy.statistics import headline, paired_gain, summarise
from samstudy.tuning import choose_recipe, finetune, save_tuned
from samstudy.types import AUTOMATIC

DEFAULT_SHOTS = 10


@dataclass(frozen=True)
class RunReport:
    """What a command leaves behind.

    Attributes
    ----------
    table : pandas.DataFrame
        The score table.
    summary : str
        For a person to read.
    problems : list of str
        A sentence per image or file that could not be used; empty when the run is complete.
    """

    table: pd.DataFrame
    summary: str
    problems: list[str] = field(default_factory=list)


def run_evaluation(
    dataset: str,
    models: Sequence[str],
    prompts: Sequence[str],
    output: Path,
    *,
    root: Path | None = None,
    split: str | None = None,
    limit: int | None = None,
    seed: int = 0,
    device: str = "auto",
    n_overlays: int = 24,
    scheduler: str | None = None,
) -> RunReport:
    """Write ``scores.parquet``, ``scores.csv`` and ``overlays/<image>.png`` (and PDF) into a folder.

    Parameters
    ----------
    dataset, models, prompts
        Names, as in :func:`samstudy.evaluate`; ``root`` is where official files are.
    output : pathlib.Path
        Made where absent; whether it can be written is found out before anything is computed.
    n_overlays : int
        At most so many images are drawn, evenly spaced; 0 for none.
    scheduler : str, optional
        As in :func:`samstudy.evaluate`.

    Raises
    ------
    StudyError
        For bad names or an output folder that cannot be written: nothing has been computed.
    """
    for mode in prompts:
        PROMPTS[mode]
    source = load_dataset(dataset, root=root)
    loaded = [load_model(name, device) for name in models]
    check_writable(output)
    table = evaluate(source, loaded, prompts, split=split, limit=limit, seed=seed, scheduler=scheduler)
    _write_scores(table, output, source, seed)
    problems = _problems(table) + source.listing_errors()
    n_drawn = _draw(source, table, loaded, output / "overlays", n_overlays, seed)
    files = f"{output}: scores.parquet, scores.csv, overlays of {n_drawn} images"
    return RunReport(table, f"{_summary(table)}\n{files}", problems)


def run_finetuning(
    dataset: str,
    model: str,
    shots: int | None,
    prompts: Sequence[str],
    output: Path,
    *,
    root: Path | None = None,
    split: str | None = None,
    limit: int | None = None,
    seed: int = 0,
    device: str = "auto",
    method: str = "decoder",
    targets: Sequence[str] = (),
    **settings: Any,
) -> RunReport:
    """Write ``weights.safetensors`` (+ ``.json``), ``scores.parquet`` and ``scores.csv`` into a folder.

    The base, the tuned model and the ellipse are evaluated on the same objects of ``split``, by default the
    test split, which tuning never reads. ``shots`` is the number of training images; None means
    :data:`DEFAULT_SHOTS`, or all of the training split where it has fewer. ``method`` says what is trained,
    ``targets`` what is learnt and evaluated (nothing: every target); ``settings`` are other fields of
    :class:`samstudy.tuning.Recipe`, such as ``steps``. What is not given is chosen
    (:func:`samstudy.tuning.choose_recipe`), told on standard error before the tuning, and kept in its history.

    Raises
    ------
    StudyError
        As :func:`run_evaluation`, and for too few training or validation images.
    """
    source = load_dataset(dataset, root=root)
    base = load_model(model, device)
    check_writable(output)
    if shots is None:
        shots = max(1, min(DEFAULT_SHOTS, len(source.ids("train"))))
    choice = choose_recipe(base, source, shots, prompts, targets, settings, seed)
    for reason in choice.reasons:
        tqdm.write(f"chosen: {reason}", file=sys.stderr)
    tuned = finetune(base, source, shots, method, seed, choice.recipe)
    tuned.history["chosen"] = list(choice.reasons)
    weights = save_tuned(tuned, output / "weights.safetensors")
    models = [base, tuned, load_model("ellipse")]
    table = evaluate(source, models, prompts, split or "test", limit, seed, targets=targets)
    _write_scores(table, output, source, seed)
    words = [_gains(table), _kept(tuned), _files(weights), _next_command(weights, choice.recipe.prompts)]
    return RunReport(table, "\n".join(words), _problems(table))


def _gains(table: pd.DataFrame) -> str:
    """Before and after, a line for each target and prompt."""
    is_sam = table["model"] != "ellipse"
    before, after = (table[is_sam & ((table["tuning"] == "none") == untuned)] for untuned in (True, False))
    frame = paired_gain(before, after, ["target", "prompt"])
    shown = [
        "target",
        "prompt",
        "n_objects",
        "n_images",
        "n_left_out",
        "before",
        "after",
        "gain",
        "ci_low",
        "ci_high",
    ]
    return (
        "Dice on held-out images before and after tuning, the gain with its 95 % interval over groups:\n"
        + frame[shown].to_string(index=False, float_format="{:.3f}".format)
    )


def _kept(tuned: SamModel) -> str:
    """Which of the weights that tuning passed through are kept."""
    kept, n_val = tuned.history["kept"], len(tuned.history["val_ids"])
    on = f"the {n_val} validation image{'' if n_val == 1 else 's'}"
    if not kept["step"]:
        return f"All tuning was worse than the base on {on}: the weights are those of the base. More images may help."
    way = "" if kept["share"] == 1 else f", {kept['share']:.0%} of the way from the base"
    return f"Kept are the weights of step {kept['step']}{way}, chosen on {on}."


def _files(weights: Path) -> str:
    return f"{weights.parent}: weights.safetensors, weights.json, scores.parquet, scores.csv"


def _next_command(weights: Path, prompts: Sequence[str]) -> str:
    how = "--automatic" if AUTOMATIC in prompts else "--prompts BOXES.csv"
    path = shlex.quote(str(weights))
    return f"To segment new images: samstudy predict --weights {path} --images FOLDER {how} --output MASKS"


def _write_scores(table: pd.DataFrame, output: Path, source: Dataset, seed: int) -> None:
    write_table(table, output / "scores.parquet", {"split_sha": source.fingerprint(), "seed": seed})
    with written_whole(output / "scores.csv") as temporary:
        table.to_csv(temporary, index=False)


def _problems(table: pd.DataFrame) -> list[str]:
    failed = table[table["status"] == "error"].drop_duplicates(["image_id", "object_id", "error"])
    return [
        f"{row.image_id}{' ' + row.object_id if row.object_id else ''}: {row.error}"
        for row in failed.itertuples()
    ]


def _summary(table: pd.DataFrame) -> str:
    by = ["target", "model", "tuning", "shots", "prompt", "mask_choice"]
    frame = summarise(headline(table), by=by, metric="dice")
    shown = [*by, "n_objects", "n_images", "n_left_out", "mean", "ci_low", "ci_high"]
    return "Dice, mean [95 % interval over groups], each prompt at its headline mask choice:\n" + frame[
        shown
    ].to_string(index=False, float_format="{:.3f}".format)


def _draw(
    source: Dataset, table: pd.DataFrame, models: Sequence[Model], folder: Path, most: int, seed: int
) -> int:
    scored = table.loc[table["status"].isin(["ok", "pred_empty"]), "image_id"].unique()
    if most < 1 or not len(scored):
        return 0
    chosen = scored[:: max(1, -(-len(scored) // most))]
    for image_id in tqdm(chosen, desc="overlays", unit="image"):
        figure = draw_image(source, table, image_id, models, seed)
        stem = "".join(c if c.isalnum() or c in "._-" else "_" for c in image_id).lstrip(".") or "image"
        save_figure(
            figure, stem, table=table, dataset=source, caption=standard_caption(source, table), folder=folder
        )
        plt.close(figure)
    return len(chosen)
