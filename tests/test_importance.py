"""The attribute that makes the Dice is found, those that do not are not, and groups stay apart."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from score_tables import both, drawn

from samstudy.attributes import ATTRIBUTES
from samstudy.errors import StudyError
from samstudy.importance import attribute_correlations, families, family_importance, with_attributes


def made(n_copies=4, cause="contrast"):
    """Scores that one attribute makes, and the attributes of their objects."""
    tables = [drawn(seed).assign(dataset=f"set{seed}") for seed in range(n_copies)]
    table = pd.concat(tables, ignore_index=True)
    rng = np.random.default_rng(1)
    attributes = table[["dataset", "image_id", "group_id", "object_id", "target"]].copy()
    for name in ATTRIBUTES:
        attributes[name] = rng.uniform(size=len(table))
    return table.assign(dice=0.2 + 0.7 * attributes[cause].to_numpy()), attributes


@pytest.mark.parametrize(("cause", "family"), [("contrast", "contrast"), ("size_px", "size")])
def test_the_cause_is_the_most_important_family(cause, family):
    found = family_importance(with_attributes(*made(cause=cause)), n_boot=200).set_index("family")
    assert found["importance"].idxmax() == family
    assert found.loc[family, "ci_low"] > 0
    assert found.loc[family, "r2"] > 0.8
    assert found.drop(family)["importance"].abs().max() < 0.05
    assert list(found.index) == list(families())


def test_noise_explains_nothing():
    table, attributes = made()
    noise = np.random.default_rng(9).uniform(size=len(table))
    found = family_importance(with_attributes(table.assign(dice=noise), attributes), n_boot=200)
    assert found["r2"].iloc[0] < 0.2
    assert (found["ci_low"] < 0.02).all()


def test_few_groups_are_not_judged_and_say_so():
    table, attributes = made(1)
    found = family_importance(with_attributes(table[table["group_id"] < "group_11"], attributes))
    assert found["importance"].isna().all()
    assert found["note"].str.contains("not judged: ").all()


def test_correlations_are_those_of_each_cell():
    found = attribute_correlations(with_attributes(*made())).set_index(["dataset", "attribute"])
    assert found.loc[("set0", "contrast"), "spearman"] == pytest.approx(1)
    assert abs(found.loc[("set0", "solidity"), "spearman"]) < 0.6
    assert (found["n_objects"] == 36).all()
    constant = with_attributes(*made()).assign(n_parts=1.0)
    assert attribute_correlations(constant).set_index("attribute").loc["n_parts", "spearman"].isna().all()


def test_only_scored_rows_of_models_are_explained():
    table, attributes = both(), made(1)[1].assign(dataset="demo")
    table.loc[0, "dice"] = np.nan
    rows = with_attributes(table, attributes)
    assert len(rows) == 35
    assert set(rows["model"]) == {"vit_t"}
    with pytest.raises(StudyError, match="measure the images of this table"):
        with_attributes(table, attributes.iloc[:0])
