"""Figures of transfer and of prompt sensitivity: readable, with few and many rows, with their tables' numbers."""

from __future__ import annotations

import json

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.patches import Rectangle
from test_figures import assert_readable, score_table, texts

from samstudy import figures
from samstudy.errors import StudyError
from samstudy.results import make_table
from samstudy.returned import rates, with_types
from samstudy.transfer import with_origin
from samstudy.transferred import transfer_gains

pytestmark = pytest.mark.filterwarnings("error")
WIDTHS = (figures.SINGLE_COLUMN_IN, figures.DOUBLE_COLUMN_IN)
SCENES = "heldout_scenes"


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def moved(n_sets=3, n_targets=2, n_images=2):
    """Every set's decoders on every set and on the scenes, which have ten images: their intervals are known."""
    targets = [f"a_part_of_the_body_{i}" for i in range(n_targets)]
    one = score_table(targets, models=("vit_t",), n_images=30, stages=(("none", 0), ("decoder", 10)))
    one = one[one["mask_choice"].isin(["single", "predicted_iou"])]
    sets = [f"phantom_set{i}" for i in range(n_sets)]
    tables, rng = [], np.random.default_rng(0)
    for tuned_on in sets:
        after = one[one["tuning"] != "none"]
        parts = [one.assign(weights_sha="base")[one["tuning"] == "none"]]
        for target in targets:
            dice = (after["dice"] + rng.uniform(-0.4, 0.3)).clip(0, 1)
            parts.append(after.assign(weights_sha=target, dice=dice))
        there = pd.concat(parts, ignore_index=True)
        few = there[there["image_id"] < f"slice_{n_images:03d}"]
        named = [few.assign(dataset=name) for name in sets] + [there.assign(dataset=SCENES)]
        weights = {target: target for target in targets}
        config = {"tuned_on": tuned_on, "tuned": weights, "general_domain": [SCENES]}
        tables.append(with_origin(pd.concat(named, ignore_index=True), config))
    return pd.concat(tables, ignore_index=True).drop_duplicates(ignore_index=True)


def elsewhere(n_sets=1, n_targets=2, n_groups=6, rooms=True):
    rng, rows = np.random.default_rng(0), []
    for i in range(n_sets):
        for target in [f"a_part_of_the_body_{j}" for j in range(n_targets)]:
            for group, prompt, (tuning, shots) in (
                (group, prompt, stage)
                for group in range(n_groups)
                for prompt in ("box", "point_center")
                for stage in (("none", 0), ("decoder", 1), ("decoder", 10))
            ):
                dice = float(rng.uniform(0, 0.4 + 0.05 * shots))
                known = {
                    "dataset": f"phantom_set{i}",
                    "image_id": f"image{group}",
                    "group_id": f"group{group}",
                }
                known |= {"object_id": target, "target": target, "model": "vit_t", "weights_sha": tuning}
                known |= {"tuning": tuning, "shots": shots, "fold": 0, "prompt": prompt, "place": 0}
                has_room = rooms or prompt != "box" or group
                known |= (
                    {"dice": dice, "returned": float(dice >= 0.5), "status": "ok"}
                    if has_room
                    else {"status": "no_room"}
                )
                rows.append(known)
    return with_types(pd.DataFrame(rows))


@pytest.mark.parametrize(
    ("n_sets", "width_in"), [(1, WIDTHS[0]), (1, WIDTHS[1]), (3, WIDTHS[0]), (10, WIDTHS[1])]
)
def test_the_matrix_fits_with_few_and_many_rows(width_in, n_sets):
    figure = figures.draw_transfer(moved(n_sets), width_in=width_in)
    assert figure.get_size_inches()[0] == pytest.approx(width_in)
    assert figure.get_size_inches()[1] < 10.5
    assert_readable(figure)


