"""The score table on disk: schema, provenance, and files left alone when nothing changed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from samstudy.errors import StudyError
from samstudy.paths import written_whole
from samstudy.provenance import provenance, record_output, table_hash
from samstudy.results import COLUMNS, make_table, read_provenance, read_table, write_table

ROWS = [
    {
        "dataset": "d",
        "image_id": "1",
        "object_id": "disc",
        "dice": 1 / 3,
        "hd95": np.inf,
        "shots": 0,
        "status": "ok",
    },
    {"dataset": "d", "image_id": "2", "status": "error", "error": "truncated"},
]


def test_columns_are_the_design_s_and_missing_values_survive_the_file(tmp_path):
    table = make_table(ROWS)
    assert tuple(table.columns) == COLUMNS
    path = write_table(table, tmp_path / "t.parquet")
    read = read_table(path)
    pd.testing.assert_frame_equal(read, table)
    assert read.dice[0] == 1 / 3
    assert np.isinf(read.hd95[0])
    assert np.isnan(read.dice[1])
    assert read.shots[1] is pd.NA
    assert read.error.tolist() == ["", "truncated"]


def test_no_rows_give_an_empty_table_of_the_same_types(tmp_path):
    empty = make_table([])
    assert empty.dtypes.equals(make_table(ROWS).dtypes)
    assert read_table(write_table(empty, tmp_path / "t.parquet")).empty


def test_provenance_is_beside_the_rows(tmp_path):
    path = write_table(make_table(ROWS), tmp_path / "t.parquet", {"seed": 3})
    facts = read_provenance(path)
    assert facts["config"] == {"seed": 3}
    assert facts["schema_version"] == "4"
    assert {"git_commit", "git_dirty", "command", "versions", "created_utc", "code_sha"} <= facts.keys()


def test_the_same_content_leaves_the_file_alone_and_another_replaces_it(tmp_path):
    path = write_table(make_table(ROWS), tmp_path / "t.parquet", {"seed": 3})
    before = path.stat().st_mtime_ns
    write_table(make_table(ROWS), path, {"seed": 3})
    assert path.stat().st_mtime_ns == before
    write_table(make_table(ROWS), path, {"seed": 4})
    assert read_provenance(path)["config"] == {"seed": 4}
    write_table(make_table(ROWS[:1]), path, {"seed": 4})
    assert len(read_table(path)) == 1


@pytest.mark.parametrize(
    ("content", "words"), [(None, "no score table at"), (b"PAR1 cut", "not a readable Parquet file")]
)
def test_missing_and_damaged_files(tmp_path, content, words):
    path = tmp_path / "t.parquet"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(StudyError, match=words):
        read_table(path)


def test_another_parquet_is_no_score_table(tmp_path):
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(StudyError, match="not a score table: the columns dataset, modality"):
        read_table(tmp_path / "t.parquet")
    with pytest.raises(StudyError, match="not written by samstudy"):
        read_provenance(tmp_path / "t.parquet")


def test_the_hash_names_the_content():
    table = make_table(ROWS)
    assert table_hash(table) == table_hash(table.copy())
    assert table_hash(table) != table_hash(table[::-1])
    assert table_hash(table) != table_hash(table.assign(dice=table.dice + 1e-15))


def test_a_failed_write_leaves_the_old_file_and_no_rest(tmp_path):
    path = tmp_path / "t.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), written_whole(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert [p.name for p in tmp_path.iterdir()] == ["t.txt"]
    assert path.read_text() == "old"


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(StudyError, match=r"cannot write .*choose another output folder"),
        written_whole(tmp_path / "file" / "t.txt"),
    ):
        pass


def test_outputs_are_recorded_only_when_asked(tmp_path, monkeypatch):
    monkeypatch.delenv("SAMSTUDY_OUTPUTS", raising=False)
    record_output(tmp_path / "a.png")
    log = tmp_path / "log"
    monkeypatch.setenv("SAMSTUDY_OUTPUTS", str(log))
    record_output(tmp_path / "a.png")
    assert log.read_text().endswith("a.png\n")


def test_provenance_names_no_host():
    assert "node" not in provenance()["platform"]
