"""The score table: its columns, its file, and where it came from.

One row is one object x model x prompt x mask choice. The table's content depends on data, models and
configuration alone; commit, command, versions and time are in the Parquet file's metadata.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from samstudy.errors import StudyError
from samstudy.paths import written_whole
from samstudy.provenance import provenance, record_output

SCHEMA_VERSION = "4"
METADATA_KEY = b"samstudy"

_TEXT = (
    "dataset modality split image_id group_id object_id target model weights_sha tuning prompt mask_choice "
    "dataset_options distance_unit status error"
).split()
_WHOLE = "shots fold prompt_seed n_points n_proposals n_ref_px n_pred_px height width".split()

COLUMNS: tuple[str, ...] = tuple(
    (
        "dataset modality dataset_options split image_id group_id object_id target model weights_sha tuning shots fold "
        "prompt prompt_seed n_points box_jitter_px n_proposals mask_choice dice iou nsd hd95 assd cldice recall_thin "
        "recall_medium recall_thick nsd_tolerance distance_unit iou_pred n_ref_px n_pred_px status error height width"
    ).split()
)
"""Columns in order. ``dataset_options`` states what changes the reference or the image (threshold of a soft map, slice
rule); ``n_proposals`` is how many objects everything mode proposed in the image, missing for other modes;
``status`` is ok, ref_empty, pred_empty or error; distances are in ``distance_unit``."""

KEY: tuple[str, ...] = (
    "dataset", "image_id", "object_id", "model", "weights_sha", "tuning", "shots", "fold", "prompt", "mask_choice",
)  # fmt: skip
"""Columns that together name a row."""


def make_table(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Put rows into the schema.

    Parameters
    ----------
    rows : iterable of mapping
        Keys among :data:`COLUMNS`; what is absent becomes missing.

    Returns
    -------
    pandas.DataFrame
        All columns in order: text as ``str``, whole numbers as nullable ``Int64``, the rest float64. No
        rows give an empty table with the same columns and types.
    """
    return with_schema(pd.DataFrame(list(rows), columns=list(COLUMNS)))


def with_schema(table: pd.DataFrame) -> pd.DataFrame:
    """Give the columns of :data:`COLUMNS` their order and types.

    Raises
    ------
    StudyError
        If a column is missing.
    """
    missing = [name for name in COLUMNS if name not in table]
    if missing:
        raise StudyError(f"this is not a score table: the columns {', '.join(missing)} are missing.")
    kinds = {
        name: "object" if name in _TEXT else "Int64" if name in _WHOLE else "float64" for name in COLUMNS
    }
    table = table[list(COLUMNS)].astype(kinds).reset_index(drop=True)
    table[_TEXT] = table[_TEXT].fillna("")
    return table


def write_table(table: pd.DataFrame, path: str | Path, config: Mapping[str, Any] | None = None) -> Path:
    """Write a score table as Parquet with its provenance, unless the same content is there already.

    Parameters
    ----------
    table : pandas.DataFrame
        With the schema's columns.
    path : str or pathlib.Path
        ``.parquet`` file. It is left untouched where it holds the same rows and configuration, so that
        nothing that depends on it is built again.
    config : mapping, optional
        JSON-ready facts to keep beside the table (study and split hash, device, arguments).

    Returns
    -------
    pathlib.Path
        The file.
    """
    return write_parquet(with_schema(table), path, config, read_table)


def write_parquet(
    table: pd.DataFrame,
    path: str | Path,
    config: Mapping[str, Any] | None = None,
    read: Callable[[Path], pd.DataFrame] | None = None,
) -> Path:
    """Write a table of any columns as :func:`write_table` writes a score table.

    ``table``, ``path``, ``config`` and the result are as there. ``read`` gives the rows that a file holds in the
    types of ``table``, by default :func:`read_parquet`, which leaves them to pandas.
    """
    path, table, config = Path(path), table.reset_index(drop=True), dict(config or {})
    if not _holds(path, table, config, read or read_parquet):
        arrow = pa.Table.from_pandas(table, preserve_index=False)
        facts = {"schema_version": SCHEMA_VERSION, "config": config, **provenance()}
        metadata = {**(arrow.schema.metadata or {}), METADATA_KEY: json.dumps(facts).encode()}
        with written_whole(path) as temporary:
            pq.write_table(arrow.replace_schema_metadata(metadata), temporary)
    record_output(path)
    return path


def _holds(path: Path, table: pd.DataFrame, config: dict, read: Callable[[Path], pd.DataFrame]) -> bool:
    if not path.is_file():
        return False
    try:
        same_config = read_provenance(path)["config"] == json.loads(json.dumps(config))
        return same_config and read(path).equals(table)
    except StudyError:
        return False


def read_table(path: str | Path) -> pd.DataFrame:
    """Read a score table.

    Raises
    ------
    StudyError
        If the file is missing, damaged, or not a score table.
    """
    return with_schema(read_parquet(path))


def read_parquet(path: str | Path) -> pd.DataFrame:
    """Read a table of :func:`write_parquet` or a score table, with the columns it has.

    Raises
    ------
    StudyError
        If the file is missing or damaged.
    """
    path = Path(path)
    if not path.is_file():
        raise StudyError(f"no score table at {path}: run the notebook or `samstudy run` that makes it.")
    try:
        return pq.read_table(path).to_pandas()
    except (pa.ArrowException, OSError) as error:
        raise StudyError(
            f"{path} is not a readable Parquet file ({error}): delete it and run again."
        ) from error


def read_provenance(path: str | Path) -> dict[str, Any]:
    """Return what :func:`write_table` noted beside the rows.

    Raises
    ------
    StudyError
        If the file is no score table of this study.
    """
    try:
        return json.loads(pq.read_schema(path).metadata[METADATA_KEY])
    except (pa.ArrowException, OSError, KeyError, TypeError) as error:
        raise StudyError(f"{path} holds no provenance: it was not written by samstudy.") from error
