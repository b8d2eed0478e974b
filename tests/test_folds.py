"""Folds deal whole groups of the training and validation parts and leave the test part alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
from drawn import DrawnDataset

from samstudy.errors import StudyError
from samstudy.folds import DealtDataset, Repetition, dealt, repetitions


class Pages(DrawnDataset):
    """Two images to a group, as of patients with two visits."""

    def __init__(self) -> None:
        super().__init__(20, "tttttttttt" + "vvvv" + "eeeeee", only="disc")
        self._records = {
            image_id: replace(record, group_id=f"{record.split}{at // 2}")
            for at, (image_id, record) in enumerate(self._records.items())
        }


def test_repetitions_are_numbered_by_seed_and_fold():
    numbers = [(run.number, run.seed, run.fold) for run in repetitions([7, 3], 2)]
    assert numbers == [(0, 7, 0), (1, 7, 1), (2, 3, 0), (3, 3, 1)]


def test_one_fold_is_the_committed_split():
    pages = Pages()
    assert dealt(pages, Repetition(0, 5)) is pages


@pytest.mark.parametrize("folds", [2, 3, 7])
def test_every_group_is_validation_once_and_never_on_both_sides(folds: int):
    pages = Pages()
    views = [dealt(pages, run) for run in repetitions([0], folds)]
    seen = [image_id for view in views for image_id in view.ids("val")]
    assert sorted(seen) == sorted(pages.ids("train") + pages.ids("val"))
    for view in views:
        assert view.ids("test") == pages.ids("test")
        assert len(view) == len(pages)
        sides = [{view.group_of(i) for i in view.ids(part)} for part in ("train", "val", "test")]
        assert not (sides[0] & sides[1]) and not (sides[0] & sides[2]) and not (sides[1] & sides[2])
        assert all(sides)


def test_a_seed_names_the_dealing():
    pages = Pages()
    again = dealt(pages, Repetition(9, 0, 1, 3)), dealt(pages, Repetition(1, 0, 1, 3))
    assert again[0].ids("val") == again[1].ids("val")
    others = {tuple(dealt(pages, Repetition(0, seed, 0, 3)).ids("val")) for seed in range(5)}
    assert len(others) > 1
    assert len({dealt(pages, run).fingerprint() for run in repetitions([0], 3)}) == 3


def test_a_view_reads_what_the_data_set_reads():
    pages = Pages()
    view = dealt(pages, Repetition(0, 0, 0, 2))
    image_id = view.ids("val")[0]
    assert view.load(image_id).content_sha() == pages.load(image_id).content_sha()
    assert (view.info, view.options_text, view.split_of(image_id)) == (pages.info, pages.options_text, "val")


def test_more_folds_than_groups_are_refused():
    with pytest.raises(StudyError, match=r"drawn has 7 groups .* too few for 8 folds: ask for at most 7"):
        dealt(Pages(), Repetition(0, 0, 0, 8))


def test_a_group_that_leaks_into_the_test_part_is_refused():
    pages = Pages()
    first, last = pages.ids("train")[0], pages.ids("test")[0]
    pages._records[first] = replace(pages._records[first], group_id=pages.group_of(last))
    with pytest.raises(StudyError, match="on both sides of the split in the folds of drawn"):
        DealtDataset(pages, set())
