"""A group on two sides of a split is refused, however the split was made, and when it was changed after tuning."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from drawn import DrawnDataset, tiny_sam
from drawn_files import write_nifti
from PIL import Image

from samstudy import models
from samstudy.datasets import load_dataset
from samstudy.datasets.folder import FolderDataset
from samstudy.datasets.own import own_dataset
from samstudy.errors import StudyError
from samstudy.evaluation import evaluate
from samstudy.folds import DealtDataset
from samstudy.leakage import groups_seen, refuse_shared_groups
from samstudy.models import SamModel, load_model
from samstudy.tuning import Recipe, finetune, save_tuned

QUICK = Recipe(prompts=("box",), steps=1, validate_every=1, prompts_per_image=1, variants=1)
LEAK = "is on both sides of the split in"


class Regrouped(DrawnDataset):
    """Made in Python: groups, and perhaps parts, are told by methods of its own."""

    groups: ClassVar[dict[str, str]] = {}

    def group_of(self, image_id):
        """Another group than the record's, where the test says so."""
        return self.groups.get(image_id, super().group_of(image_id))


def regrouped(groups):
    made = Regrouped(only="disc")
    made.groups = groups
    return made


def write_splits(root, rows):
    pd.DataFrame(rows, columns=["image_id", "group_id", "split"]).to_csv(root / "splits.csv", index=False)


def test_a_folder_with_a_table(make_folder, disc):
    names = ("a1.png", "a2.png", "b1.png")
    root = make_folder(dict.fromkeys(names, disc), dict.fromkeys(names, disc))
    rows = [("a1", "ann", "train"), ("a2", "ann", "val"), ("b1", "bob", "test")]
    write_splits(root, rows)
    with pytest.raises(StudyError, match=rf"'ann' {LEAK} splits.csv: 'a1' is train and 'a2' is val"):
        FolderDataset(root)
    write_splits(root, [rows[0], ("a2", " ann ", "train"), rows[2]])
    assert FolderDataset(root).ids("train") == ["a1", "a2"]


def test_a_folder_whose_names_tell_the_groups(make_folder, disc):
    names = ("a1.png", "a2.png", "b1.png")
    root = make_folder(dict.fromkeys(names, disc), dict.fromkeys(names, disc))
    write_splits(root, [("a1", "", "train"), ("a2", "", "test"), ("b1", "", "val")])
    assert len(FolderDataset(root)) == 3
    with pytest.raises(StudyError, match=f"'a' {LEAK} splits.csv"):
        FolderDataset(root, groups="^([ab])")


def test_slices_of_a_volume_in_a_table(make_folder):
    volume = np.zeros((8, 8, 3), np.int16)
    volume[2:5, 2:5] = 1
    root = make_folder({}, {})
    for folder in ("images", "masks"):
        write_nifti(root / folder / "ct.nii.gz", volume)
    write_splits(root, [("ct_z000", "", "train"), ("ct_z001", "", "train"), ("ct_z002", "", "test")])
    with pytest.raises(StudyError, match=f"'ct' {LEAK} splits.csv: 'ct_z000' is train and 'ct_z002' is test"):
        FolderDataset(root)


@pytest.mark.parametrize("splits", ["folders", "parts.csv"])
def test_own_data_by_folders_and_by_table(splits, tmp_path, disc):
    for part, name in (("train", "P1_left"), ("test", "P1_right"), ("test", "P2_left")):
        for end in ("", "_mask"):
            path = tmp_path / "set" / part / f"{name}{end}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(disc).save(path)
    (tmp_path / "parts.csv").write_text("image_id,split\nP1_left,train\nP1_right,test\nP2_left,test\n")
    given = splits if splits.endswith("csv") else {"train": "train", "test": "test"}
    entry = {
        "root": "set",
        "images": "*/{patient}_{side}.png",
        "masks": "*/{patient}_{side}_mask.png",
        "splits": given,
    }
    assert len(own_dataset("mine", entry, tmp_path)) == 3
    with pytest.raises(
        StudyError, match=rf"'P1' {LEAK} (the folders|splits.csv): 'P1_left' is train and 'P1_right'"
    ):
        own_dataset("mine", entry | {"groups": "^(P[0-9]+)"}, tmp_path)


def test_an_official_loader_with_a_committed_table(tree, tmp_path, monkeypatch):
    root = tree("drive")
    monkeypatch.setattr("samstudy.datasets.official.splits_dir", lambda: tmp_path)
    table = tmp_path / "drive.csv"
    table.write_text("image_id,group_id,split\n*,,official\n")
    ids = load_dataset("drive", root=root).ids("train")
    assert ids
    table.write_text(f"image_id,group_id,split\n{ids[0]},eye,test\n{ids[1]},eye,train\n*,,official\n")
    with pytest.raises(StudyError, match=f"'eye' {LEAK} drive.csv"):
        load_dataset("drive", root=root)


