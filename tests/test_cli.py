"""The commands as a user types them: files that come out, sentences on bad input, exit status."""

from __future__ import annotations

import errno

import numpy as np
import pandas as pd
import pytest
from drawn import tiny_sam
from PIL import Image

from samstudy import models
from samstudy.cli import DONE, INCOMPLETE, REFUSED, main
from samstudy.models import SamModel
from samstudy.results import COLUMNS, read_table

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def tiny_as_vit_t(monkeypatch):
    """Let the commands run on a tiny model: what is tested here is around it."""
    monkeypatch.setitem(
        models.MODELS._items, "vit_t", lambda _: SamModel("vit_t", tiny_sam(), source="vit_t")
    )


def picture(size_hw=(40, 60)):
    return RNG.integers(0, 255, (*size_hw, 3), dtype=np.uint8)


def run(capsys, *arguments):
    status = main(list(map(str, arguments)))
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def run_folder(capsys, root, output, *more):
    return run(
        capsys, "run", "--dataset", f"folder:{root}", "--models", "vit_t,ellipse", "--prompts", "box,point_center",
        "--output", output, *more,
    )  # fmt: skip


@pytest.fixture
def folder(make_folder, disc):
    """Three images with a disc each."""
    return make_folder({f"{i}.png": picture() for i in "abc"}, {f"{i}.png": disc for i in "abc"})


def test_run_leaves_table_csv_and_overlays(capsys, folder, tmp_path):
    status, out, _ = run_folder(capsys, folder, tmp_path / "out")
    assert status == DONE
    table = read_table(tmp_path / "out" / "scores.parquet")
    assert tuple(table.columns) == COLUMNS
    assert len(table) == 3 * (2 * 4 + 2)
    written = pd.read_csv(tmp_path / "out" / "scores.csv")
    np.testing.assert_array_equal(written.dice, table.dice)
    assert {p.name for p in (tmp_path / "out" / "overlays").glob("*.png")} == {"a.png", "b.png", "c.png"}
    with Image.open(tmp_path / "out" / "overlays" / "a.png") as overlay:
        assert min(overlay.size) > 500
    assert "Dice, mean" in out


def test_two_runs_write_the_same_table(capsys, folder, tmp_path, monkeypatch):
    for name in ("one", "two"):
        monkeypatch.setenv("SAMSTUDY_CACHE", str(tmp_path / f"cache_{name}"))
        assert run_folder(capsys, folder, tmp_path / name, "--overlays", 0)[0] == DONE
    assert (tmp_path / "one" / "scores.csv").read_bytes() == (tmp_path / "two" / "scores.csv").read_bytes()


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--dataset", "mni125", r"unknown dataset 'mni125'; did you mean 'mni152'"),
        ("--dataset", "folder:/no/such/place", "/no/such/place"),
        ("--models", "vit_t,elipse", "unknown model 'elipse'; did you mean 'ellipse'"),
        ("--models", "ellipse,ellipse", "'ellipse' is named twice"),
        ("--models", "nowhere.pth", "no checkpoint at nowhere.pth"),
        ("--prompts", "box,point_centre", "unknown prompt 'point_centre'; did you mean 'point_center'"),
        ("--device", "cpuu", "unknown device 'cpuu'; did you mean 'cpu'"),
        ("--split", "tests", "unknown split 'tests'; did you mean 'test'"),
        ("--limit", "0", "at least 1 image, not 0"),
    ],
)
def test_bad_names_are_refused_before_any_work(capsys, folder, tmp_path, option, value, words):
    status, out, err = run_folder(capsys, folder, tmp_path / "out", option, value)
    assert status == REFUSED
    assert words in err
    assert "Traceback" not in err
    assert out == ""


def test_faulty_files_are_rows_and_the_others_are_kept(capsys, make_folder, disc, tmp_path):
    whole = make_folder({"ok.png": picture()}, {"ok.png": disc}, "whole") / "images" / "ok.png"
    root = make_folder(
        {
            "cut.png": whole.read_bytes()[:600],
            "good.png": picture(),
            "large.png": picture((50, 60)),
            "nomask.png": picture(),
            "text.png": b"not a picture",
        },
        {"cut.png": disc, "good.png": disc, "large.png": disc, "noimage.png": disc, "text.png": disc},
    )
    status, _, err = run_folder(capsys, root, tmp_path / "out")
    assert status == INCOMPLETE
    table = read_table(tmp_path / "out" / "scores.parquet")
    assert set(table[table.status == "ok"].image_id) | set(table[table.status == "pred_empty"].image_id) == {
        "good"
    }
    reasons = table[table.status == "error"].groupby("image_id").error.first()
    assert set(reasons.index) == {"cut", "large", "nomask", "noimage", "text"}
    assert "60x40" in reasons["large"]
    assert "60x50" in reasons["large"]
    for name in reasons.index:
        assert name in err
    status, out, _ = run(capsys, "check", f"folder:{root}")
    assert status == INCOMPLETE
    for name in ("cut.png", "large.png", "nomask.png", "noimage.png", "text.png"):
        assert name in out
    assert "5 of 6 images cannot be used" in out


