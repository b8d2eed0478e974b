"""The widgets around the explorer's figure: what they are and how they are laid out; they decide nothing."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

import ipywidgets as widgets

from samstudy.explore.front_end import KEYBOARD_CLASS
from samstudy.explore.session import Session

_CANDIDATES = ("single mask", "1st of three", "2nd of three", "3rd of three")
AUTHORS = -1
"""Value of the entry "authors' choice": a list takes None for nothing chosen."""

_KEYS = (
    ("click / Shift+click or right click", "point of the object / of the background"),
    ("drag", "box"),
    ("arrows, Shift+arrows", "move the cross (Tab to the picture first)"),
    ("Enter / Backspace or -", "point of the object / of the background at the cross"),
    ("b, b", "two corners of a box at the cross"),
    ("u / c", "undo / clear"),
    ("1 2 3 4 / 0", "candidate / the one SAM's authors would take"),
    ("o / r / [ ]", "outline / reference / opacity"),
    ("n / p", "next / previous image"),
    ("s", "save"),
)
_WIDE = {"description_width": "76px"}


def _field(kind: type, description: str, width: str = "310px", **more: object) -> widgets.Widget:
    return kind(description=description, style=_WIDE, layout=widgets.Layout(width=width), **more)


class Controls:
    """Every control of the explorer, by name.

    Parameters
    ----------
    canvas : ipywidgets.DOMWidget
        The figure's.
    datasets : sequence of str
        Names offered.
    own : str
        Last entry of that list, which shows the field for a path.
    models : mapping of str to str
        Words to name or file.
    folder : str
        Where "save" writes to.
    """

    def __init__(
        self,
        canvas: widgets.DOMWidget,
        datasets: Sequence[str],
        own: str,
        models: Mapping[str, str],
        folder: str,
    ) -> None:
        text = {"continuous_update": False}
        self.dataset = _field(widgets.Dropdown, "data set", options=[*datasets, own])
        self.own = _field(widgets.Text, "path", placeholder="image, volume or folder; Enter opens it", **text)
        self.split = _field(widgets.Dropdown, "split")
        self.image = _field(widgets.Dropdown, "image")
        self.position = _field(widgets.IntSlider, "number", min=1, max=1, **text)
        self.level = _field(widgets.FloatText, "level", "155px", **text)
        self.width = _field(widgets.FloatText, "width (0: auto)", "155px", **text)
        self.target = _field(widgets.Dropdown, "target", options=[("(no reference)", "")])
        self.model = _field(widgets.Dropdown, "model", options=list(models.items()))
        self.second = _field(
            widgets.Dropdown, "beside it", options=[("(none)", ""), *models.items()], value=""
        )
        self.candidate = _field(
            widgets.Dropdown, "mask", options=[("authors' choice", AUTHORS)], value=AUTHORS
        )
        self.opacity = _field(widgets.FloatSlider, "opacity", value=0.4, min=0, max=1, step=0.1)
        self.outline = widgets.Checkbox(True, description="outline", indent=False, layout={"width": "95px"})
        self.reference = widgets.Checkbox(
            True, description="reference", indent=False, layout={"width": "110px"}
        )
        self.object_id = _field(widgets.Text, "object", value="")
        self.folder = _field(widgets.Text, "folder", value=folder, **text)
        self.undo, self.clear, self.save = (
            widgets.Button(description=word, layout={"width": "100px"}) for word in ("Undo", "Clear", "Save")
        )
        self.scores = widgets.HTML()
        self.status = widgets.HTML()
        self.bar = widgets.IntProgress(0, 0, 1, layout={"width": "100%", "height": "6px"})
        self._window = widgets.HBox([self.level, self.width])
        self.widget = self._lay_out(canvas)

    def _lay_out(self, canvas: widgets.DOMWidget) -> widgets.Widget:
        # --jp variables follow the theme; without JupyterLab the page's own colours stay
        style = widgets.HTML(
            "<style>.samstudy-explore table {border-collapse: collapse; line-height: 1.5}"
            ".samstudy-explore td, .samstudy-explore th {padding: 1px 8px 1px 0; text-align: left}"
            ".samstudy-explore .shown {font-weight: bold; text-decoration: underline}"
            ".samstudy-explore .jupyter-matplotlib-canvas-div:focus"
            " {outline: 2px solid var(--jp-brand-color1, #0072B2); outline-offset: 1px}"
            ".samstudy-explore, .samstudy-explore .widget-html-content"
            " {color: var(--jp-ui-font-color1, inherit)}</style>"
        )
        help_rows = "".join(f"<tr><th>{keys}</th><td>{what}</td></tr>" for keys, what in _KEYS)
        help_text = widgets.HTML(
            f"<details><summary>Mouse and keys</summary><table>{help_rows}</table></details>"
        )
        left = widgets.VBox([canvas, self.bar, self.status, help_text], layout={"margin": "0 12px 0 0"})
        right = widgets.VBox([
            self.dataset, self.own, self.split, self.image, self.position, self._window, self.target, self.model,
            self.second, self.candidate, self.scores, self.opacity, widgets.HBox([self.outline, self.reference]),
            widgets.HBox([self.undo, self.clear]), self.object_id, self.folder, self.save,
        ])  # fmt: skip
        whole = widgets.HBox(
            [left, right, style], layout={"flex_flow": "row wrap", "align_items": "flex-start"}
        )
        whole.add_class("samstudy-explore")
        whole.add_class(KEYBOARD_CLASS)
        self.show_own(False)
        self.show_window(False)
        return whole

    def show_own(self, is_own: bool) -> None:
        """Show the field for a path, or hide it."""
        self.own.layout.display = None if is_own else "none"

    def show_window(self, is_windowed: bool) -> None:
        """Show level and width, or hide them."""
        self._window.layout.display = None if is_windowed else "none"

    def window(self) -> tuple[float, float] | None:
        """(level, width) as typed; None where the width is not positive."""
        return (self.level.value, self.width.value) if self.width.value > 0 else None

    def offer_images(self, ids: Sequence[str]) -> None:
        """Fill the list of images and the slider beside it; the first is taken."""
        self.image.options = list(ids)
        self.image.value = ids[0] if ids else None
        self.position.max, self.position.value = max(1, len(ids)), 1

    def progress(self, done: int, of: int, words: str) -> None:
        """Move the bar and say what is being done."""
        self.bar.max, self.bar.value = max(1, of), done
        self.bar.bar_style = "success" if done == of else "info"
        self.say(words)

    def say(self, words: str, is_error: bool = False) -> None:
        """Show a sentence under the figure; an error begins with the word."""
        shown = f"<b>Not done:</b> {html.escape(words)}" if is_error else html.escape(words)
        self.status.value = f"<div role='status' aria-live='polite'>{shown}</div>"

    def show_candidates(self, session: Session) -> None:
        """List the candidates of every model with predicted IoU and Dice; the one shown is underlined."""
        most = max((len(session.scores(place)) for place in range(len(session.models))), default=0)
        words = _CANDIDATES if most == len(_CANDIDATES) else ("mask",) * most
        self.candidate.options = [("authors' choice", AUTHORS), *((w, i) for i, w in enumerate(words))]
        is_picked = session.picked is not None and session.picked < most
        self.candidate.value = session.picked if is_picked else AUTHORS
        rows = [row for place in range(len(session.models)) for row in _rows(session, place)]
        head = "<tr><th></th><th>mask</th><th>predicted IoU</th><th>Dice</th></tr>"
        self.scores.value = f"<table>{head}{''.join(rows)}</table>" if rows else "<i>no prompt yet</i>"


def _rows(session: Session, place: int) -> list[str]:
    chosen, scores = session.chosen(place), session.scores(place)
    name = html.escape(session.models[place].name)
    rows = [f"<tr><th colspan='4'>{name}</th></tr>"] if len(session.models) > 1 and scores else []
    for index, (iou, dice) in enumerate(scores):
        words = _CANDIDATES[index] if len(scores) == len(_CANDIDATES) else "mask"
        look = " class='shown'" if index == chosen else ""
        value = "" if dice is None else f"{dice:.3f}"
        rows.append(f"<tr{look}><td>{index + 1}</td><td>{words}</td><td>{iou:.3f}</td><td>{value}</td></tr>")
    return rows