def test_cells_hold_the_paired_changes_and_the_diagonal_is_framed():
    table = moved()
    figure = figures.draw_transfer(table)
    figure.draw_without_rendering()
    cells = transfer_gains(table)
    for axis, prompt in zip(figure.axes, ("point_center", "box"), strict=False):
        wanted = cells[cells["prompt"] == prompt]
        shown = {tuple(text.get_position()): text.get_text() for text in axis.texts}
        assert len(shown) == len(wanted) == 3 * 2 * 4
        for cell in wanted.itertuples():
            column = [f"phantom_set{i}" for i in range(3)]
            x = column.index(cell.dataset) if cell.dataset in column else 3.4
            y = 2 * column.index(cell.tuned_on) + int(cell.tuned_target[-1])
            assert shown[x, y] == f"{round(cell.gain, 2) + 0.0:+.2f}".replace("-", "\N{MINUS SIGN}")
        framed = [p for p in axis.patches if isinstance(p, Rectangle) and p.get_linewidth() > 1]
        assert sorted(round(p.get_x() + 0.5) for p in framed) == [0, 0, 1, 1, 2, 2]
        bold = {text.get_position()[0] for text in axis.texts if text.get_fontweight() == "bold"}
        assert bold == {3.4}
    shown = texts(figure)
    assert any("DRAWN heldout_scenes (n\xa0=\xa060)" in text for text in shown)
    assert any(text == "PHANTOM set0: a part of the body 0 (10)" for text in shown)
    assert any("bold: 95 % interval over groups" in text for text in shown)


def test_what_cannot_be_drawn_is_a_sentence():
    table = moved(1)
    with pytest.raises(StudyError, match="no rows"):
        figures.draw_transfer(with_origin(make_table([]), {}))
    with pytest.raises(StudyError, match="share no scored object"):
        figures.draw_transfer(table.assign(dice=np.nan, status="error"))
    with pytest.raises(StudyError, match="unknown column 'tuned_on'"):
        figures.draw_transfer(table.drop(columns="tuned_on"))
    with pytest.raises(StudyError, match="no row of a tuned model"):
        figures.draw_transfer(table[table["tuning"] == "none"])
    with pytest.raises(StudyError, match="without rows"):
        figures.draw_sensitivity(with_types(pd.DataFrame()))
    with pytest.raises(StudyError, match="of a tuned model"):
        figures.draw_sensitivity(elsewhere().query("tuning == 'none'"))


@pytest.mark.parametrize("width_in", WIDTHS)
@pytest.mark.parametrize("n_sets", [1, 12])
def test_sensitivity_fits_with_few_and_many_rows(width_in, n_sets):
    figure = figures.draw_sensitivity(elsewhere(n_sets, rooms=False), width_in=width_in)
    assert figure.get_size_inches()[0] == pytest.approx(width_in)
    assert_readable(figure)


def test_sensitivity_draws_the_rates_of_the_most_images():
    table = elsewhere(rooms=False)
    figure = figures.draw_sensitivity(table)
    figure.draw_without_rendering()
    found = rates(table)
    assert len(figure.axes) == 2
    for axis, prompt in zip(figure.axes, ("point_center", "box"), strict=True):
        marks = [line.get_xdata()[0] for line in axis.lines if line.get_marker() == "o"]
        wanted = found[(found["prompt"] == prompt) & (found["shots"] != 1)]
        assert sorted(marks) == pytest.approx(sorted(wanted["rate"]))
    shown = texts(figure)
    assert any("(n\xa0=\xa05 of 6)" in text for text in shown)
    assert any("(n\xa0=\xa06)" in text for text in shown)
    assert any("95 % interval over groups" in text.replace("\n", " ") for text in shown)
    shown = texts(figures.draw_sensitivity(elsewhere(n_groups=3)))
    assert not any("interval" in text or "room" in text for text in shown)


def test_they_are_saved_with_a_caption_and_leave_no_style(tmp_path, monkeypatch):
    monkeypatch.setenv("SAMSTUDY_ROOT", str(tmp_path))
    before = mpl.rcParams.copy()
    for draw, table in ((figures.draw_transfer, moved(2)), (figures.draw_sensitivity, elsewhere())):
        said = figures.save_or_say(draw, draw.__name__, table)
        sidecar = json.loads((tmp_path / "figures" / "demo" / f"{draw.__name__}.json").read_text())
        assert sidecar["caption"].startswith(said)
        assert any("not the paper's numbers" in stamp for stamp in sidecar["stamps"])
    assert mpl.rcParams == before