def test_unusual_masks_are_scored_or_said_to_be_empty(capsys, make_folder, tmp_path):
    one, full = np.zeros((40, 60), np.uint8), np.full((40, 60), 255, np.uint8)
    one[3, 59] = 255
    root = make_folder(
        {f"{n}.png": picture() for n in ("empty", "full", "one")},
        {"empty.png": one * 0, "full.png": full, "one.png": one},
    )
    status, _, _ = run_folder(
        capsys, root, tmp_path / "out", "--prompts", "box,point_center,points_p5n5,boxes_parts"
    )
    table = read_table(tmp_path / "out" / "scores.parquet")
    assert status == DONE
    assert set(table[table.image_id == "empty"].status) == {"ref_empty"}
    assert set(table[table.image_id != "empty"].status) <= {"ok", "pred_empty"}
    assert table[table.image_id == "full"].n_ref_px.unique() == [2400]
    ellipse = table[(table.image_id == "one") & (table.model == "ellipse") & (table.prompt == "box")]
    assert ellipse.dice.tolist() == [1.0]


def test_a_16_bit_radiograph_is_shown_by_its_percentiles(capsys, make_folder, disc, tmp_path):
    deep = (RNG.integers(0, 40, (40, 60)) + 30000 + 100 * disc.astype(int)).astype(np.uint16)
    root = make_folder({"deep.png": Image.fromarray(deep)}, {"deep.png": disc})
    assert run_folder(capsys, root, tmp_path / "out")[0] == DONE


def test_a_truncated_checkpoint_is_refused(capsys, folder, tmp_path):
    path = tmp_path / "sam.pth"
    path.write_bytes(b"PK\x03\x04 cut short")
    status, _, err = run_folder(capsys, folder, tmp_path / "out", "--models", path)
    assert status == REFUSED
    assert "truncated or damaged" in err


def test_an_output_that_is_a_file_is_refused_before_any_work(capsys, folder, tmp_path):
    (tmp_path / "out").touch()
    status, _, err = run_folder(capsys, folder, tmp_path / "out")
    assert status == REFUSED
    assert "choose another output folder" in err


def test_a_full_disk_is_a_sentence(capsys, folder, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("samstudy.results.pq.write_table", full)
    status, _, err = run_folder(capsys, folder, tmp_path / "out")
    assert status == REFUSED
    assert "No space left on device" in err


def test_finetune_leaves_weights_that_load_again(capsys, make_folder, disc, tmp_path):
    names = [f"{i:02d}" for i in range(20)]
    root = make_folder({f"{n}.png": picture() for n in names}, {f"{n}.png": disc for n in names})
    output = tmp_path / "out"
    status, out, _ = run(
        capsys, "finetune", "--dataset", f"folder:{root}", "--shots", 2, "--prompts", "box", "--limit", 2, "--steps", 5,
        "--output", output,
    )  # fmt: skip
    assert status == DONE
    assert "weights.safetensors" in out
    assert set(read_table(output / "scores.parquet").tuning) == {"none", "decoder"}
    both = f"vit_t,{output / 'weights.safetensors'}"
    assert run_folder(capsys, root, tmp_path / "again", "--models", both, "--split", "test")[0] == DONE
    assert set(read_table(tmp_path / "again" / "scores.parquet").shots) == {0, 2}


def test_list_names_everything(capsys):
    status, out, _ = run(capsys, "list")
    assert status == DONE
    for word in ("mni152", "folder:<path>", "vit_t", "vit_h", "medsam", "ellipse", "boxes_parts", "hd95"):
        assert word in out
    status, _, err = run(capsys, "list", "modles")
    assert status == REFUSED
    assert "did you mean 'models'" in err


def test_interruption_says_that_work_is_kept(capsys, folder, tmp_path, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("samstudy.runs.evaluate", interrupt)
    status, _, err = run_folder(capsys, folder, tmp_path / "out")
    assert status == 130
    assert "finished work is kept" in err
