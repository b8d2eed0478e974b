"""Figures on disk: PDF and PNG that come out the same on every run, and a sidecar that says where from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from samstudy.errors import StudyError
from samstudy.figures.common import info_of, is_synthetic, stamps, style
from samstudy.paths import figures_dir, written_whole
from samstudy.provenance import provenance, record_output, table_hash

# Without time and library version, so that two runs of the same code write the same bytes.
_PDF_METADATA = {"Creator": None, "Producer": None, "CreationDate": None}
_PNG_METADATA = {"Software": None}


def save_figure(
    fig: Figure,
    stem: str,
    *,
    table: pd.DataFrame | None = None,
    profile: str = "demo",
    dataset: Any = None,
    caption: str = "",
    folder: str | Path | None = None,
) -> list[Path]:
    """Write a figure as PDF and PNG (300 dpi) with a JSON sidecar.

    Parameters
    ----------
    fig : matplotlib.figure.Figure
        Stays open: closing it is the caller's choice.
    stem : str
        File name without suffix, e.g. ``"mni152_scores"``.
    table : pandas.DataFrame, optional
        The table the figure was drawn from; its hash goes into the sidecar.
    profile : str
        Profile of ``study.yaml``; gives the folder.
    dataset : Dataset or DatasetInfo, optional
        Named in the sidecar, with whether its images are drawn.
    caption : str
        Caption to keep beside the figure; see :func:`samstudy.figures.standard_caption`.
    folder : str or pathlib.Path, optional
        Where to write instead of the profile's folder.

    Returns
    -------
    list of pathlib.Path
        PDF, PNG, JSON. The time of writing is in the JSON only.

    Raises
    ------
    StudyError
        If the stem is no plain file name, or the folder cannot be written.
    """
    if not stem or Path(stem).name != stem or stem.startswith("."):
        raise StudyError(
            f"{stem!r} is no plain file name; give a stem such as 'mni152_scores' and folder=... ."
        )
    place = Path(folder) if folder is not None else figures_dir(profile)
    written = []
    with style():
        for suffix, metadata in ((".pdf", _PDF_METADATA), (".png", _PNG_METADATA)):
            path = place / f"{stem}{suffix}"
            with written_whole(path) as temporary:
                fig.savefig(temporary, metadata=metadata)
            written.append(path)
    path = place / f"{stem}.json"
    with written_whole(path) as temporary:
        temporary.write_text(
            json.dumps(_sidecar(stem, table, dataset, caption), indent=2) + "\n", encoding="utf-8"
        )
    written.append(path)
    for path in written:
        record_output(path)
    return written


def _sidecar(stem: str, table: pd.DataFrame | None, dataset: Any, caption: str) -> dict[str, Any]:
    info = info_of(dataset)
    named = sorted(table["dataset"].astype(str).unique()) if table is not None and "dataset" in table else []
    return {
        "figure": stem,
        "caption": caption,
        "dataset": getattr(info, "name", None) or ", ".join(named) or None,
        "synthetic": is_synthetic(table, info),
        "stamps": stamps(table, info),
        "table_hash": None if table is None else table_hash(table),
        "n_rows": None if table is None else len(table),
        **provenance(),
    }
