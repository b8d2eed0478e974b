"""Object sizes are what the masks say, and their figure shows each object once."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pytest
from drawn import DrawnDataset
from matplotlib.collections import LineCollection

from samstudy.errors import StudyError
from samstudy.figures.sizes import draw_sizes, object_sizes


def test_sizes_are_those_of_the_masks_and_empty_masks_have_none() -> None:
    dataset = DrawnDataset(n_images=2, empty=True)
    sizes = object_sizes(dataset, dataset.ids("all"))
    masks = dataset.load("page1").labels
    disc = sizes[(sizes["image_id"] == "page1") & (sizes["target"] == "disc")].iloc[0]
    assert list(sizes["target"]) == ["disc", "dot", "disc", "dot"]
    assert disc["pixels"] == masks["disc"].sum()
    assert disc["percent"] == pytest.approx(100 * masks["disc"].mean())


def test_no_images_give_an_empty_table_that_is_refused_in_a_sentence() -> None:
    sizes = object_sizes(DrawnDataset(), [])
    assert list(sizes.columns) == ["image_id", "object_id", "target", "pixels", "percent"]
    with pytest.raises(StudyError, match="draw_sizes needs at least one object"):
        draw_sizes(sizes)


def test_every_object_is_a_line_and_the_median_is_marked() -> None:
    dataset = DrawnDataset()
    sizes = object_sizes(dataset, dataset.ids("all"))
    figure = draw_sizes(sizes, dataset=dataset)
    (axis,) = figure.axes
    *sticks, medians = [each for each in axis.collections if isinstance(each, LineCollection)]
    drawn = {round(float(segment[0, 0]), 6) for lines in sticks for segment in lines.get_segments()}
    assert {round(size, 6) for size in sizes.loc[sizes["target"] == "disc", "percent"]} <= drawn
    marked = [segment[0, 0] for segment in medians.get_segments()]
    assert marked == list(sizes.groupby("target", sort=False)["percent"].median())
    assert [label.get_text() for label in axis.get_yticklabels()] == ["disc", "dot"]
    plt.close(figure)
