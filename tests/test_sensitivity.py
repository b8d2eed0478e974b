"""Prompt sensitivity: a model that listens is told from one that always returns its organ, and nothing is skipped."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from drawn import DrawnDataset, Oracle

from samstudy.embeddings import embed
from samstudy.errors import StudyError
from samstudy.results import read_parquet, read_provenance, write_parquet
from samstudy.returned import COLUMNS, most_images, rates, say_sensitivity, with_types
from samstudy.sensitivity import prompt_elsewhere
from samstudy.statistics import GRID
from samstudy.types import Prediction

MODES = ["box", "point_center"]
N_BOXES = 16  # beside the largest disc there is room for one box only


class Stuck(Oracle):
    """Returns the target whatever the prompt."""


class Listening(Oracle):
    """Returns the box it was given, or a disc around the point."""

    def predict(self, embedding, prompts):
        return [Prediction(np.stack([self._under(p)] * 4), self.iou_pred) for p in prompts]

    def _under(self, prompt):
        y, x = np.mgrid[: self.sample.size_hw[0], : self.sample.size_hw[1]]
        if prompt.box_xyxy is None:
            column, row = prompt.points_xy[0]
            return (y - row) ** 2 + (x - column) ** 2 <= 9
        left, top, right, bottom = prompt.box_xyxy
        return (x >= left) & (x <= right) & (y >= top) & (y <= bottom)


def stuck(dataset, **named):
    return Stuck(dataset, lambda mask: np.stack([mask] * 4), tuning="decoder", shots=3, **named)


def listening(dataset):
    return Listening(dataset, None)


def asked(dataset, models=None, prompts=MODES, **more):
    models = models or [listening(dataset), stuck(dataset)]
    return prompt_elsewhere(dataset, models, prompts, dataset.ids("all"), progress=False, **more)


def test_a_model_that_listens_is_told_from_one_that_does_not(drawn):
    found = rates(asked(drawn, targets=["disc"]))
    assert list(found["tuning"]) == ["none", "none", "decoder", "decoder"]
    assert list(found["rate"]) == [0, 0, 1, 1]
    assert list(found["change"]) == [0, 0, 1, 1]
    assert list(found["mean_dice"])[2:] == [1, 1]
    assert list(found["n_scores"]) == [N_BOXES, 18] * 2
    assert (found["n_objects"] == 6).all()


def test_all_models_get_the_same_places_and_the_table_is_tidy(drawn):
    table = asked(drawn)
    assert list(table.columns) == COLUMNS
    places = ["image_id", "object_id", "prompt", "place", "prompt_seed", "overlap", "distance_px"]
    one, other = (
        table.loc[table["tuning"] == name, places].reset_index(drop=True) for name in ("none", "decoder")
    )
    pd.testing.assert_frame_equal(one, other)
    assert not table.duplicated([*GRID, "image_id", "object_id", "place"]).any()
    pd.testing.assert_frame_equal(table, asked(drawn))


def test_what_could_not_be_asked_is_counted_and_said():
    dataset = DrawnDataset(empty=True)
    models = [listening(dataset), stuck(dataset)]
    dataset.broken = (1,)
    table = asked(dataset, models)
    found = rates(table, ["tuning", "prompt", "model", "shots"])
    assert (found["left_out"].str.contains("1 error")).all()
    assert (found["left_out"].str.contains("5 ref_empty")).all()
    assert table.loc[table["status"] == "error", "error"].str.contains("truncated").all()
    assert table.loc[table["status"] != "ok", "dice"].isna().all()


def test_a_target_that_fills_the_image_has_no_room(drawn, monkeypatch):
    class Full(DrawnDataset):
        def _read(self, record):
            reading = super()._read(record)
            reading.labels["disc"][:] = True
            return reading

    dataset = Full(only="disc")
    table = asked(dataset, [listening(dataset)])
    assert set(table["status"]) == {"no_room"}
    found = rates(table)
    assert (found["n_no_room"] == 6).all()
    assert found["rate"].isna().all()
    assert "nothing could be asked. No room for 6 objects." in say_sensitivity(table)


def test_another_instance_of_the_target_is_the_target_too(drawn):
    class Twins(DrawnDataset):
        def _read(self, record):
            reading = super()._read(record)
            reading.labels["disc#1"], reading.labels["disc#2"] = (
                reading.labels.pop("disc"),
                reading.labels.pop("dot"),
            )
            return reading

    dataset = Twins()
    both = Stuck(dataset, None, tuning="decoder", shots=3)
    both.answer = lambda _mask: np.stack([both.sample.reference("disc")] * 4)
    both.predict = lambda _embedding, prompts: [Prediction(both.answer(None), both.iou_pred) for _ in prompts]
    table = asked(dataset, [both])
    assert set(table["object_id"]) == {"disc#1", "disc#2"}
    assert table.loc[table["status"] == "ok", "returned"].eq(1).all()


def test_rates_average_repetitions_and_have_intervals_over_groups(drawn):
    first, second = stuck(drawn), listening(drawn)
    second.tuning, second.shots, second.fold, second.weights_sha = "decoder", 3, 1, "v"
    table = asked(drawn, [listening(drawn), first, second], ["box"], targets=["disc"])
    found = rates(table).set_index("tuning")
    assert found.loc["decoder", "rate"] == pytest.approx(0.5)
    assert found.loc["decoder", "ci_low"] == pytest.approx(0.5)
    assert "only 6 groups" in found.loc["decoder", "note"]
    with pytest.raises(StudyError, match="different tuning"):
        rates(table, ["model"])
    said = say_sensitivity(table)
    assert "zero-shot: returned in 0 of 16 answers about 6 objects, a rate of 0.00 [0.00, 0.00]" in said
    assert "tuned (decoder) with the most images: returned in 16 of 32" in said
    assert "Against zero-shot at the same places: 0.50 [0.50, 0.50]." in said


def test_the_most_images_are_those_of_each_data_set_and_target(drawn):
    few, many = stuck(drawn), stuck(drawn)
    many.shots = 9
    table = asked(drawn, [listening(drawn), few, many])
    assert set(most_images(table)["shots"]) == {0, 9}
    less = table[(table["target"] != "dot") | (table["shots"] != 9)]
    kept = most_images(less)
    assert set(kept.loc[kept["target"] == "dot", "shots"]) == {0, 3}


def test_rows_are_kept_for_a_second_call(drawn, tiny_model, monkeypatch):
    first = asked(drawn, [tiny_model])
    monkeypatch.setattr(type(tiny_model), "predict", lambda *_: pytest.fail("it was asked again"))
    pd.testing.assert_frame_equal(first, asked(drawn, [tiny_model]))
    embed(tiny_model, drawn.load("page0").image)


def test_a_prompt_without_a_place_is_refused(drawn):
    with pytest.raises(StudyError, match="'automatic' cannot be moved: it names no single place"):
        asked(drawn, prompts=["automatic"])


def test_a_table_without_rows_is_a_sentence():
    assert say_sensitivity(with_types(pd.DataFrame())).startswith("Not counted here: ")


def test_the_table_comes_back_from_its_file(drawn, tmp_path):
    table = asked(drawn)
    config, read = {"left_out": {"automatic": "no place"}}, lambda p: with_types(read_parquet(p))
    path = write_parquet(table, tmp_path / "a.parquet", config, read)
    pd.testing.assert_frame_equal(read(path), table)
    assert read_provenance(path)["config"] == config
    written = path.stat().st_mtime_ns
    write_parquet(table, path, config, read)
    assert path.stat().st_mtime_ns == written
