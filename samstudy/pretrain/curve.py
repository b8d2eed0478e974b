"""The log of a training run: one CSV row for every 20 steps."""

from __future__ import annotations

import csv
import time
from pathlib import Path

import numpy as np

LOG_EVERY = 20
LOG_COLUMNS = (
    "step image_size loss box_iou box_predicted box_oracle point_iou point_predicted point_oracle "
    "refined_iou learning_rate gradient_norm seconds"
).split()


class Curve:
    """Means over 20 steps, appended to a CSV file; rows beyond the resumed step are dropped."""

    def __init__(self, path: Path, start: int) -> None:
        self.path, self.sums, self.since = path, {}, time.perf_counter()
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = []
        if start and path.is_file():
            with path.open(newline="") as file:
                kept = [row for row in csv.DictReader(file) if int(row["step"]) <= start]
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, LOG_COLUMNS)
            writer.writeheader()
            writer.writerows(kept)

    def add(self, step: int, image_size: int, loss: float, logged: dict, rate: float, norm: float) -> str:
        """Take in one step; return a summary where a row was written, else ''."""
        for name, value in {"loss": loss, "gradient_norm": norm, **logged}.items():
            self.sums.setdefault(name, []).append(value)
        if (step + 1) % LOG_EVERY:
            return ""
        means = {name: f"{np.mean(values):.4f}" for name, values in self.sums.items()}
        now = time.perf_counter()
        row = {"step": step + 1, "image_size": image_size, "learning_rate": f"{rate:.3g}", **means}
        row["seconds"] = f"{(now - self.since) / LOG_EVERY:.3f}"
        self.sums, self.since = {}, now
        with self.path.open("a", newline="") as file:
            csv.DictWriter(file, LOG_COLUMNS).writerow(row)
        return f"loss {means['loss']} box {means['box_iou']} point {means.get('point_predicted', '-')}"
