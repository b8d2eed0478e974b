"""The parameters a notebook template declares, and whether given values fit them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import papermill
import yaml

from samstudy.errors import StudyError, unknown_name

_NULL_WORDS = ("null", "None", "~", "")
_WORDS = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "list": "a list such as [box, point_center]",
    "list[str]": "a list of names such as [box, point_center]",
    "list[int]": "a list of whole numbers such as [1, 5]",
}


@dataclass(frozen=True)
class Parameter:
    """One line of a template's parameters cell: ``name: type = default  # help``.

    Attributes
    ----------
    name, type, help : str
        ``type`` is the annotation as written, or ``"None"`` where there is none.
    nullable : bool
        Whether the default is None, so that None may be given.
    """

    name: str
    type: str
    nullable: bool
    help: str

    def describe(self) -> str:
        """Return what may be given, in words."""
        return _WORDS.get(self.type, "a value") + (" or null" if self.nullable else "")


def read_parameters(template: str | Path) -> dict[str, Parameter]:
    """Ask papermill for the parameters of a template.

    Parameters
    ----------
    template : str or pathlib.Path
        Notebook file.

    Returns
    -------
    dict of str to Parameter
        In the order of the cell; empty if no cell is tagged ``parameters``.

    Raises
    ------
    StudyError
        If the file is missing or is not a notebook.
    """
    template = Path(template)
    if not template.is_file():
        beside = (
            sorted(path.name for path in template.parent.glob("*.ipynb")) if template.parent.is_dir() else []
        )
        raise StudyError(f"no notebook at {template}. {unknown_name('notebook', template.name, beside)}")
    if template.suffix != ".ipynb":
        raise StudyError(f"{template} is not a notebook: its name does not end in .ipynb.")
    try:
        found = papermill.inspect_notebook(template)
    except (ValueError, KeyError, AttributeError) as error:
        raise StudyError(f"{template} is not a notebook: {str(error).splitlines()[0]}") from error
    return {
        name: Parameter(
            name, entry["inferred_type_name"].replace(" ", ""), entry["default"] == "None", entry["help"]
        )
        for name, entry in found.items()
    }


def check_parameters(template: str | Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """Check values against a template's parameters cell.

    Parameters
    ----------
    template : str or pathlib.Path
        Notebook file.
    given : mapping of str to Any
        Values, or text as typed on a command line: ``"3"`` fits an ``int``, ``"null"`` a parameter whose
        default is None, ``"[1, 5]"`` or ``"1,5"`` a ``list[int]``.

    Returns
    -------
    dict of str to Any
        Typed values, in the order given.

    Raises
    ------
    StudyError
        For a name the template does not declare (near misses and all known names are given), or a value
        of another type than declared.
    """
    known = read_parameters(template)
    values = {}
    for name, value in given.items():
        if name not in known:
            raise unknown_name(f"parameter of {Path(template).name}", str(name), known)
        values[name] = _fit(known[name], value, Path(template).name)
    return values


def _fit(parameter: Parameter, value: Any, template: str) -> Any:
    typed = _from_text(parameter, value) if isinstance(value, str) else value
    if (typed is None and parameter.nullable) or (typed is not None and _fits(typed, parameter.type)):
        return float(typed) if parameter.type == "float" and typed is not None else typed
    raise StudyError(
        f"parameter {parameter.name!r} of {template}: expected {parameter.describe()}, found {value!r}."
        + (f" It is: {parameter.help}." if parameter.help else "")
    )


def _from_text(parameter: Parameter, text: str) -> Any:
    if parameter.nullable and text in _NULL_WORDS:
        return None
    if parameter.type == "str":
        return text
    try:
        value = yaml.safe_load(text)
        if parameter.type.startswith("list") and not isinstance(value, list):
            return yaml.safe_load(f"[{text}]")
    except yaml.YAMLError:
        return text
    return value


def _fits(value: Any, annotation: str) -> bool:
    if annotation.startswith("list"):
        item = annotation[5:-1]
        return isinstance(value, list) and (not item or all(_fits(entry, item) for entry in value))
    if annotation in ("int", "float"):
        kinds = (int,) if annotation == "int" else (int, float)
        return isinstance(value, kinds) and not isinstance(value, bool)
    if annotation in ("str", "bool"):
        return isinstance(value, {"str": str, "bool": bool}[annotation])
    return True
