"""The evaluation loop: injected models give exactly what they must, and no row is lost."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from drawn import DrawnDataset, Oracle

from samstudy.embeddings import embed
from samstudy.errors import StudyError
from samstudy.evaluation import evaluate
from samstudy.models import SamModel
from samstudy.prompts import PROMPTS
from samstudy.questions import dialogue_for
from samstudy.replay import predict_row
from samstudy.results import COLUMNS, KEY
from samstudy.types import MASK_CHOICES

MODES = ["box", "point_center", "boxes_parts"]


def four(first, rest):
    return lambda reference: np.stack([first(reference), *[rest(reference)] * 3])


def same(reference):
    return reference


def nothing(reference):
    return np.zeros_like(reference)


def run(dataset, answer, **more):
    return evaluate(dataset, [Oracle(dataset, answer)], ["box"], cache=False, progress=False, **more)


def test_the_reference_scores_one_everywhere(drawn):
    table = run(drawn, four(same, same))
    assert (table[["dice", "iou", "nsd"]] == 1).all().all()
    assert table.cldice.isna().all()
    assert (table[["hd95", "assd"]] == 0).all().all()
    assert (table.n_ref_px == table.n_pred_px).all()
    assert (table.status == "ok").all()


def test_the_complement_scores_zero(drawn):
    assert (run(drawn, four(np.logical_not, np.logical_not))[["dice", "iou"]] == 0).all().all()


def test_an_empty_mask_is_a_row_with_infinite_distance(drawn):
    table = run(drawn, four(nothing, nothing))
    assert (table.status == "pred_empty").all()
    assert (table[["dice", "nsd"]] == 0).all().all()
    assert np.isinf(table[["hd95", "assd"]]).all().all()


def test_mask_choices_take_the_candidate_they_name(drawn):
    def candidates(reference):
        return np.stack([reference, nothing(reference), ~reference, reference])

    table = run(drawn, candidates).set_index("mask_choice")
    assert (table.loc["single", "dice"] == 1).all()
    assert (table.loc["first", "status"] == "pred_empty").all()
    assert (table.loc["predicted_iou", "dice"] == 0).all()
    assert (table.loc["predicted_iou", "n_pred_px"] > 0).all()
    assert (table.loc["oracle", "dice"] == 1).all()
    assert table.loc["predicted_iou", "iou_pred"].unique() == pytest.approx([0.9])


def test_one_row_per_object_model_prompt_and_choice(drawn, tiny_model):
    table = evaluate(drawn, [tiny_model, "ellipse"], MODES, progress=False)
    assert tuple(table.columns) == COLUMNS
    assert not table.duplicated(list(KEY)).any()
    n_objects = 2 * 2
    assert (table.model == "tiny").sum() == n_objects * len(MODES) * len(MASK_CHOICES)
    assert (table.model == "ellipse").sum() == n_objects * len(MODES)
    assert table.split.unique() == ["test"]
    assert table.distance_unit.unique() == ["mm"]
    assert (table.nsd_tolerance == 1.0).all()


def test_the_same_table_whatever_order_subset_and_cache(tiny_model, drawn):
    whole = evaluate(drawn, [tiny_model, "ellipse"], MODES, split="all", progress=False)
    pd.testing.assert_frame_equal(
        whole, evaluate(drawn, [tiny_model, "ellipse"], MODES, split="all", progress=False)
    )
    part = evaluate(drawn, [tiny_model], MODES[::-1], split="test", cache=False, progress=False)
    keys = list(KEY)
    common = whole.merge(part[keys], on=keys)
    pd.testing.assert_frame_equal(
        common.sort_values(keys, ignore_index=True),
        part.sort_values(keys, ignore_index=True),
        check_exact=False,
    )


def test_another_seed_moves_random_prompts_only(drawn, tiny_model):
    a, b = (
        evaluate(drawn, [tiny_model], ["box", "box_jitter10"], seed=s, cache=False, progress=False)
        for s in (0, 1)
    )
    tight = a.prompt == "box"
    assert (a.dice[tight] == b.dice[tight]).all()
    assert (a.box_jitter_px[~tight] != b.box_jitter_px[~tight]).any()


def test_an_unreadable_image_is_a_row_and_the_others_go_on(tiny_model):
    table = evaluate(DrawnDataset(broken=(4,)), [tiny_model, "ellipse"], MODES, progress=False)
    failed = table[table.status == "error"]
    assert failed.image_id.unique() == ["page4"]
    assert failed.error.unique() == ["page4.png is truncated; copy it again."]
    assert len(failed) == 2 * len(MODES)
    assert set(table[table.status == "ok"].image_id) == {"page5"}


def test_an_empty_reference_is_a_row_without_scores(tiny_model):
    table = evaluate(DrawnDataset(empty=True), [tiny_model], MODES, progress=False)
    empty = table[table.target == "none"]
    assert (empty.status == "ref_empty").all()
    assert empty.dice.isna().all()
    assert (empty.n_ref_px == 0).all()
    assert len(empty) == 2 * len(MODES) * len(MASK_CHOICES)


def test_a_model_that_fails_leaves_rows_with_its_reason(drawn):
    def fail(_):
        raise RuntimeError("out of memory")

    table = run(drawn, fail)
    assert (table.status == "error").all()
    assert table.error.str.contains("known failed on this image: out of memory").all()
    assert (table.mask_choice == "single").all()


def test_failed_rows_are_not_kept_but_finished_ones_are(drawn, tiny_model, monkeypatch):
    def fail(*_):
        raise RuntimeError("out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(type(tiny_model), "predict", fail)
        assert (evaluate(drawn, [tiny_model], ["box"], progress=False).status == "error").all()
    assert (evaluate(drawn, [tiny_model], ["box"], progress=False).status != "error").all()
    monkeypatch.setattr(type(tiny_model), "predict", fail)
    assert (evaluate(drawn, [tiny_model], ["box"], progress=False).status != "error").all()


def test_pixels_outside_the_valid_region_do_not_count(drawn):
    class Framed(DrawnDataset):
        def _read(self, record):
            reading = super()._read(record)
            valid = np.zeros(reading.image.shape[:2], bool)
            valid[:, :24] = True
            reading.valid = valid
            return reading

    def spill(reference):
        wide = reference.copy()
        wide[:, 24:] = True
        return np.stack([wide] * 4)

    table = run(Framed(), spill)
    disc, dot = table[table.target == "disc"], table[table.target == "dot"]
    assert (disc.dice == 1).all()
    assert (dot.status == "ref_empty").all()


def test_the_limit_spreads_over_the_split():
    table = evaluate(DrawnDataset(12, "e"), ["ellipse"], ["box"], limit=3, progress=False)
    assert table.image_id.unique().tolist() == ["page0", "page6", "page11"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"prompts": ["boxx"]}, r"unknown prompt 'boxx'; did you mean 'box'"),
        ({"models": ["vit_bb"]}, r"unknown model 'vit_bb'; did you mean 'vit_b'"),
        ({"split": "tset"}, r"unknown split 'tset'; did you mean 'test'"),
        ({"limit": 0}, "at least 1 image, not 0"),
        ({"models": []}, "at least one model"),
    ],
)
def test_bad_arguments_are_sentences(drawn, arguments, words):
    arguments = {"models": ["ellipse"], "prompts": ["box"], "progress": False} | arguments
    with pytest.raises(StudyError, match=words):
        evaluate(drawn, **arguments)


def test_cldice_is_scored_where_the_reference_is_tubular():
    class Vessels(DrawnDataset):
        def _read(self, record):
            reading = super()._read(record)
            vessel = np.zeros(reading.image.shape[:2], bool)
            vessel[10:12] = vessel[:, 30:32] = True
            reading.labels = {"vessel": vessel}
            return reading

    assert (run(Vessels(), four(same, same)).cldice == 1).all()


def test_a_row_can_be_looked_at_again(drawn, tiny_model):
    modes = ["box_jitter10", "clicks_3", "mask", "everything_8", "clicks_1"]
    table = evaluate(drawn, [tiny_model], modes, limit=1, seed=5, progress=False)
    for _, row in table.iterrows():
        sample, prompt, mask = predict_row(drawn, tiny_model, row, seed=5)
        assert mask.sum() == row.n_pred_px
        assert prompt.box_jitter_px == row.box_jitter_px
        assert prompt.n_points == row.n_points
        assert prompt.mode == row.prompt
        assert sample.image_id == row.image_id


def test_the_prompt_knows_its_target(drawn):
    dialogue = dialogue_for(drawn, drawn.load("page4"), "disc", [PROMPTS["boxes_parts"]], 0)
    assert dialogue.first.parts[0].target == "disc"


def test_public_names_work_as_the_readme_writes_them(drawn, tiny_model):
    embedding = embed(tiny_model, drawn.load("page4").image, cache=True)
    assert embedding.size_hw == (40, 56)


def test_a_tuning_that_changed_nothing_is_a_result_of_its_own(tiny_model, drawn):
    tuned = [SamModel("tiny", tiny_model.sam, "decoder", shots) for shots in (1, 5)]
    table = evaluate(drawn, [tiny_model, *tuned], ["box"], progress=False)
    assert sorted(set(table["shots"])) == [0, 1, 5]
    assert len(set(table.groupby("shots")["dice"].apply(tuple))) == 1
    with pytest.raises(StudyError, match="'tiny' is named twice"):
        evaluate(drawn, [tuned[0], tuned[0]], ["box"], progress=False)
