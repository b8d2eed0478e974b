"""What an explorer draws: image, mask, outlines and prompt as artists that are updated, never drawn anew.

It needs a Matplotlib canvas only, so it is tested on Agg and shown by ipympl.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backend_bases import Event, KeyEvent, MouseEvent
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from samstudy.explore.session import Session
from samstudy.figures import palette
from samstudy.figures.panel import dark_edge, outlines_xy

_DRAG_PX = 4
_STEP_PX, _LEAP_PX = 1, 10
_MOST_OUTLINED_PX = 1_500_000
_ARROWS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}


@dataclass
class Look:
    """How masks are shown.

    Attributes
    ----------
    opacity : float
        Of the fill, 0 to 1.
    outline, reference : bool
        Whether the outline of the mask and that of the reference are drawn.
    """

    opacity: float = 0.4
    outline: bool = True
    reference: bool = True


def blend(rgb: np.ndarray, mask: np.ndarray | None, colour: str, opacity: float) -> np.ndarray:
    """Lay a colour over the pixels of a mask.

    Parameters
    ----------
    rgb : numpy.ndarray, uint8, H x W x 3
    mask : numpy.ndarray, bool, H x W, or None
        None leaves the image as it is.
    colour : str
        Matplotlib colour.
    opacity : float
        0 (nothing is seen of it) to 1.

    Returns
    -------
    numpy.ndarray, uint8, H x W x 3
        A new array where there is a mask.
    """
    if mask is None or not opacity:
        return rgb
    mixed = rgb.copy()
    mixed[mask] = rgb[mask] * (1 - opacity) + np.array(to_rgb(colour)) * (255 * opacity) + 0.5
    return mixed


class _Panel:
    """The artists of one model."""

    def __init__(self, axis: Axes) -> None:
        self.axis = axis
        axis.set_axis_off()
        self.image = axis.imshow(np.zeros((2, 2, 3), np.uint8), interpolation="nearest")
        self.outline = axis.add_collection(LineCollection([], colors=palette.PREDICTION, linewidths=1.4))
        self.reference = axis.add_collection(
            LineCollection([], colors=palette.REFERENCE, linewidths=1.2, linestyles="--")
        )
        for lines, width in ((self.outline, 1.4), (self.reference, 1.2)):
            lines.set_path_effects(dark_edge(width))
        marker = {"linestyle": "none", "markersize": 10, "markeredgecolor": "white", "zorder": 5}
        (self.positive,) = axis.plot([], [], marker="P", color=palette.PROMPT_POSITIVE, **marker)
        (self.negative,) = axis.plot([], [], marker="X", color=palette.PROMPT_NEGATIVE, **marker)
        self.box = axis.add_patch(
            Rectangle((0, 0), 0, 0, fill=False, edgecolor=palette.PROMPT_BOX, linewidth=2)
        )
        (self.cursor,) = axis.plot(
            [], [], marker="+", color="white", markersize=17, markeredgewidth=1.6, zorder=6
        )
        for artist in (self.box, self.cursor):
            artist.set_path_effects(dark_edge(2))

    def frame(self, rgb: np.ndarray, spacing_mm: tuple[float, float] | None) -> None:
        """Take the extent of a new image."""
        height, width = rgb.shape[:2]
        self.image.set_extent((-0.5, width - 0.5, height - 0.5, -0.5))
        self.axis.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
        self.axis.set_aspect(spacing_mm[0] / spacing_mm[1] if spacing_mm else 1.0)


def _outline(mask: np.ndarray | None) -> list[np.ndarray]:
    """Outline of a mask; of every second, third ... pixel of a large one, which would take longer than a click may."""
    if mask is None:
        return []
    step = int(np.ceil(np.sqrt(mask.size / _MOST_OUTLINED_PX)))
    return [line * step for line in outlines_xy(mask[::step, ::step])]


class Picture:
    """The figure of an explorer and what its mouse and keys mean.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        With its canvas.
    session : Session
    on_change : callable
        Called without arguments after a person has changed the prompt.
    on_key : callable
        Called with the name of every key that this class does not know.

    Attributes
    ----------
    look : Look
    cursor_xy : tuple of float or None
        Cross of the keyboard, in pixels of the image.
    """

    def __init__(
        self, figure: Figure, session: Session, on_change: Callable[[], None], on_key: Callable[[str], None]
    ) -> None:
        self.figure, self.session, self.look = figure, session, Look()
        self.cursor_xy: tuple[float, float] | None = None
        self.busy: Callable[[], bool] = lambda: False
        self._on_change, self._on_key = on_change, on_key
        self._panels: list[_Panel] = []
        self._pressed: tuple[float, float, float, float, bool] | None = None
        self._corner: tuple[float, float] | None = None
        for name in ("button_press", "motion_notify", "button_release", "key_press"):
            figure.canvas.mpl_connect(f"{name}_event", getattr(self, f"_{name}"))

    # --- drawing --------------------------------------------------------------------------------------------

    def lay_out(self) -> None:
        """Draw the axes anew for the image and the number of models; the zoom is reset."""
        shown, n_models = self.session.shown, max(1, len(self.session.models))
        if len(self._panels) != n_models:
            self.figure.clear()
            axes = self.figure.subplots(1, n_models, sharex=True, sharey=True, squeeze=False)[0]
            self.figure.subplots_adjust(0.005, 0.005, 0.995, 0.93 if n_models > 1 else 0.995, wspace=0.02)
            self._panels = [_Panel(axis) for axis in axes]
        self.cursor_xy = self._corner = self._pressed = None
        if shown is not None:
            for panel in self._panels:
                panel.frame(shown.rgb, shown.spacing_mm)
        for panel, model in zip(self._panels, self.session.models, strict=False):
            panel.axis.set_title(model.name if n_models > 1 else "", fontsize=9)
        self.update()

    def update(self) -> None:
        """Bring every artist to what the session says, and ask the canvas to draw."""
        shown = self.session.shown
        if shown is None:
            return
        reference = shown.references.get(self.session.target) if self.look.reference else None
        reference_lines = _outline(reference)
        for place, panel in enumerate(self._panels):
            mask = self.session.mask(place)
            panel.image.set_data(blend(shown.rgb, mask, palette.PREDICTION, self.look.opacity))
            panel.outline.set_segments(_outline(mask) if self.look.outline else [])
            panel.reference.set_segments(reference_lines)
        self._draw_prompt()

    def _draw_prompt(self) -> None:
        marks = self.session.marks
        points = np.array(marks.points, float).reshape(-1, 3)
        for panel in self._panels:
            panel.positive.set_data(*points[points[:, 2] == 1, :2].T)
            panel.negative.set_data(*points[points[:, 2] == 0, :2].T)
            panel.cursor.set_data(*(([], []) if self.cursor_xy is None else ([v] for v in self.cursor_xy)))
            self._draw_box(panel, marks.box_xyxy)
        self.figure.canvas.draw_idle()

    def _draw_box(self, panel: _Panel, box: tuple[float, float, float, float] | None) -> None:
        panel.box.set_visible(box is not None)
        if box is not None:
            panel.box.set_bounds(
                min(box[0], box[2]), min(box[1], box[3]), abs(box[2] - box[0]), abs(box[3] - box[1])
            )

    # --- the mouse ------------------------------------------------------------------------------------------

    def _usable(self, event: MouseEvent) -> bool:
        toolbar = getattr(self.figure.canvas, "toolbar", None)
        return (
            self.session.shown is not None
            and event.inaxes is not None
            and not getattr(toolbar, "mode", "")
            and not self.busy()
        )

    def _button_press(self, event: MouseEvent) -> None:
        if self._usable(event) and event.button in (1, 3):
            shifted = "shift" in (getattr(event, "modifiers", None) or ()) or "shift" in (event.key or "")
            self._pressed = (event.x, event.y, event.xdata, event.ydata, event.button == 1 and not shifted)

    def _motion_notify(self, event: MouseEvent) -> None:
        if self._is_drag(event) and event.inaxes is not None:
            _, _, x, y, _ = self._pressed
            for panel in self._panels:
                self._draw_box(panel, (x, y, event.xdata, event.ydata))
            self.figure.canvas.draw_idle()

    def _button_release(self, event: MouseEvent) -> None:
        pressed, is_drag = self._pressed, self._is_drag(event)
        self._pressed = None
        if pressed is None:
            return
        _, _, x, y, positive = pressed
        if is_drag:
            # a box may end outside the axes
            to_x, to_y = self._panels[0].axis.transData.inverted().transform((event.x, event.y))
            end = (event.xdata, event.ydata) if event.inaxes is not None else (to_x, to_y)
            self._change(lambda: self.session.set_box(x, y, *end))
        else:
            self._change(lambda: self.session.add_point(x, y, positive))

    def _is_drag(self, event: MouseEvent) -> bool:
        if self._pressed is None or not self._pressed[4]:
            return False
        return max(abs(event.x - self._pressed[0]), abs(event.y - self._pressed[1])) > _DRAG_PX

    def _change(self, change: Callable[[], None]) -> None:
        change()
        # the prompt is seen at once, the mask when it is there
        self._draw_prompt()
        self._on_change()

    # --- the keyboard ---------------------------------------------------------------------------------------

    def _key_press(self, event: KeyEvent | Event) -> None:
        if self.session.shown is None or self.busy():
            return
        *modifiers, key = (event.key or "").split("+") if event.key != "+" else ["+"]
        if key in _ARROWS:
            self._move(key, _LEAP_PX if "shift" in modifiers else _STEP_PX)
        elif key == "enter":
            self._change(lambda: self.session.add_point(*self._cross(), True))
        elif key in ("backspace", "-"):
            self._change(lambda: self.session.add_point(*self._cross(), False))
        elif key == "b":
            self._corner_at(self._cross())
        else:
            self._on_key(key)

    def _cross(self) -> tuple[float, float]:
        if self.cursor_xy is None:
            height, width = self.session.shown.rgb.shape[:2]
            self.cursor_xy = (width // 2, height // 2)
        return self.cursor_xy

    def _move(self, key: str, step_px: int) -> None:
        # on a large image a step of one pixel is not seen
        height, width = self.session.shown.rgb.shape[:2]
        step_px *= max(1, round(max(height, width) / 256))
        x, y = (value + step_px * way for value, way in zip(self._cross(), _ARROWS[key], strict=True))
        self.cursor_xy = (float(np.clip(x, 0, width - 1)), float(np.clip(y, 0, height - 1)))
        self._draw_prompt()
        if self._corner is not None:
            for panel in self._panels:
                self._draw_box(panel, (*self._corner, *self.cursor_xy))

    def _corner_at(self, xy: tuple[float, float]) -> None:
        if self._corner is None:
            self._corner = xy
            self._draw_prompt()
        else:
            corner, self._corner = self._corner, None
            self._change(lambda: self.session.set_box(*corner, *xy))
