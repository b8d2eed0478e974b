"""What a coarse grid costs: nothing for what it can hold, everything for what is thinner than half a cell."""

import os
from pathlib import Path

import numpy as np
import pytest
from drawn import DrawnDataset, tiny_sam
from PIL import Image

from samstudy.baselines import EllipseModel
from samstudy.ceiling import ceiling, ceilings, cells_of, through_grid
from samstudy.errors import StudyError
from samstudy.evaluation import evaluate
from samstudy.metrics import score
from samstudy.models import SamModel

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = Path(os.environ.get("SAMSTUDY_SAMPLES", ROOT.parent / "shared" / "samples"))


def bar(width: int, size_hw: tuple[int, int] = (64, 128)) -> np.ndarray:
    mask = np.zeros(size_hw, bool)
    mask[16 : 16 + width, 16:96] = True
    return mask


def test_a_grid_as_fine_as_the_image_changes_nothing():
    mask = np.random.default_rng(0).random((40, 56)) > 0.5
    for cells in (56, 57, 1024):
        assert np.array_equal(through_grid(mask, cells), mask)
    assert not np.shares_memory(through_grid(mask, 56), mask)


def test_whole_cells_survive_and_thin_lines_do_not():
    assert np.array_equal(through_grid(np.ones((30, 70), bool), 8), np.ones((30, 70), bool))
    # 4 pixels a cell: 16 aligned pixels lose their corners only, 1 pixel never covers half a cell.
    assert score(bar(16), through_grid(bar(16), 32))["dice"] > 0.99
    assert not through_grid(bar(1), 32).any()
    assert not through_grid(bar(16) & False, 32).any()


def test_the_ceiling_rises_with_the_grid_and_with_the_calibre():
    by_cells = [score(bar(3), through_grid(bar(3), cells))["dice"] for cells in (16, 43, 100, 128)]
    assert by_cells == sorted(by_cells)
    by_width = [score(bar(width), through_grid(bar(width), 40))["dice"] for width in (1, 3, 9, 27)]
    assert by_width == sorted(by_width)
    assert by_cells[-1] == 1


def test_an_elongated_image_keeps_a_row_of_cells():
    assert through_grid(np.ones((2, 300), bool), 10).all()


@pytest.mark.parametrize("cells", [0, -3, 2.5, True, None])
def test_a_grid_without_cells_is_refused(cells):
    with pytest.raises(StudyError, match=rf"cells is {cells!r}; give the number of cells along the longer"):
        through_grid(bar(3), cells)


def test_ceilings_are_those_of_the_objects_of_the_table():
    dataset = DrawnDataset(empty=True)
    table = evaluate(dataset, ["ellipse"], ["box"], split="all", limit=5, progress=False, cache=False)
    found = ceiling(dataset, [14, 56], table)
    assert len(found) == 5 * 3 * 2
    assert set(found["image_id"]) == set(table["image_id"])
    assert set(found.loc[found["target"] == "none", "status"]) == {"ref_empty"}
    assert found.loc[found["target"] == "none", "dice"].isna().all()
    assert (found.loc[(found["cells"] == 56) & (found["status"] == "ok"), "dice"] == 1).all()

    mean = ceilings([dataset], [14], table).set_index("target")
    discs = found[(found["target"] == "disc") & (found["cells"] == 14)]
    assert mean.loc["disc", "mean"] == pytest.approx(discs["dice"].mean())
    assert 0.9 < mean.loc["disc", "ci_low"] <= mean.loc["disc", "ci_high"] < 1
    assert mean.loc["dot", "mean"] == 0
    assert mean.loc["none", "left_out"] == "5 ref_empty"


def test_failed_rows_and_other_data_sets_name_no_object():
    dataset = DrawnDataset(broken=(0,))
    table = evaluate(dataset, ["ellipse"], ["box"], split="all", limit=6, progress=False, cache=False)
    assert "page0" not in set(ceiling(dataset, [14], table)["image_id"])
    elsewhere = ceiling(dataset, [14], table.assign(dataset="another"))
    assert elsewhere.empty
    assert "dice" in elsewhere
    with pytest.raises(StudyError, match="no rows"):
        ceilings([dataset], [14], table.assign(dataset="another"))


def test_cells_of_a_model():
    assert cells_of(SamModel("tiny", tiny_sam())) == 32
    with pytest.raises(StudyError, match="'ellipse' answers in pixels of the image"):
        cells_of(EllipseModel())


@pytest.mark.skipif(not (SAMPLES / "DRIVE").is_dir(), reason="the samples are not here")
def test_drive_is_limited_by_the_grid():
    paths = [path for path in (SAMPLES / "DRIVE").rglob("*_manual1.gif") if path.is_file()]
    masks = [np.asarray(Image.open(path).convert("L")) > 127 for path in paths]
    dice = {
        cells: np.mean([score(mask, through_grid(mask, cells), metrics=["dice"])["dice"] for mask in masks])
        for cells in (128, 256)
    }
    assert dice[128] == pytest.approx(0.77, abs=0.03)
    assert dice[256] == pytest.approx(0.89, abs=0.02)
