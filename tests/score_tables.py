"""Small drawn score tables for the tests of what is computed from them."""

import numpy as np
import pandas as pd

from samstudy.results import make_table

N_GROUPS, N_PER_GROUP = 12, 3


def row(group: int, item: int, dice: float, model: str = "vit_t", choice: str = "single", **more) -> dict:
    known = {
        "dataset": "demo",
        "image_id": f"image_{group}",
        "group_id": f"group_{group}",
        "object_id": f"organ#{item}",
        "target": "organ",
        "model": model,
        "tuning": "none",
        "shots": 0,
        "fold": 0,
        "prompt": "box",
        "mask_choice": choice,
        "dice": dice,
        "hd95": 10 * (1 - dice),
        "iou_pred": np.nan if model == "ellipse" else 0.5,
        "distance_unit": "mm",
        "nsd_tolerance": 2.0,
        "status": "ok",
    }
    return known | more


def drawn(seed: int = 0, low: float = 0.6, high: float = 0.9, **more) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    group_effect = rng.normal(0, 0.05, N_GROUPS)
    return make_table(
        row(g, i, rng.uniform(low, high) + group_effect[g], **more)
        for g in range(N_GROUPS)
        for i in range(N_PER_GROUP)
    )


def both(**more) -> pd.DataFrame:
    return pd.concat([drawn(0, **more), drawn(1, 0.4, 0.7, model="ellipse")], ignore_index=True)
