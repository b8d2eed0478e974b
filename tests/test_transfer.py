"""Transfer: what was tuned on one data set is asked on the others, paired with its base, and told apart on reading."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from drawn import DrawnDataset, tiny_sam

from samstudy import sensitivity, transfer
from samstudy.errors import DataError, StudyError
from samstudy.evaluation import evaluate
from samstudy.hypotheses import Hypotheses
from samstudy.models import SamModel
from samstudy.paths import table_path
from samstudy.results import KEY, read_provenance, read_table, write_table
from samstudy.returned import rates
from samstudy.study import Profile, Study, ZeroShot
from samstudy.transferred import ORIGIN, say_transfer, transfer_gains
from samstudy.tuning import Recipe
from samstudy.tuning_plan import FineTuning

PROMPTS = ("box", "point_center")


def named(name, **more):
    made = DrawnDataset(**more)
    made.info = replace(made.info, name=name)
    return made


def tuned(seed, shots=3):
    """A tiny SAM of the base's encoder and of other decoder weights."""
    model = SamModel("tiny", tiny_sam(), "decoder", shots, source="tiny")
    model.sam.mask_decoder.load_state_dict(tiny_sam(seed).mask_decoder.state_dict())
    return model


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A profile of three drawn data sets, one of them the control, with stages that tune nothing."""
    sets = {
        "here": named("here"),
        "there": named("there", splits="tve"),
        "scenes": named("scenes", n_images=8),
    }
    models = {("disc",): [tuned(1)], ("dot",): [tuned(2)]}
    fine_tuning = FineTuning("tiny", (3,), PROMPTS, None, (0,), 1, transfer_limit=1)
    plan = Profile("demo", "a test", tuple(sets), ("tiny",), PROMPTS, PROMPTS, ZeroShot(None), fine_tuning, 0)
    whole = Study(tmp_path, "0" * 64, 0, {"demo": plan}, {}, {}, Hypotheses(("scenes",)))
    asked = []

    def tuned_models(*arguments):
        asked.append(arguments)
        for targets, of_target in models.items():
            yield targets, Recipe(prompts=PROMPTS, targets=targets), of_target
        coarse = SamModel("tiny", tiny_sam(3), "decoder", 3)
        yield ("disc",), Recipe(prompts=("automatic",), targets=("disc",)), [coarse]

    def load_dataset(name):
        if isinstance(sets[name], Exception):
            raise sets[name]
        return sets[name]

    monkeypatch.setenv("SAMSTUDY_ROOT", str(tmp_path))
    for module in (transfer, sensitivity):
        monkeypatch.setattr(module, "tuned_models", tuned_models)
        monkeypatch.setattr(module, "load_dataset", load_dataset)
        monkeypatch.setattr(module, "load_model", lambda *_: SamModel("tiny", tiny_sam(), source="tiny"))
        monkeypatch.setattr(module, "load_profile", lambda _: plan)
        monkeypatch.setattr(module, "load_study", lambda: whole)
        monkeypatch.setattr(module, "tunable_datasets", lambda _: ("here", "there"))
    monkeypatch.setattr(transfer, "present_datasets", lambda _: tuple(sets))
    return {"sets": sets, "models": models, "asked": asked}


def test_every_decoder_is_tried_on_every_other_set_beside_its_base(study):
    table = transfer.run("here")
    assert study["asked"][0][3:] == ([3], None, [0], "auto", ["decoder"])
    assert set(table["tuned_target"]) == {"", "disc", "dot"}
    other = table[table["dataset"] == "there"]
    assert set(zip(other["tuned_target"], other["target"], strict=True)) == {
        (model, target) for model in ("", "disc", "dot") for target in ("disc", "dot")
    }
    assert set(other["trial"]) == {"", "other"}
    assert len(other.drop_duplicates("image_id")) == 1
    control = table[table["dataset"] == "scenes"]
    assert set(control["trial"]) == {"", "general"}
    assert control["image_id"].nunique() == len(study["sets"]["scenes"].ids("test"))
    own = table[(table["dataset"] == "here") & (table["tuning"] != "none")]
    assert (own["target"] == own["tuned_target"]).all()
    assert set(own["trial"]) == {"own"}
    assert "automatic" in read_provenance(table_path("demo", "here", "transfer"))["config"]["left_out"]


def test_a_gain_is_that_of_the_same_objects(study):
    table = transfer.run("here", limit=2)
    found = transfer_gains(table)
    cell = found[
        (found["tuned_target"] == "dot") & (found["dataset"] == "there") & (found["prompt"] == "box")
    ]
    direct = evaluate(
        study["sets"]["there"], [SamModel("tiny", tiny_sam()), *study["models"][("dot",)]], ["box"], limit=2
    )
    means = direct[direct["mask_choice"] == "single"].groupby("tuning")["dice"].mean()
    assert cell["gain"].tolist() == pytest.approx([means["decoder"] - means["none"]])
    assert cell["n_objects"].tolist() == [4]


def test_all_tables_together_hold_the_base_once(study):
    one = transfer.run("here")
    study["models"][("disc",)] = [tuned(5)]
    other = transfer.run("there")
    table = transfer.read()
    assert not table.duplicated([*KEY, *ORIGIN]).any()
    assert set(table["tuned_on"]) == {"", "here", "there"}
    tried = [each[each["tuned_on"] != ""] for each in (one, other)]
    assert len(table[table["tuned_on"] != ""]) == sum(map(len, tried))
    pooled = transfer_gains(table, ("prompt", "trial")).set_index(["prompt", "trial"])
    gains = transfer_gains(table)
    for (prompt, trial), row in pooled.iterrows():
        cells = gains[(gains["prompt"] == prompt) & (gains["trial"] == trial)]
        assert row["gain"] == pytest.approx(np.average(cells["gain"], weights=cells["n_scores"]))


def test_a_tuning_that_found_nothing_better_changes_nothing(study):
    for targets in study["models"]:
        study["models"][targets] = [SamModel("tiny", tiny_sam(), "decoder", 3)]
    found = transfer_gains(transfer.run("here"))
    assert set(found["tuned_target"]) == {"disc", "dot"}
    assert (found["gain"] == 0).all()
    assert "0 lose and 0 gain more than 0.01" in say_transfer(transfer.read())


def test_models_of_different_numbers_of_images_are_pooled(study):
    transfer.run("here")
    study["models"] |= {("disc",): [tuned(5, shots=7)], ("dot",): [tuned(6, shots=7)]}
    transfer.run("there")
    said = say_transfer(transfer.read())
    assert said.startswith("4 decoder(s), ")
    assert said.count("(forgetting)") == 2
    assert "Of 4 pair(s) of decoder" in said


def test_a_set_that_cannot_be_read_is_left_out_and_said(study):
    study["sets"]["there"] = DataError("there: the archive is not here.")
    table = transfer.run("here")
    assert "there" not in set(table["dataset"])
    config = read_provenance(table_path("demo", "here", "transfer"))["config"]
    assert config["left_out"]["there"] == "there: the archive is not here."


def test_no_transfer_is_a_sentence_and_no_file(study):
    table = transfer.run("here", limit=0)
    assert table.empty
    assert set(ORIGIN) <= set(table)
    assert not table_path("demo", "here", "transfer").is_file()
    assert say_transfer(table).startswith("Not tried here: ")
    assert say_transfer(transfer.read()).startswith("Not tried here: ")
    with pytest.raises(StudyError, match="no row of the base"):
        transfer_gains(transfer.run("here").query("tuned_on != ''"))


def test_a_score_table_of_another_stage_is_refused(study, tmp_path):
    table = evaluate(study["sets"]["here"], [tuned(1)], ["box"])
    path = write_table(table, tmp_path / "here.transfer.parquet")
    with pytest.raises(StudyError, match="does not say what its models were tuned on"):
        transfer.read_file(path)
    assert len(read_table(path)) == len(table)


def test_the_tuned_models_of_a_data_set_are_prompted_elsewhere(study):
    base, here = SamModel("tiny", tiny_sam()), study["sets"]["here"]
    assert sensitivity.read().empty
    write_table(evaluate(here, [base], ["box"], limit=1), table_path("demo", "here", "fine_tune"))
    table = sensitivity.run("here")
    path = table_path("demo", "here", "sensitivity")
    config = read_provenance(path)["config"]
    assert config["left_out"] == {"automatic": "it names no single place that could be moved"}
    assert set(table["image_id"]) == {here.ids("test")[0]}
    assert set(zip(table["target"], table["tuning"], strict=True)) == {
        (target, tuning) for target in ("disc", "dot") for tuning in ("none", "decoder")
    }
    pd.testing.assert_frame_equal(sensitivity.read(), table)
    assert len(rates(table)) == 8
    written = path.stat().st_mtime_ns
    sensitivity.run("here")
    assert path.stat().st_mtime_ns == written
    with pytest.raises(StudyError, match="no score table"):
        sensitivity.run("there")
