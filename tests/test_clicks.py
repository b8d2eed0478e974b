"""Clicks go where the error is deepest, feed the mask back, and are counted as they were made."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from drawn import DrawnDataset
from score_tables import row
from segment_anything import SamPredictor

from samstudy.clicks import click_curve, clicks_needed, clicks_to
from samstudy.errors import StudyError
from samstudy.evaluation import evaluate
from samstudy.prompts import PROMPTS, Dialogue, center_xy, converse, make_prompt
from samstudy.prompts.turns import click_only, feed_back, next_click
from samstudy.results import make_table
from samstudy.tuning import Recipe
from samstudy.tuning.examples import make_examples
from samstudy.types import Prediction, Prompt

CLICKS = [f"clicks_{n}" for n in range(1, 10)]


def square(rows, columns, size_hw=(40, 60)):
    mask = np.zeros(size_hw, bool)
    mask[rows, columns] = True
    return mask


REFERENCE = square(slice(10, 30), slice(10, 30))


def clicked(prompt, shown, reference=REFERENCE):
    following = next_click(prompt, shown, None, reference)
    return following.points_xy[-1].tolist(), int(following.point_labels[-1])


def first_click():
    return make_prompt("clicks_1", REFERENCE, np.random.default_rng(0))


def test_a_missed_region_gets_a_positive_click_at_its_most_interior_pixel():
    shown = square(slice(10, 30), slice(10, 19))
    xy, label = clicked(first_click(), shown)
    missed = REFERENCE & ~shown
    missed[19, 19] = False
    assert (xy, label) == (center_xy(missed).tolist(), 1)


def test_a_surplus_region_gets_a_negative_click():
    shown = REFERENCE | square(slice(0, 9), slice(40, 49))
    assert clicked(first_click(), shown) == ([44, 4], 0)


def test_the_deeper_region_is_clicked_and_of_equals_the_missed_one():
    thin_but_large = REFERENCE | square(slice(34, 36), slice(0, 60))
    hole = thin_but_large & ~square(slice(12, 17), slice(12, 17))
    assert clicked(first_click(), hole) == ([14, 14], 1)
    equal = (REFERENCE & ~square(slice(12, 15), slice(12, 15))) | square(slice(2, 5), slice(50, 53))
    assert clicked(first_click(), equal) == ([13, 13], 1)


def test_no_pixel_is_clicked_twice_and_a_right_mask_gets_no_click():
    nothing = np.zeros_like(REFERENCE)
    prompt = first_click()
    for _ in range(8):
        prompt = next_click(prompt, nothing, None, REFERENCE)
    assert len({tuple(xy) for xy in prompt.points_xy}) == 9
    assert next_click(prompt, REFERENCE, None, REFERENCE) is None
    one_pixel = square(slice(3, 4), slice(5, 6))
    only = make_prompt("clicks_1", one_pixel, np.random.default_rng(0))
    assert next_click(only, nothing, None, one_pixel) is None


def test_the_mask_is_fed_back_or_left_out():
    logits = np.zeros((1, 8, 8), np.float32)
    nothing = np.zeros_like(REFERENCE)
    assert next_click(first_click(), nothing, logits, REFERENCE).mask_logits is logits
    assert click_only(first_click(), nothing, logits, REFERENCE).mask_logits is None
    assert feed_back(first_click(), nothing, None, REFERENCE) is None


def test_a_trajectory_is_that_of_a_user_of_sam_predictor(tiny_model):
    sample = DrawnDataset().load("page4")
    reference = sample.labels["disc"]
    modes = tuple(PROMPTS[name] for name in CLICKS[:4])
    dialogue = Dialogue(modes, make_prompt("clicks_4", reference, np.random.default_rng(0)), reference)
    embedding = tiny_model.embed(sample.image)
    turns = list(converse(lambda prompts: tiny_model.predict(embedding, prompts), [dialogue]))
    assert [turn.mode.name for turn in turns] == CLICKS[:4]

    official = SamPredictor(tiny_model.sam)
    official.set_image(sample.image)
    logits = None
    for n_clicks, turn in enumerate(turns, start=1):
        assert turn.prompt.n_points == n_clicks
        masks, iou_pred, low_res = official.predict(
            turn.prompt.points_xy, turn.prompt.point_labels, mask_input=logits, multimask_output=n_clicks == 1
        )
        best = int(np.argmax(iou_pred))
        ours = turn.prediction.choose(turn.mode.headline)
        np.testing.assert_array_equal(turn.prediction.masks[ours], masks[best])
        logits = low_res[best : best + 1]
        if n_clicks < 4:
            expected = next_click(turn.prompt, masks[best], logits, reference)
            np.testing.assert_array_equal(turns[n_clicks].prompt.points_xy, expected.points_xy)


def test_a_mode_alone_gives_the_rows_of_the_whole_series(drawn, tiny_model):
    whole = evaluate(drawn, [tiny_model, "ellipse"], [*CLICKS, "box"], limit=1, progress=False, cache=False)
    alone = evaluate(drawn, [tiny_model, "ellipse"], ["clicks_4"], limit=1, progress=False, cache=False)
    same = whole[whole["prompt"] == "clicks_4"].reset_index(drop=True)
    pd.testing.assert_frame_equal(same, alone)
    first = whole[whole["prompt"] == "clicks_1"]
    center = evaluate(drawn, [tiny_model, "ellipse"], ["point_center"], limit=1, progress=False, cache=False)
    np.testing.assert_array_equal(first["dice"], center["dice"])
    order = whole.loc[(whole["model"] == "tiny") & (whole["target"] == "disc"), "prompt"]
    assert list(dict.fromkeys(order)) == [*CLICKS, "box"]


def test_only_as_many_turns_are_asked_as_are_needed(drawn, tiny_model, monkeypatch):
    asked = []
    predict = type(tiny_model).predict
    monkeypatch.setattr(
        type(tiny_model),
        "predict",
        lambda self, e, prompts: asked.append(len(prompts)) or predict(self, e, prompts),
    )
    evaluate(drawn, [tiny_model], ["clicks_1", "clicks_3", "box"], limit=1, progress=False, cache=False)
    # One image with a disc and a dot: two dialogues of clicks and two boxes at once, then the clicks alone.
    assert asked[0] == 4
    assert len(asked) <= 3
    assert max(asked[1:]) <= 2


def test_the_answer_stays_when_nothing_is_left_to_correct():
    perfect = Prediction(REFERENCE[None], np.array([np.nan], np.float32))
    modes = tuple(PROMPTS[name] for name in CLICKS)
    turns = list(
        converse(lambda prompts: [perfect] * len(prompts), [Dialogue(modes, first_click(), REFERENCE)])
    )
    assert sorted(turn.mode.name for turn in turns) == CLICKS
    assert {turn.prompt.n_points for turn in turns} == {1}


def test_a_model_that_fails_in_the_second_turn_keeps_the_first(drawn, tiny_model, monkeypatch):
    predict = type(tiny_model).predict

    def fails_with_masks(self, embedding, prompts):
        if any(prompt.mask_logits is not None for prompt in prompts):
            raise RuntimeError("out of memory")
        return predict(self, embedding, prompts)

    monkeypatch.setattr(type(tiny_model), "predict", fails_with_masks)
    table = evaluate(
        drawn, [tiny_model], ["clicks_1", "clicks_2", "mask"], limit=1, progress=False, cache=False
    )
    assert (table.loc[table["prompt"] == "clicks_1", "status"] != "error").all()
    failed = table[table["prompt"] != "clicks_1"]
    assert failed["error"].str.contains("tiny failed on this image: out of memory").all()
    assert set(failed["prompt"]) == {"clicks_2", "mask"}


def test_errors_outside_the_valid_region_are_not_clicked():
    valid = square(slice(0, 40), slice(0, 35))
    spill = Prediction((REFERENCE | ~valid)[None], np.array([np.nan], np.float32))
    dialogue = Dialogue((PROMPTS["clicks_2"],), first_click(), REFERENCE, valid)
    (turn,) = converse(lambda prompts: [spill] * len(prompts), [dialogue])
    assert turn.prompt.n_points == 1
    assert (turn.prediction.masks[0] == REFERENCE).all()


def test_mask_mode_asks_twice_with_the_same_box(tiny_model):
    sample = DrawnDataset().load("page4")
    reference = sample.labels["disc"]
    seen = []
    embedding = tiny_model.embed(sample.image)

    def predict(prompts: list[Prompt]) -> list[Prediction]:
        seen.extend(prompts)
        return tiny_model.predict(embedding, prompts)

    box = make_prompt("mask", reference, np.random.default_rng(0))
    list(converse(predict, [Dialogue((PROMPTS["mask"],), box, reference)]))
    single = tiny_model.predict(embedding, [box])[0].low_res_logits[:1]
    assert seen[0].mask_logits is None
    np.testing.assert_array_equal(seen[1].mask_logits, single)
    np.testing.assert_array_equal(seen[1].box_xyxy, seen[0].box_xyxy)


@pytest.mark.parametrize("mode", ["clicks_3", "mask", "everything"])
def test_modes_that_need_the_models_answer_are_not_trained_with(tiny_model, mode):
    with pytest.raises(StudyError, match=f"'{mode}' cannot be trained with.*such as box"):
        make_examples(tiny_model, DrawnDataset(), ["page0"], Recipe(prompts=(mode,)), seed=0)


def curves(*of_objects, **more):
    rows = []
    for item, dice in enumerate(of_objects):
        for n_clicks, value in enumerate(dice, start=1):
            choice = "predicted_iou" if n_clicks == 1 else "single"
            rows.append(row(item, 0, value, choice=choice, prompt=f"clicks_{n_clicks}", **more))
    return make_table(rows)


def test_clicks_are_counted_to_the_first_that_reaches_and_failures_with_the_most():
    table = curves([0.5, 0.85, 0.7, 0.95], [0.9, 0.1, 0.1, 0.1], [0.2, 0.3, 0.4, 0.5])
    at_80, at_90 = clicks_to(table).to_dict("records")
    assert (at_80["threshold"], at_80["mean_clicks"], at_80["n_reached"]) == (0.8, (2 + 1 + 4) / 3, 2)
    assert (at_90["threshold"], at_90["mean_clicks"], at_90["share_reached"]) == (0.9, (4 + 1 + 4) / 3, 2 / 3)
    assert (at_90["n_objects"], at_90["most_clicks"], at_90["n_left_out"]) == (3, 4, 0)
    assert clicks_needed(table, 0.8)["n_clicks"].tolist() == [2, 1, 4]
    assert clicks_needed(table, 0.8)["reached"].tolist() == [True, True, False]


def test_objects_without_scores_are_left_out_and_counted():
    missing = curves([np.nan] * 4, status="ref_empty").assign(image_id="none", group_id="none")
    table = pd.concat([curves([0.5, 0.85, 0.7, 0.95]), missing])
    found = clicks_to(table, [0.8]).iloc[0]
    assert (found["n_objects"], found["n_left_out"], found["left_out"]) == (1, 1, "1 ref_empty")
    nothing = clicks_to(missing, [0.8]).iloc[0]
    assert np.isnan(nothing["mean_clicks"])


def test_models_are_counted_apart_and_the_curve_has_a_row_per_click():
    table = pd.concat([curves([0.5, 0.8]), curves([0.9, 0.8], model="vit_b")])
    assert clicks_to(table, [0.8]).set_index("model")["mean_clicks"].to_dict() == {"vit_t": 2, "vit_b": 1}
    curve = click_curve(table)
    assert curve["n_clicks"].tolist() == [1, 1, 2, 2]
    assert curve.loc[curve["model"] == "vit_t", "mean"].tolist() == [0.5, 0.8]


def test_tables_that_cannot_answer_are_sentences():
    with pytest.raises(StudyError, match=r"no rows of clicks .* evaluate the prompts clicks_1, clicks_2"):
        clicks_to(make_table([row(0, 0, 0.5)]))
    table = curves([0.5, 0.6, 0.7])
    with pytest.raises(StudyError, match=r"clicks 1, 3 do not say .* evaluate clicks_1 to clicks_3"):
        clicks_to(table[table["prompt"] != "clicks_2"])
    with pytest.raises(StudyError, match="no rows of clicks with the mask choice oracle"):
        click_curve(table, mask_choice="oracle")
