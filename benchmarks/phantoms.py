"""Set the phantoms beside real images: does what needs no learning rank on them as it does on the real ones?

    python benchmarks/phantoms.py [--samples FOLDER]

For every target of every phantom, and of the real samples of its kind where there are any: mean Dice of the ellipse
inscribed in the tight box, and of Otsu's threshold inside it. A phantom that a threshold solves would be worth nothing.
Prints a table and writes nothing.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from real_samples import LEAST_PX, SETS, otsu_in_box, overlap

from samstudy import load_dataset
from samstudy.baselines import inscribed_ellipse
from samstudy.phantoms import PHANTOMS, PREFIX
from samstudy.prompts import tight_box_xyxy
from samstudy.types import target_of

REAL = {
    ("isic", "lesion"): "isic",
    ("drishti_gs", "optic_disc"): "disc",
    ("drishti_gs", "optic_cup"): "cup",
    ("drive", "vessels"): "vessels",
    ("amos", "liver"): "chaos",
    ("chest_xray", "lungs"): "chest",
}
"""Real set of ``real_samples`` that shows a phantom's target."""


def scored(image: np.ndarray, mask: np.ndarray) -> dict[str, float]:
    """Dice of both baselines on one object."""
    box_xyxy = tight_box_xyxy(mask)
    ellipse = inscribed_ellipse(box_xyxy, mask.shape)
    return {
        "ellipse": overlap(ellipse, mask)[0],
        "otsu": overlap(otsu_in_box(image, box_xyxy), mask)[0],
    }


def of_phantom(name: str) -> Iterator[dict[str, object]]:
    """Rows of every object of a phantom."""
    dataset = load_dataset(PREFIX + name)
    for image_id in dataset.ids("all"):
        sample = dataset.load(image_id)
        for label, mask in sample.labels.items():
            if mask.sum() >= LEAST_PX:
                yield {"set": name, "target": target_of(label), "kind": "phantom"} | scored(
                    sample.image, mask
                )


def of_real(name: str, target: str, root: Path) -> Iterator[dict[str, object]]:
    """Rows of the real samples of a target; none where there are no samples."""
    kind = REAL.get((name, target))
    for _, image, masks in SETS[kind](root) if kind and root.is_dir() else ():
        for mask in masks:
            if mask.sum() >= LEAST_PX:
                yield {"set": name, "target": target, "kind": "real"} | scored(image, mask)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    beside = Path(__file__).resolve().parents[2] / "shared" / "samples"
    parser.add_argument("--samples", type=Path, default=Path(os.environ.get("SAMSTUDY_SAMPLES", beside)))
    root = parser.parse_args().samples
    rows = [row for name in PHANTOMS for row in of_phantom(name)]
    targets = dict.fromkeys((row["set"], row["target"]) for row in rows)
    rows += [row for name, target in targets for row in of_real(name, target, root)]
    table = pd.DataFrame(rows).assign(n=1)
    means = table.pivot_table(
        index=["set", "target"], columns="kind", values=["ellipse", "otsu", "n"], sort=False,
        aggfunc={"ellipse": "mean", "otsu": "mean", "n": "sum"},
    )  # fmt: skip
    print(means.round(3).to_string(na_rep="-"))


if __name__ == "__main__":
    main()
