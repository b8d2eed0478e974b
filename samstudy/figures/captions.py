"""The caption of every figure and table: what is in it, how many, and what has to be known to read it."""

from __future__ import annotations

from typing import Any

import pandas as pd

from samstudy.cells import OBJECT
from samstudy.figures import palette
from samstudy.figures.common import INTERVALS, info_of, interval_words, stamps
from samstudy.phantoms import shown_name
from samstudy.prompts import PROMPTS


def standard_caption(dataset: Any, table: pd.DataFrame) -> str:
    """Write the sentences that every caption of a score table owes its reader.

    Parameters
    ----------
    dataset : Dataset or DatasetInfo or None
        Its title, kind of group and note on intervals are said; with None the names in the table.
    table : pandas.DataFrame
        Score table the figure was drawn from.

    Returns
    -------
    str
        Data, split and counts; what was left out; where prompts come from; what the oracle and the
        intervals are; the stamps. An empty table gives the general sentences only.
    """
    info = info_of(dataset)
    sentences = [*_counts(info, table), "Prompts are simulated from the reference masks."]
    if palette.ORACLE in set(table.get("mask_choice", ())):
        sentences.append("The oracle picks the candidate by the reference, which no user has.")
    note = getattr(info, "interval_note", "")
    if not table.empty and interval_words(table) != INTERVALS:
        sentences.append(f"There are {interval_words(table)}.")
    else:
        noun = getattr(info, "group_noun", "group")
        sentences.append(f"Intervals are 95 % bootstrap intervals over the unit '{noun}'.")
    sentences.extend(
        f"{text[0].upper()}{text[1:].rstrip('.')}." for text in [note, *stamps(table, info)] if text
    )
    return " ".join(sentences)


def _counts(info: Any, table: pd.DataFrame) -> list[str]:
    if table.empty:
        return []
    title = getattr(info, "title", "") or ", ".join(map(shown_name, table["dataset"].unique()))
    splits = "/".join(table["split"].dropna().astype(str).unique()) if "split" in table else ""
    objects = table.drop_duplicates(OBJECT)
    if "prompt" in table:
        # a target that is asked for as a whole is no object beside its instances
        each = table[~table["prompt"].isin([name for name in PROMPTS if PROMPTS[name].per_target])]
        objects = (each if len(each) else table).drop_duplicates(OBJECT)
    n_images = len(objects.drop_duplicates(["dataset", "image_id"]))
    n_groups = len(objects.drop_duplicates(["dataset", "group_id"]))
    said = f"{title}{f', split {splits}' if splits else ''}: {_number(len(objects), 'object')}"
    counts = [f"{said} in {_number(n_images, 'image')} of {_number(n_groups, 'group')}."]
    unscored = int(table["dice"].isna().sum())
    if unscored:
        counts.append(f"{unscored} of {len(table)} rows have no score and are left out.")
    return counts


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
