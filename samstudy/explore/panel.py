"""The explorer: lists, the figure, the candidates and the buttons around a session."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from IPython.display import display
from matplotlib.figure import Figure

from samstudy.datasets import Dataset, load_dataset
from samstudy.errors import StudyError
from samstudy.explore.canvas import Picture
from samstudy.explore.controls import AUTHORS, Controls
from samstudy.explore.front_end import has_front_end, keep_keys, say_none
from samstudy.explore.lists import checked_folder, datasets_here, models_here
from samstudy.explore.saving import save
from samstudy.explore.session import Session
from samstudy.explore.sources import DatasetSource, Source, open_source
from samstudy.explore.widget_canvas import Canvas, FigureManager
from samstudy.models import Model, load_model

_OWN = "images of one's own"
_FIGURE_IN = (5.6, 4.8)


def explore(
    what: str | Path | np.ndarray | Dataset | None = None,
    *,
    models: Sequence[str | Path] = (),
    save_to: str | Path = "explored",
    device: str = "auto",
) -> Explorer | None:
    """Open the explorer in a notebook.

    Parameters
    ----------
    what : str, pathlib.Path, numpy.ndarray or Dataset, optional
        Name of a data set, path of an image, a volume or a folder of them, or an array; by default the first data set
        of the list.
    models : sequence of str or pathlib.Path
        Names or checkpoint files that are offered first, beside all that are on this machine.
    save_to : str or pathlib.Path
        Folder that "save" writes to.
    device : str
        See :func:`samstudy.load_model`.

    Returns
    -------
    Explorer or None
        None where there is no browser: that is said in a sentence, and nothing is loaded.

    Raises
    ------
    StudyError
        If ``what`` is neither a data set nor a path that exists.
    """
    if not has_front_end():
        say_none("The explorer")
        return None
    explorer = Explorer(models=models, save_to=save_to, device=device)
    display(explorer.widget)
    keep_keys()
    explorer.start(what)
    return explorer


class Explorer:
    """A session, its figure and its controls; :func:`explore` shows one.

    Attributes
    ----------
    session : Session
    picture : Picture
    controls : Controls
    widget : ipywidgets.Widget
    seconds : float
        What the last answer took, from the change of the prompt to updated artists.
    """

    def __init__(self, models: Sequence[str | Path], save_to: str | Path, device: str) -> None:
        self.session, self.source = Session(), None
        self.seconds = 0.0
        self._device, self._loaded = device, {}
        self._filling = False
        figure = Figure(figsize=_FIGURE_IN, dpi=100)
        canvas = Canvas(figure)
        manager = FigureManager(canvas, 0)
        # Matplotlib's own keys (o zoom, s save, c back) are others here
        canvas.mpl_disconnect(manager.key_press_handler_id)
        canvas.toolbar, canvas.toolbar_visible, canvas.toolbar_position = manager.toolbar, True, "left"
        canvas.header_visible, canvas.resizable = False, False
        figure.patch.set_alpha(0)
        self.picture = Picture(figure, self.session, self.answer, self.press)
        self.controls = Controls(canvas, datasets_here(), _OWN, models_here(models), str(save_to))
        self.picture.busy = lambda: self._filling
        self._connect()
        self.widget = self.controls.widget

    def _connect(self) -> None:
        c = self.controls
        for widget, handler in (
            (c.dataset, self._take_dataset),
            (c.own, self._take_own),
            (c.split, self._take_split),
            (c.image, self._take_image),
            (c.level, self._take_image),
            (c.width, self._take_image),
            (c.target, self._take_target),
            (c.model, self._take_models),
            (c.second, self._take_models),
            (c.candidate, self._take_candidate),
            (c.opacity, self._take_look),
            (c.outline, self._take_look),
            (c.reference, self._take_look),
        ):
            widget.observe(lambda change, handler=handler: self._guarded(handler), "value")
        c.position.observe(lambda change: self._guarded(self._take_position), "value")
        for button, key in ((c.undo, "u"), (c.clear, "c"), (c.save, "s")):
            button.on_click(lambda _, key=key: self.press(key))

    def _guarded(self, action) -> None:
        """Run what a person asked for; what they can mend is said, anything else is shown with its traceback."""
        if self._filling:
            return
        try:
            action()
        except StudyError as error:
            self.controls.say(str(error), is_error=True)

    # --- opening --------------------------------------------------------------------------------------------

    def start(self, what: str | Path | np.ndarray | Dataset | None = None) -> None:
        """Load the first model and open what was asked for."""
        self._guarded(self._take_models)
        self._guarded(lambda: self._open(what if what is not None else self.controls.dataset.value))

    def _open(self, what: str | Path | np.ndarray | Dataset) -> None:
        is_name = isinstance(what, str) and (
            what in self.controls.dataset.options or what.startswith("folder:")
        )
        self.controls.say(f"Opening {what if isinstance(what, str | Path) else 'it'} ...")
        if is_name:
            self._use(DatasetSource(load_dataset(what)), what)
        elif isinstance(what, str | Path):
            self._use(open_source(checked_folder(str(what))), _OWN)
        else:
            self._use(open_source(what), _OWN)

    def _take_dataset(self) -> None:
        self.controls.show_own(self.controls.dataset.value == _OWN)
        if self.controls.dataset.value == _OWN:
            self.controls.say("Type the path of an image, a volume or a folder, and press Enter.")
        else:
            self._open(self.controls.dataset.value)

    def _take_own(self) -> None:
        if self.controls.own.value.strip():
            self._use(open_source(checked_folder(self.controls.own.value)), _OWN)

    def _use(self, source: Source, offered_as: str) -> None:
        self.source = source
        c = self.controls
        with self._fill():
            if offered_as in c.dataset.options:
                c.dataset.value = offered_as
            c.show_own(offered_as == _OWN)
            c.show_window(source.windowed)
            default = source.dataset.default_split if isinstance(source, DatasetSource) else "all"
            c.split.options = source.splits
            c.split.value = default if default in source.splits else source.splits[-1]
        self._take_split()

    def _take_split(self) -> None:
        with self._fill():
            self.controls.offer_images(self.source.ids(self.controls.split.value))
        self._take_image()

    def _take_position(self) -> None:
        self.controls.image.value = self.controls.image.options[self.controls.position.value - 1]

    def _take_image(self) -> None:
        c = self.controls
        image_id = c.image.value
        if image_id is None:
            raise StudyError("there is no image in this part; choose another.")
        shown = self.source.load(image_id, c.window())
        with self._fill():
            c.position.value = c.image.options.index(image_id) + 1
            objects = [name for name, mask in shown.references.items() if mask.any()]
            kept = c.target.value if c.target.value in objects else (objects[0] if objects else "")
            c.target.options = [("(no reference)", ""), *((name, name) for name in objects)]
            c.target.value = kept
            if not c.object_id.value or c.object_id.value in ("object", self.session.target):
                c.object_id.value = kept or "object"
        self.session.open(shown, kept)
        self.picture.lay_out()
        self._embed()
        self._show()

    # --- models and answers ---------------------------------------------------------------------------------

    def _take_models(self) -> None:
        names = [name for name in (self.controls.model.value, self.controls.second.value) if name]
        self.session.use([self._model(name) for name in names])
        self.picture.lay_out()
        self._embed()
        self.answer()

    def _model(self, name: str) -> Model:
        if name not in self._loaded:
            self.controls.say(f"Loading {Path(name).name} ...")
            self._loaded[name] = load_model(name, self._device)
        return self._loaded[name]

    def _embed(self) -> None:
        if self.session.shown is None:
            return
        n_models = len(self.session.models)
        start = time.perf_counter()
        for place, model in enumerate(self.session.models):
            self.controls.progress(
                place, n_models, f"Embedding {self.session.shown.image_id} with {model.name} ..."
            )
            self.session.embed(place)
        height, width = self.session.shown.rgb.shape[:2]
        self.controls.progress(
            n_models, n_models,
            f"{self.session.shown.image_id}, {width}x{height} pixels, embedded in {time.perf_counter() - start:.1f} s. "
            "Click on the object.",
        )  # fmt: skip

    def answer(self) -> None:
        """Ask the models what the prompt as it is now segments, and show it."""
        start = time.perf_counter()
        self._guarded(self.session.ask)
        self._show()
        self.seconds = time.perf_counter() - start
        marks = self.session.marks
        if self.session.mask() is not None:
            n_points = len(marks.points)
            words = (
                f"{n_points} point{'' if n_points == 1 else 's'}{', a box' * (marks.box_xyxy is not None)}"
            )
            self.controls.say(f"{words}: answered in {self.seconds:.2f} s.")
        elif marks.points:
            self.controls.say("Points of the background only: add one of the object, or a box.")

    def _show(self) -> None:
        with self._fill():
            self.controls.show_candidates(self.session)
        self.picture.update()

    # --- keys, buttons, look --------------------------------------------------------------------------------

    def press(self, key: str) -> None:
        """Do what a key stands for; others do nothing."""
        c = self.controls
        actions = {"u": self._undo, "c": self._clear, "s": self._save}
        if key in actions:
            self._guarded(actions[key])
        elif key in tuple("01234"):
            picked = int(key) if int(key) < len(c.candidate.options) else 0
            c.candidate.value = c.candidate.options[picked][1]
        elif key == "o":
            c.outline.value = not c.outline.value
        elif key == "r":
            c.reference.value = not c.reference.value
        elif key in ("[", "]"):
            c.opacity.value = float(np.clip(c.opacity.value + (0.1 if key == "]" else -0.1), 0, 1))
        elif key in ("n", "p") and c.image.options:
            c.position.value += 1 if key == "n" else -1

    def _undo(self) -> None:
        if self.session.undo():
            self.answer()
        else:
            self.controls.say("Nothing to undo.")

    def _clear(self) -> None:
        self.session.clear()
        self.answer()
        self.controls.say("Cleared. Click on the object.")

    def _save(self) -> None:
        self.controls.say(save(self.session, self.controls.folder.value, self.controls.object_id.value))

    def _take_candidate(self) -> None:
        value = self.controls.candidate.value
        self.session.choose(None if value == AUTHORS else value)
        self._show()

    def _take_target(self) -> None:
        self.session.compare_with(self.controls.target.value)
        if self.controls.target.value:
            self.controls.object_id.value = self.controls.target.value
        self._show()

    def _take_look(self) -> None:
        look, c = self.picture.look, self.controls
        look.opacity, look.outline, look.reference = c.opacity.value, c.outline.value, c.reference.value
        self.picture.update()

    def _fill(self) -> _Filling:
        return _Filling(self)


class _Filling:
    """While lists are filled by the program, their changes are not taken for a person's."""

    def __init__(self, explorer: Explorer) -> None:
        self._explorer = explorer

    def __enter__(self) -> None:
        self._before = self._explorer._filling
        self._explorer._filling = True

    def __exit__(self, *_: object) -> None:
        self._explorer._filling = self._before
