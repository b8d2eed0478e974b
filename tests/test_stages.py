"""The stage ``fine_tune``: its models by repetition, method and number of images, and that they are kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from drawn import DrawnDataset, tiny_sam

from samstudy import models, stages
from samstudy.errors import StudyError
from samstudy.models import SamModel
from samstudy.paths import table_path
from samstudy.results import read_provenance

GRID = {
    "about": "a test",
    "datasets": ["phantom_drive"],
    "models": ["vit_t"],
    "prompts": ["box"],
    "zero_shot": {"limit": None},
}
TUNING = {
    "model": "vit_t",
    "shots": [1, "all"],
    "prompts": ["box"],
    "limit": 2,
    "seeds": [4, 2],
    "steps": 1,
}


@pytest.fixture
def project(monkeypatch, tmp_path: Path):
    """Return ``project(**fine_tuning)``: a project whose only data set is drawn, tuned as stated."""
    discs = DrawnDataset(15, "ttttttt" + "vvv" + "eeeee", only="disc")
    discs.info = replace(discs.info, targets=("disc",))
    monkeypatch.setitem(models.MODELS._items, "tiny", lambda _: SamModel("tiny", tiny_sam(), source="tiny"))
    monkeypatch.setenv("SAMSTUDY_ROOT", str(tmp_path))
    monkeypatch.setattr(stages, "load_dataset", lambda *_, **__: discs)

    def make(**changes: object) -> DrawnDataset:
        grid = GRID | {"fine_tuning": TUNING | changes}
        (tmp_path / "study.yaml").write_text(yaml.safe_dump({"seed": 0, "profiles": {"demo": grid}}))
        return discs

    return make


def tuned(**settings: object) -> list[SamModel]:
    return [
        model
        for _, _, found in stages.tuned_models("phantom_drive", model="tiny", device="cpu", **settings)
        for model in found
    ]


def test_every_repetition_has_every_number_of_images(project):
    project()
    found = tuned()
    assert [(m.fold, m.shots, m.history["repetition"]["seed"]) for m in found] == [
        (0, 1, 4), (0, 7, 4), (1, 1, 2), (1, 7, 2)
    ]  # fmt: skip


def test_folds_deal_other_validation_images_and_all_is_what_every_fold_has(project):
    discs = project(folds=3)
    found = tuned(seeds=[0])
    assert [(m.fold, m.shots) for m in found] == [(0, 1), (0, 6), (1, 1), (1, 6), (2, 1), (2, 6)]
    validated = [set(m.history["val_ids"]) for m in found if m.shots == 1]
    assert sorted(i for ids in validated for i in ids) == sorted(discs.ids("train") + discs.ids("val"))
    trained = {image_id for m in found for image_id in m.history["train_ids"]}
    assert not trained & set(discs.ids("test"))
    table = stages.fine_tune("phantom_drive", model="tiny", device="cpu", seeds=[0])
    after = table[table["tuning"] == "decoder"]
    assert set(after["fold"]) == {0, 1, 2}
    assert after.groupby("fold")["image_id"].nunique().eq(2).all()
    assert set(table["split"]) == {"test"}
    recipe = read_provenance(table_path("demo", "phantom_drive", "fine_tune"))["config"]["recipe"]
    assert recipe["shots"] == [1, 6]
    assert recipe["repetitions"] == [f"seed 0, fold {fold} of 3" for fold in range(3)]


def test_a_kept_model_is_taken_and_shares_the_encoder_of_its_base(project, monkeypatch):
    project(seeds=[0])
    base = models.load_model("tiny", "cpu")
    first = [model for _, _, found in stages.tuned_models("phantom_drive", model=base) for model in found]
    monkeypatch.setattr(stages, "finetune", lambda *_: pytest.fail("tuned again"))
    again = [model for _, _, found in stages.tuned_models("phantom_drive", model=base) for model in found]
    assert [m.weights_sha for m in again] == [m.weights_sha for m in first]
    assert all(m.sam.image_encoder is base.sam.image_encoder for m in again)
    assert all(m.encoder_sha == base.encoder_sha for m in again)


def test_a_curve_of_its_own_takes_the_place_of_the_rest(project):
    project(curves={"datasets": ["phantom_drive"], "shots": [2], "seeds": [1], "folds": 2})
    assert [(m.fold, m.shots) for m in tuned()] == [(0, 2), (1, 2)]
    assert [(m.fold, m.shots) for m in tuned(shots=[1], folds=1)] == [(0, 1)]


def test_an_unknown_stage_is_refused():
    with pytest.raises(
        StudyError, match="unknown stage 'transfers'; use one of zero_shot, fine_tune, controls"
    ):
        stages.read("demo", "transfers")
