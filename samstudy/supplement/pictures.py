"""Pictures inside a page: each is scaled to what a screen shows, compressed, and written into the HTML itself."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from samstudy.errors import StudyError

FIGURE_WIDTH_PX, FIGURE_QUALITY = 1440, 80
INLINE_WIDTH_PX, INLINE_QUALITY = 1080, 72
_MOST_SIDE_PX = 16_383  # of a WebP


@dataclass(frozen=True)
class Picture:
    """A picture as a page needs it.

    Attributes
    ----------
    uri : str
        ``data:image/webp;base64,...``.
    width, height : int
        In pixels, so that a page keeps the room before the picture is shown.
    """

    uri: str
    width: int
    height: int


def figure_picture(path: Path) -> Picture:
    """Read a saved figure for the gallery.

    Raises
    ------
    StudyError
        If the file is damaged.
    """
    return _picture(path.read_bytes(), str(path), FIGURE_WIDTH_PX, FIGURE_QUALITY)


def inline_picture(png_base64: str) -> Picture:
    """Read a picture that a notebook holds; it repeats a saved figure, so it is kept smaller."""
    return _picture(base64.b64decode(png_base64), "a picture in a notebook", INLINE_WIDTH_PX, INLINE_QUALITY)


def _picture(content: bytes, source: str, width_px: int, quality: int) -> Picture:
    # WebP: text and lines stay clean at a quality where JPEG has halos, and photographs are a tenth of a PNG.
    try:
        with Image.open(io.BytesIO(content)) as opened:
            image = opened.convert("RGBA")
    except OSError as error:
        raise StudyError(f"{source} is not a readable picture: run make again. {error}") from error
    on_white = Image.new("RGBA", image.size, "white")
    on_white.alpha_composite(image)
    image = on_white.convert("RGB")
    scale = min(1.0, width_px / image.width, _MOST_SIDE_PX / image.height)
    if scale < 1:
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        image = image.resize(size, Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=quality, method=4)
    uri = f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
    return Picture(uri, image.width, image.height)
