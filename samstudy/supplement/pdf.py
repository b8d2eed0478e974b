"""The supplement as a PDF: text set by Matplotlib with the figures' own pages on it, so that lines stay lines."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image
from pypdf import PageObject, PdfReader, PdfWriter
from pypdf.errors import PyPdfError
from pypdf.generic import ArrayObject, DictionaryObject, FloatObject, NameObject, StreamObject

from samstudy.errors import StudyError
from samstudy.figures.common import style
from samstudy.supplement.document import TITLE, Supplement
from samstudy.supplement.lay_out import lay_out
from samstudy.supplement.typeset import PAGE_HEIGHT_PT, PAGE_WIDTH_PT, Page, Placed, font

_JPEG_QUALITY, _LEAST_BYTES = 85, 20_000
_PNG_PREDICTOR = 10
_NO_DATES = {"Creator": None, "Producer": None, "CreationDate": None}


def write_pdf(supplement: Supplement, path: Path) -> int:
    """Write methods, figures, tables and provenance as a PDF with an outline.

    Parameters
    ----------
    supplement : Supplement
    path : pathlib.Path
        Where to.

    Returns
    -------
    int
        Number of pages.

    Raises
    ------
    StudyError
        If a figure's PDF is damaged.
    """
    flow = lay_out(supplement)
    writer = PdfWriter(clone_from=_text_pages(flow.pages))
    for page, drawn in zip(writer.pages, flow.pages, strict=True):
        for number, placed in enumerate(drawn.figures):
            _place(writer, page, placed, f"/Figure{number}")
    parents = {}
    for mark in flow.marks:
        parents[mark.level] = writer.add_outline_item(
            title=mark.title, page_number=mark.page, parent=parents.get(mark.level - 1)
        )
    writer.add_metadata(
        {"/Title": f"{TITLE}: {supplement.subtitle}", "/Subject": " ".join(supplement.stamps)}
    )
    writer.compress_identical_objects()
    with path.open("wb") as handle:
        writer.write(handle)
    return len(flow.pages)


def _text_pages(pages: Sequence[Page]) -> io.BytesIO:
    buffer = io.BytesIO()
    size_in = (PAGE_WIDTH_PT / 72, PAGE_HEIGHT_PT / 72)
    with style(), PdfPages(buffer, metadata=_NO_DATES) as sheets:
        for page in pages:
            sheet = Figure(size_in, layout="none")
            for words in page.words:
                if words.text:
                    sheet.text(
                        words.x / PAGE_WIDTH_PT,
                        words.y / PAGE_HEIGHT_PT,
                        words.text,
                        fontproperties=font(words.font),
                        fontsize=words.size,
                        parse_math=False,
                    )
            for rule in page.rules:
                across = [rule.x / PAGE_WIDTH_PT, (rule.x + rule.length) / PAGE_WIDTH_PT]
                height = [rule.y / PAGE_HEIGHT_PT] * 2
                sheet.add_artist(Line2D(across, height, lw=rule.thickness, color="black"))
            sheets.savefig(sheet)
    buffer.seek(0)
    return buffer


def _place(writer: PdfWriter, page: PageObject, placed: Placed, name: str) -> None:
    """Put a figure's page on a page as one object; its drawing is copied as it is, not read."""
    try:
        figure = PdfReader(placed.pdf).pages[0]
        resources = figure["/Resources"].clone(writer)
        form = StreamObject()
        form.set_data(figure.get_contents().get_data())
    except (PyPdfError, OSError, KeyError, AttributeError) as error:
        raise StudyError(
            f"{placed.pdf} is not a readable PDF: delete it and run make again. {error}"
        ) from error
    for image in resources.get("/XObject", {}).values():
        recompress(image.get_object())
    form.update(
        {
            NameObject("/Type"): NameObject("/XObject"),
            NameObject("/Subtype"): NameObject("/Form"),
            NameObject("/BBox"): ArrayObject(map(FloatObject, figure.mediabox)),
            NameObject("/Resources"): resources,
        }
    )
    # Matplotlib's pages share one dictionary of resources; a page is to have its own figures.
    own = DictionaryObject(page["/Resources"].get_object())
    known = DictionaryObject(own.get("/XObject", DictionaryObject()).get_object())
    known[NameObject(name)] = writer._add_object(form.flate_encode())
    own[NameObject("/XObject")] = known
    page[NameObject("/Resources")] = own
    drawing = StreamObject()
    x, y, scale = placed.x, placed.y, placed.scale
    drawing.set_data(f"q {scale:.5f} 0 0 {scale:.5f} {x:.3f} {y:.3f} cm {name} Do Q\n".encode())
    contents = page["/Contents"]
    streams = contents if isinstance(contents, ArrayObject) else [page.raw_get("/Contents")]
    page[NameObject("/Contents")] = ArrayObject([*streams, writer._add_object(drawing)])


def recompress(image: StreamObject) -> bool:
    """Make a picture a JPEG where Matplotlib wrote it without loss; say whether it was one to be made.

    Pictures with a transparent part would lose it, and small ones or those with a palette gain nothing.
    """
    decode = image.get("/DecodeParms", {})
    is_plain = image.get("/ColorSpace") == "/DeviceRGB" and decode.get("/Predictor") == _PNG_PREDICTOR
    if "/SMask" in image or not is_plain or len(image._data) < _LEAST_BYTES:
        return False
    # The stream is the body of a PNG: with a head before it Pillow reads it, a hundred times faster than pypdf.
    head = struct.pack(">IIBBBBB", image["/Width"], image["/Height"], 8, 2, 0, 0, 0)
    png = b"".join(
        (b"\x89PNG\r\n\x1a\n", _chunk(b"IHDR", head), _chunk(b"IDAT", image._data), _chunk(b"IEND", b""))
    )
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(png)) as opened:
        opened.convert("RGB").save(buffer, "JPEG", quality=_JPEG_QUALITY)
    del image["/DecodeParms"]
    image[NameObject("/Filter")] = NameObject("/DCTDecode")
    image._data = buffer.getvalue()
    return True


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
