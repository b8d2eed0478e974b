"""Compute the numbers of a finished run a second time, without the package, and compare.

    python benchmarks/recompute.py [ROOT] [--profile demo]

Reads the score tables ``data/results/<profile>/*.parquet`` below ROOT, computes tables 1, 2, 3, 5 and 6 and the tests
that ``30_summary`` prints (``recomputed.py``, ``claims.py``), and compares with ``figures/<profile>/tables`` and with
what the executed notebook shows. Prints the cells and the largest difference of each table; exits with 1 and the cells
that disagree where a number is another, or an interval farther away than resampling explains. Table 4 is measured on
images, not on scores, and is left out. No line of samstudy is used.
"""

from __future__ import annotations

import argparse
import json
import sys
from html.parser import HTMLParser
from pathlib import Path

import claims
import numpy as np
import pandas as pd
import recomputed
import yaml
from pandas.api.types import is_numeric_dtype

EXACT, PRINTED = 1e-9, 5.1e-5
"""Largest difference of a number in a file, relative above 1, and of one that is printed with four decimals."""
MOST_UNDEFINED = 0.02
"""An interval is missing where the number is undefined on a resample: this share of them makes that certain."""
_ENDS = ("ci_low", "ci_high")

KEYS = {
    "table1_dice": recomputed.CELL,
    "table1_dice_all": recomputed.CELL,
    "table2_skill": recomputed.CELL,
    "table3_gain": recomputed.CELL,
    "table5_verdicts": ["hypothesis", "model", "tuning", "prompt", "images"],
    "table6_calibration": ["model", "tuning", "shots", "prompt", "dataset"],
    "between data sets": ["model", "tuning", "shots", "prompt"],
    "over modes": ["dataset", "target", "model"],
    "tally of modes": ["model", "prompt_a", "prompt_b"],
}
"""Columns that name a cell of each table."""
_PRINTED = {"between data sets": "epsilon_squared", "over modes": "kendall_w", "tally of modes": "undecided"}


def compare(
    name: str, mine: pd.DataFrame, theirs: pd.DataFrame, tolerance: float = EXACT
) -> tuple[float, list[str]]:
    """Compare two tables of one kind, cell by cell.

    Parameters
    ----------
    name : str
        Key of :data:`KEYS`.
    mine, theirs : pandas.DataFrame
        Recomputed and given; columns that one of them lacks are not compared.
    tolerance : float
        Largest difference of numbers.

    Returns
    -------
    largest : float
        Largest difference of a number that both have, ends of intervals apart.
    wrong : list of str
        A line for each disagreement.
    """
    keys = KEYS[name]
    both = theirs.astype(dict.fromkeys(keys, str)).merge(
        mine.astype(dict.fromkeys(keys, str)), on=keys, how="outer", suffixes=("", "_mine"), indicator=True
    )
    wrong = [
        f"{_cell(row, keys)}: only in one table ({row['_merge']})"
        for _, row in both.iterrows()
        if row["_merge"] != "both"
    ]
    both, largest = both[both["_merge"] == "both"], 0.0
    for column in [c for c in mine if c in theirs and c not in (*keys, *_ENDS)]:
        given, found = both[column], both[f"{column}_mine"]
        if is_numeric_dtype(given) and is_numeric_dtype(found):
            given, found = given.to_numpy(float), found.to_numpy(float)
            gap = np.abs(given - found)
            good = (np.isnan(given) & np.isnan(found)) | (gap <= tolerance * np.maximum(1, np.abs(found)))
            largest = max(largest, float(np.nanmax(gap, initial=0)))
        else:
            good = (given.fillna("") == found.fillna("")).to_numpy()
        wrong += [
            f"{_cell(row, keys)}: {column} is {row[column]}, recomputed {row[column + '_mine']}"
            for _, row in both[~good].iterrows()
        ]
    if {*_ENDS} <= {*mine} and {*_ENDS} <= {*theirs}:
        wrong += [line for _, row in both.iterrows() for line in _of_interval(row, keys)]
    if name == "table5_verdicts":
        wrong += [line for _, row in both.iterrows() for line in _of_verdict(row, keys)]
    return largest, wrong


def _of_interval(row: pd.Series, keys: list[str]) -> list[str]:
    given, found = row[[*_ENDS]], row[[f"{end}_mine" for end in _ENDS]]
    undefined = 0.0 if np.isnan(row.get("ci_missing", np.nan)) else row["ci_missing"]
    if given.isna().any() or found.isna().any():
        is_same = given.isna().all() and (found.isna().all() or undefined > 0)
        return [] if is_same else [f"{_cell(row, keys)}: interval {[*given]}, recomputed {[*found]}"]
    wrong = (
        [f"{_cell(row, keys)}: undefined on {undefined:.0%} of the resamples"]
        if undefined > MOST_UNDEFINED
        else []
    )
    for end in _ENDS:
        low, high = row[f"{end}_from"] - EXACT, row[f"{end}_to"] + EXACT
        if not low <= row[end] <= high:
            wrong.append(
                f"{_cell(row, keys)}: {end} is {row[end]:.4f}, another resampling's lies in {low:.4f} to {high:.4f}"
            )
    return wrong


