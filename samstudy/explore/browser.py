"""Browse the score tables of a profile: filter, sort, choose a row, see its overlay."""

from __future__ import annotations

import html
import io
import time
from collections.abc import Sequence

import ipywidgets as widgets
import pandas as pd
from IPython.display import display
from matplotlib.figure import Figure

from samstudy.errors import StudyError
from samstudy.explore.front_end import has_front_end, say_none
from samstudy.explore.rows_again import Replayer, read_results
from samstudy.explore.score_rows import FILTERS, ScoreRows, lines
from samstudy.figures.panel import draw_overlay, overlay_handles

_ALL = "(all)"
_COLUMNS = (
    ("dice", 6), ("dataset", 16), ("target", 14), ("image_id", 18), ("object_id", 14), ("model", 8), ("tuning", 8),
    ("prompt", 14), ("mask_choice", 13),
)  # fmt: skip
_ORDERS = {"worst Dice first": True, "best Dice first": False}


def browse(
    profile: str = "demo",
    datasets: Sequence[str] = (),
    *,
    table: pd.DataFrame | None = None,
    device: str = "auto",
) -> ResultsBrowser | None:
    """Open the results browser in a notebook.

    Parameters
    ----------
    profile : str
        Whose score tables are read, and whose seed made their prompts.
    datasets : sequence of str
        Only these; by default all that have a table.
    table : pandas.DataFrame, optional
        Score table to browse in place of the profile's.
    device : str
        See :func:`samstudy.load_model`.

    Returns
    -------
    ResultsBrowser or None
        None where there is no browser: that is said in a sentence, and nothing is read.

    Raises
    ------
    StudyError
        If there is no table.
    """
    if not has_front_end():
        say_none("The results browser")
        return None
    left_out: list[str] = []
    if table is None:
        table, left_out = read_results(profile, datasets)
    shown = ResultsBrowser(table, Replayer(profile, device), left_out)
    display(shown.widget)
    return shown


class ResultsBrowser:
    """Filters, a page of rows and the overlay of the chosen one.

    Attributes
    ----------
    rows : ScoreRows
    seconds : float
        What the last filter, sort or page took.
    widget : ipywidgets.Widget
    """

    def __init__(self, table: pd.DataFrame, replayer: Replayer, left_out: Sequence[str] = ()) -> None:
        self.rows, self._replayer, self.seconds = ScoreRows(table), replayer, 0.0
        wide = {"style": {"description_width": "80px"}, "layout": {"width": "260px"}}
        self.filters = {
            name: widgets.Dropdown(
                options=[_ALL, *self.rows.values(name)], description=name.replace("_", " "), **wide
            )
            for name in FILTERS
        }
        self.order = widgets.Dropdown(options=_ORDERS, description="order", **wide)
        self.position = widgets.BoundedIntText(1, 1, 1, description="page", **wide)
        self.list = widgets.Select(rows=self.rows.page_size, layout={"width": "100%", "max_width": "1020px"})
        self.count, self.status = widgets.HTML(), widgets.HTML(html.escape(" ".join(left_out)))
        self.image = widgets.Image(format="png", layout={"max_width": "100%", "width": "520px"})
        self._page, self._filling = pd.DataFrame(), False
        head = " ".join(name.ljust(width) for name, width in _COLUMNS).replace(" ", "&nbsp;")
        style = "<style>.samstudy-rows select, .samstudy-rows pre {font-family: monospace; font-size: 12px}</style>"
        controls = widgets.HBox(
            [*self.filters.values(), self.order, self.position], layout={"flex_flow": "row wrap"}
        )
        self.widget = widgets.VBox([
            controls, self.count, widgets.HTML(f"{style}<pre style='margin: 0 0 0 6px'>{head}</pre>"), self.list,
            self.status, self.image,
        ])  # fmt: skip
        self.widget.add_class("samstudy-rows")
        for widget in (*self.filters.values(), self.order):
            widget.observe(lambda change: self.select(), "value")
        self.position.observe(lambda change: self._filling or self.turn(), "value")
        self.list.observe(lambda change: self._filling or self.show(), "value")
        self.select()

    def select(self) -> None:
        """Apply the filters and the order, and show the first page."""
        start = time.perf_counter()
        wanted = {name: box.value for name, box in self.filters.items() if box.value != _ALL}
        n_rows = self.rows.select(wanted, self.order.value)
        self._filling = True
        self.position.max, self.position.value = self.rows.n_pages, 1
        self._filling = False
        self.turn()
        self.seconds = time.perf_counter() - start
        self.count.value = (
            f"{n_rows} of {len(self.rows.table)} rows, {self.rows.n_pages} pages ({self.seconds:.2f} s). "
            "Choose a row by click or with the arrow keys."
        )

    def turn(self) -> None:
        """Show the page of the field; no row is chosen."""
        self._page = self.rows.page(self.position.value - 1)
        self._filling = True
        self.list.options = list(zip(lines(self._page, _COLUMNS), range(len(self._page)), strict=True))
        self.list.value = None
        self._filling = False

    def show(self) -> None:
        """Draw the overlay of the chosen row, or say why it cannot be."""
        if self.list.value is None:
            return
        row = self._page.iloc[self.list.value]
        self.status.value = "Making the mask again ..."
        try:
            sample, prompt, mask, remark = self._replayer.make(row)
        except StudyError as error:
            self.status.value = f"<b>Not done:</b> {html.escape(str(error))}"
            return
        figure = Figure(figsize=(5.2, 5.2), layout="constrained")
        title = f"{row['dataset']} {row['image_id']}: {row['object_id']}, Dice {row['dice']:.3f}"
        draw_overlay(sample.image, sample.reference(row["object_id"]), mask, prompt, title, figure.subplots())
        figure.legend(handles=overlay_handles([prompt]), loc="outside lower center", ncols=3)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=110)
        self.image.value = buffer.getvalue()
        self.status.value = html.escape(
            remark or f"{row['model']} asked with {row['prompt']}, {row['mask_choice']}."
        )