def test_a_data_set_made_in_python(tiny_model):
    leaking = regrouped({"page0": "shared", "page3": "shared"})
    with pytest.raises(StudyError, match=rf"'shared' {LEAK} drawn: 'page0' is train and 'page3' is val"):
        finetune(tiny_model, leaking, 1, recipe=QUICK, progress=False)
    with pytest.raises(StudyError, match="'page1' is train and 'page4' is test"):
        finetune(tiny_model, regrouped({"page1": "s", "page4": "s"}), 1, recipe=QUICK, progress=False)


def test_an_image_in_two_parts(tiny_model, drawn, monkeypatch):
    parts = {"train": ["page0", "page1"], "val": ["page3"], "test": ["page1", "page4"]}
    monkeypatch.setattr(drawn, "ids", lambda split=None: parts[split or "test"], raising=False)
    with pytest.raises(StudyError, match="'page1' is train and 'page1' is test"):
        refuse_shared_groups(drawn)


def test_nothing_is_computed_before_the_groups_are_checked(tiny_model, monkeypatch):
    leaking = regrouped({"page0": "shared", "page3": "shared"})
    monkeypatch.setattr(Regrouped, "_read", lambda *_: pytest.fail("an image was read"))
    with pytest.raises(StudyError, match=LEAK):
        finetune(tiny_model, leaking, 1, recipe=QUICK, progress=False)


def test_folds_of_a_leaking_split_are_refused():
    twins = DrawnDataset()
    twins._records["page3"] = replace(twins.record("page3"), group_id="group4")
    with pytest.raises(
        StudyError, match=f"'group4' {LEAK} the folds of drawn: 'page3' is val and 'page4' is test"
    ):
        DealtDataset(twins, {"group4"})


@pytest.fixture
def tuned(tiny_model, drawn):
    """Tuned on two of three training images and one validation image of the drawn set."""
    return finetune(tiny_model, drawn, 2, recipe=QUICK, progress=False)


def test_the_history_names_the_groups(tuned, drawn):
    assert tuned.history["train_groups"] == [drawn.group_of(i) for i in tuned.history["train_ids"]]
    assert tuned.history["val_groups"] == ["group3"]


@pytest.mark.parametrize("split", ["train", "val", "all"])
def test_scoring_on_what_was_tuned_with_is_refused(split, tuned, drawn, tiny_model):
    with pytest.raises(
        StudyError, match=r"'page\d' of drawn belongs to the group 'group\d', and the tuned model"
    ):
        evaluate(drawn, [tiny_model, tuned], ["box"], split=split, progress=False)
    assert len(evaluate(drawn, [tiny_model, tuned], ["box"], split="test", progress=False))
    assert len(evaluate(drawn, [tiny_model], ["box"], split=split, progress=False))


def test_a_split_that_was_changed_after_tuning(tuned):
    seen = re.sub(r"\D", "", tuned.history["train_ids"][0])
    parts = "".join("e" if str(i) == seen else "v" if i == 3 else "t" for i in range(6))
    with pytest.raises(StudyError, match=f"was trained on 'page{seen}' of the same group"):
        evaluate(DrawnDataset(splits=parts), [tuned], ["box"], progress=False)


def test_another_image_of_a_seen_group(tuned):
    moved = regrouped({"page5": "group3"})
    with pytest.raises(
        StudyError, match=r"'page5' of drawn .* chose its weights by 'page3' of the same group"
    ):
        evaluate(moved, [tuned], ["box"], progress=False)


def test_another_data_set_is_not_refused(tuned):
    other = DrawnDataset(splits="eeeeee")
    other.info = replace(other.info, name="other")
    assert groups_seen(tuned.history, other) == {}
    assert len(evaluate(other, [tuned], ["box"], limit=2, progress=False))


def test_files_from_before_groups_were_kept(tiny_model, tuned, drawn, monkeypatch, tmp_path):
    monkeypatch.setitem(models.MODELS._items, "tiny", lambda _: SamModel("tiny", tiny_sam(), source="tiny"))
    for part in ("train", "val"):
        del tuned.history[f"{part}_groups"]
    back = load_model(save_tuned(tuned, tmp_path / "w.safetensors"))
    with pytest.raises(StudyError, match="was trained on"):
        evaluate(drawn, [back], ["box"], split="train", progress=False)
    assert groups_seen(back.history | {"train_ids": ["gone"], "val_ids": []}, drawn) == {}