def _of_verdict(row: pd.Series, keys: list[str]) -> list[str]:
    must = claims.judge(row["side"], row["threshold"], row["ci_low"], row["ci_high"])
    return (
        []
        if row["verdict"] == must
        else [f"{_cell(row, keys)}: {row['verdict']}, its own interval says {must}"]
    )


def _cell(row: pd.Series, keys: list[str]) -> str:
    return " ".join(str(row[key]) for key in keys)


# --- what a run left ----------------------------------------------------------------------------------------


def read_scores(folder: Path, stage: str) -> pd.DataFrame:
    """Score tables of one stage, below each other."""
    tables = [pd.read_parquet(path) for path in sorted(folder.glob(f"*.{stage}.parquet"))]
    if not tables:
        raise SystemExit(f"there is no score table {folder}/*.{stage}.parquet: run `make all` first.")
    table = pd.concat(tables, ignore_index=True)
    whole = table.select_dtypes("Int64").columns
    return table.astype({column: float for column in whole if table[column].isna().any()} | {"shots": int})


class _Tables(HTMLParser):
    """Cells of the HTML tables of pandas."""

    def __init__(self) -> None:
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self.in_cell = False

    def handle_starttag(self, tag: str, attrs: object) -> None:
        """Begin a table, a row or a cell."""
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
            self.in_cell = True

    def handle_endtag(self, tag: str) -> None:
        """Leave a cell."""
        self.in_cell = self.in_cell and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        """Add to the cell."""
        if self.in_cell:
            self.tables[-1][-1][-1] += data


def read_printed(path: Path) -> list[pd.DataFrame]:
    """Tables that an executed notebook shows as DataFrames; columns and rows that it cut short are missing."""
    reader = _Tables()
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        for output in cell.get("outputs", ()):
            reader.feed("".join(output.get("data", {}).get("text/html", "")))
    found = []
    for head, *body in (table for table in reader.tables if table):
        table = pd.DataFrame([row for row in body if "..." not in row[:1]], columns=head).drop(
            columns=["", "..."], errors="ignore"
        )
        for column in table:
            numbers = pd.to_numeric(table[column], errors="coerce")
            if (numbers.notna() | (table[column] == "NaN")).all():
                table[column] = numbers
        found.append(table)
    return found


def recompute(root: Path, profile: str) -> dict[str, tuple[pd.DataFrame, pd.DataFrame | None, float]]:
    """Recomputed table, the run's own (None where it has none) and tolerance, by name."""
    results, figures = root / "data" / "results" / profile, root / "figures" / profile
    zero, tuned = read_scores(results, "zero_shot"), read_scores(results, "fine_tune")
    study = yaml.safe_load((root / "study.yaml").read_text(encoding="utf-8"))
    asked = study["profiles"][profile].get("headline", [])
    shown = zero[zero["prompt"].isin(asked)] if zero["prompt"].isin(asked).any() else zero
    is_medical = ~shown["dataset"].isin(study["hypotheses"]["general_domain"])
    answers = shown[is_medical & (shown["model"] != recomputed.BASELINE)]
    against = "box" if (answers["prompt"] == "box").any() else None
    mine = {
        "table1_dice": recomputed.dice(shown),
        "table1_dice_all": recomputed.dice(zero),
        "table2_skill": recomputed.skill(shown),
        "table3_gain": recomputed.gain(tuned),
        "table5_verdicts": claims.verdicts(study["hypotheses"], zero, tuned),
        "table6_calibration": recomputed.calibration(zero),
        "between data sets": claims.between_datasets(answers),
        "over modes": claims.over_modes(answers),
        "tally of modes": claims.tally(claims.between_modes(answers, against)),
    }
    printed = figures / "executed" / "30_summary.ipynb"
    displayed = read_printed(printed) if printed.is_file() else []
    found = {}
    for name, table in mine.items():
        path = figures / "tables" / f"{name}.csv"
        if name in _PRINTED:
            given = next((each for each in displayed if _PRINTED[name] in each), None)
        else:
            given = pd.read_csv(path) if path.is_file() else None
        if name == "table6_calibration" and given is not None:
            # the notebook shows the modes of its figures
            table = table[table["prompt"].isin(given["prompt"])]
        found[name] = table, given, PRINTED if name in _PRINTED else EXACT
    return found


def main() -> int:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", nargs="?", type=Path, default=Path(__file__).resolve().parents[1])
    parser.add_argument("--profile", default="demo")
    given = parser.parse_args()
    n_wrong = 0
    for name, (mine, theirs, tolerance) in recompute(given.root, given.profile).items():
        if theirs is None:
            print(f"{name}: not there to compare")
            continue
        largest, wrong = compare(name, mine, theirs, tolerance)
        n_wrong += len(wrong)
        print(f"{name}: {len(theirs)} cells, largest difference {largest:.1e}, {len(wrong)} disagree")
        print(*(f"  {line}" for line in wrong), sep="\n", end="\n" if wrong else "")
    return int(n_wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
