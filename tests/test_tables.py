"""Tables hold the aggregates' numbers, side by side or one below the other, in three formats."""

import numpy as np
import pandas as pd
import pytest
from score_tables import both, drawn

from samstudy.errors import StudyError
from samstudy.statistics import skill, summarise
from samstudy.tables import format_cell, format_table, write_tables


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ((0.8712, 0.8351, 0.9049), "0.87 [0.84, 0.90]"),
        ((0.5,), "0.50"),
        ((np.nan, 0.1, 0.2), "–"),
        ((np.inf, 3.0, np.inf), "∞ [3.00, ∞]"),
        ((-0.034, -0.1, -0.0001), "−0.03 [−0.10, 0.00]"),
    ],
)
def test_cells_are_short_text(numbers, text):
    assert format_cell(*numbers) == text


def test_table_lays_prompts_side_by_side():
    table = pd.concat([drawn(), drawn(1, prompt="box_point"), drawn(2, model="vit_b").head(20)])
    summary = summarise(table)
    text = format_table(summary, ["model"], "prompt")
    assert text.columns.tolist() == ["model", "box", "box_point", "n", "groups", "left out"]
    assert text["model"].tolist() == ["vit_t", "vit_b"]
    first = summary.iloc[0]
    assert text["box"][0] == format_cell(first["mean"], first["ci_low"], first["ci_high"])
    assert text["box_point"][1] == "–"
    assert text["n"].tolist() == ["36", "20"]
    assert format_table(summary, ["model", "prompt"]).columns[2] == "Dice mean [95 % interval]"


def test_table_shows_medians_of_distances_and_skill_on_demand():
    summary = summarise(drawn(), metric="hd95")
    assert format_table(summary, ["model"]).iloc[0, 1].startswith(f"{summary['median'].item():.2f} [")
    found = skill(both())
    assert format_table(found, ["model"], value="skill")["Dice skill [95 % interval]"][0].startswith(
        f"{found['skill'].item():.2f} ["
    )


def test_table_refuses_two_numbers_in_one_cell():
    summary = pd.concat([summarise(drawn()), summarise(drawn(1, prompt="box_point"))])
    assert len(format_table(summary, ["model", "prompt"])) == 2
    with pytest.raises(StudyError, match="several aggregates fall into one cell of a table by model;"):
        format_table(summary, ["model"])
    with pytest.raises(StudyError, match="unknown column 'modle'"):
        format_table(summary, ["modle"])


def test_files_hold_the_same_numbers(tmp_path):
    summary = summarise(drawn(target="grey_matter"))
    paths = write_tables(
        summary, tmp_path / "new" / "tab1.dice", ["target", "model"], "prompt", caption="50 % of it."
    )
    assert [path.name for path in paths] == ["tab1.dice.csv", "tab1.dice.md", "tab1.dice.tex"]
    csv, markdown, latex = paths
    assert pd.read_csv(csv)["mean"].item() == summary["mean"].item()
    cell = format_table(summary, ["target", "model"], "prompt")["box"].item()
    assert f"| {cell} " in markdown.read_text()
    assert markdown.read_text().endswith("\n50 % of it.\n")
    assert f"& {cell} &" in latex.read_text()
    for piece in (r"\toprule", r"grey\_matter", r"\caption{50 \% of it.}", r"\label{tab:tab1.dice}"):
        assert piece in latex.read_text()


def test_unwritable_folder_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StudyError, match="cannot write"):
        write_tables(summarise(drawn()), tmp_path / "file" / "tab", ["model"])
