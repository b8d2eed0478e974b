"""What is chosen when nobody names a recipe, and weights between the base and the tuned ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from drawn import DrawnDataset, tiny_sam

from samstudy import models, runs
from samstudy.datasets.base import Reading
from samstudy.errors import StudyError
from samstudy.models import SamModel
from samstudy.tuning import Recipe, choose_recipe, finetune
from samstudy.tuning.blend import End, best_between, between
from samstudy.tuning.choice import AUTOMATIC_RATE, FINE_SIDE
from samstudy.tuning.examples import make_examples

AUTO = ("automatic",)


class Lines(DrawnDataset):
    """Lines one and two pixels wide in place of the disc."""

    info = replace(DrawnDataset.info, name="lines", targets=("line",))

    def _read(self, record):
        reading = super()._read(record)
        line = np.zeros(reading.image.shape[:2], bool)
        line[3:37, 20:22] = line[10, 5:50] = True
        return Reading(reading.image, {"line": line}, spacing_mm=reading.spacing_mm)


@pytest.fixture
def discs():
    """Images of one target that is not thin."""
    return DrawnDataset(18, "tttttttttttt" + "vv" + "eeee", only="disc")


@pytest.fixture
def lines():
    """Images of one target that is."""
    return Lines(6, "tttvee")


def test_a_prompted_tuning_has_the_defaults(tiny_model, lines):
    choice = choose_recipe(tiny_model, lines, 2, ("box", "point_center"))
    assert choice.recipe == Recipe()
    assert not choice.reasons


def test_without_a_prompt_steps_are_larger(tiny_model, discs):
    choice = choose_recipe(tiny_model, discs, 2, AUTO, ("disc",))
    assert choice.recipe == Recipe(prompts=AUTO, targets=("disc",), learning_rate=AUTOMATIC_RATE)
    assert [reason.split(":")[0] for reason in choice.reasons] == ["learning rate 0.001"]


def test_what_is_thin_gets_a_finer_input(tiny_model, lines):
    choice = choose_recipe(tiny_model, lines, 2, AUTO)
    assert choice.recipe.image_size == FINE_SIDE
    assert choice.recipe.flips
    assert "long and thin references have a Dice of 0." in choice.reasons[1]
    assert "on a grid of 32 mask cells" in choice.reasons[1]


def test_a_target_that_is_not_learnt_does_not_decide(tiny_model, discs):
    both = DrawnDataset(6, "tttvee")
    assert choose_recipe(tiny_model, both, 2, AUTO, ("disc",)).recipe.image_size == 0
    assert choose_recipe(tiny_model, both, 2, AUTO, ("dot",)).recipe.image_size == FINE_SIDE


def test_what_is_given_wins_and_is_not_told(tiny_model, lines):
    given = {"learning_rate": 2e-4, "image_size": 96, "flips": False, "steps": 7}
    choice = choose_recipe(tiny_model, lines, 2, AUTO, given=given)
    assert choice.recipe == Recipe(prompts=AUTO, **given)
    assert not choice.reasons


def test_an_input_of_fixed_side_is_told(lines):
    official = SamModel("official", tiny_sam(), source="official")
    official.sam.prompt_encoder.__class__ = official.sam.prompt_encoder.__class__.__mro__[1]
    choice = choose_recipe(official, lines, 2, AUTO)
    assert (choice.recipe.image_size, choice.recipe.flips) == (0, False)
    assert "input of 64 pixels, which this model cannot change, though" in choice.reasons[1]


def test_too_many_shots_are_refused_as_ever(tiny_model, lines):
    with pytest.raises(StudyError, match="choose 1 to 3"):
        choose_recipe(tiny_model, lines, 4, AUTO)


def test_between_is_the_weighted_mean():
    base, tuned = {"w": torch.zeros(2)}, {"w": torch.tensor([1.0, 4.0])}
    assert between(base, tuned, 0.25)["w"].tolist() == [0.25, 1.0]


def along(best, most=100.0):
    """Ends at 0, 2 and 3.5, and a loss that is 1 at ``best`` and grows with the distance."""
    base = {"w": torch.tensor(0.0)}

    def loss_of(state):
        return 1 + most * float((state["w"] - best).abs())

    ends = [(0, base), (20, {"w": torch.tensor(2.0)}), (40, {"w": torch.tensor(3.5)})]
    return base, [End(step, loss_of(state), state) for step, state in ends], loss_of


@pytest.mark.parametrize(
    ("best", "step", "share"),
    [(1.9, 20, 1.0), (1.05, 20, 0.5), (2.6, 40, 0.75), (0.0, 0, 1.0), (9.0, 40, 1.0)],
)
def test_the_weights_of_the_lowest_loss_are_kept(best, step, share):
    base, ends, loss_of = along(best)
    found = best_between(base, ends, (0.25, 0.5, 0.75), loss_of)
    assert (found.step, found.share) == (step, share)
    assert found.loss == loss_of(found.state)


@pytest.mark.parametrize(("most", "step", "share"), [(0.01, 40, 1.0), (0.052, 20, 0.75), (0.5, 0, 1.0)])
def test_where_losses_hardly_differ_the_farthest_are_kept(most, step, share):
    base, ends, loss_of = along(0.0, most)
    found = best_between(base, ends, (0.25, 0.5, 0.75), loss_of)
    assert (found.step, found.share) == (step, share)


def test_without_shares_the_end_of_the_lowest_loss_is_kept():
    base, ends, loss_of = along(0.0, 0.01)
    assert best_between(base, ends, (), loss_of).step == 0


def test_the_kept_weights_are_those_that_the_history_names(tiny_model, discs):
    recipe = Recipe(prompts=("box",), steps=4, validate_every=2, learning_rate=3e-2, blend=(0.5,))
    tuned = finetune(tiny_model, discs, 2, recipe=recipe, progress=False)
    kept, curve = tuned.history["kept"], tuned.history["curve"]
    assert kept["val_loss"] <= 1.1 * min(point["val_loss"] for point in curve)
    assert kept["share"] in (0.5, 1.0)
    plain = finetune(tiny_model, discs, 2, recipe=replace(recipe, blend=()), progress=False)
    assert plain.history["kept"]["share"] == 1.0
    assert plain.history["kept"]["val_loss"] == pytest.approx(min(p["val_loss"] for p in curve))


def test_a_mode_that_draws_nothing_has_one_prompt_and_its_share_of_the_draws(tiny_model, discs):
    recipe = Recipe(prompts=("box", "box_jitter10"), variants=3)
    (example,) = make_examples(tiny_model, discs, ["page0"], recipe, 0)
    assert [prompt.mode for prompt in example.prompts] == ["box", *["box_jitter10"] * 3]
    assert len({prompt.box_xyxy.tobytes() for prompt in example.prompts}) == 4
    rng = np.random.default_rng(0)
    drawn = [example.pick(rng, 1)[0] for _ in range(400)]
    assert drawn.count(0) == pytest.approx(200, abs=40)
    assert sorted(example.pick(rng, 9)) == [0, 1, 2, 3]


def test_without_a_number_ten_images_are_taken_or_all(lines, tmp_path, monkeypatch):
    monkeypatch.setitem(models.MODELS._items, "tiny", lambda _: SamModel("tiny", tiny_sam(), source="tiny"))
    monkeypatch.setattr(runs, "load_dataset", lambda *_, **__: lines)
    report = runs.run_finetuning("lines", "tiny", None, ["box"], tmp_path / "out", steps=1, blend=())
    assert set(report.table["shots"]) == {0, 3}
    assert "samstudy predict --weights" in report.summary
    assert "--prompts BOXES.csv" in report.summary
