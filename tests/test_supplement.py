"""The supplement shows everything a profile made, asks nothing of the network, and hides no parameter."""

from __future__ import annotations

import dataclasses
import itertools
import re
import shutil
from collections.abc import Iterator
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
import score_tables
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from pypdf import PdfReader
from test_makefile import Checkout

from samstudy import cli
from samstudy.errors import StudyError
from samstudy.figures import save_figure
from samstudy.results import write_table
from samstudy.study import load_study
from samstudy.supplement import write_supplement
from samstudy.supplement.blocks import whole_intervals
from samstudy.supplement.content import by_number
from samstudy.supplement.docstrings import described, plain_text
from samstudy.supplement.notebooks import clean_html, markdown_html
from samstudy.supplement.page import linked
from samstudy.supplement.set_table import column_blocks
from samstudy.supplement.typeset import COLUMN_PT, width_pt, wrapped
from samstudy.tuning import Recipe

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ("30_summary", "mni152.00_data", "mni152.10_zero_shot", "mni152.20_fine_tune")
CAPTION = "A caption of {}: 5 < 6 & more."
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def figure_outputs(name: str) -> list[Path]:
    fig, ax = plt.subplots(figsize=(3, 2))
    # noise does not compress, so it is a picture that becomes a JPEG in the PDF
    ax.imshow(np.random.default_rng(0).integers(0, 255, (120, 120, 3), np.uint8))
    table = score_tables.drawn(dataset="phantom_isic")
    written = save_figure(fig, f"{name}_fig", table=table, profile="demo", caption=CAPTION.format(name))
    plt.close(fig)
    return written


def table_outputs(folder: Path, name: str) -> list[Path]:
    stem = folder / f"{name.replace('.', '_')}_dice"
    contents = {
        ".md": f"| target | box |\n|:--|:--|\n| brain | 0.87 [0.84, 0.90] |\n\nTable of {name}.\n",
        ".csv": "target,box\nbrain,0.8712345\n",
        ".tex": "\\begin{tabular}{lr}",
    }
    for suffix, text in contents.items():
        stem.with_suffix(suffix).write_text(text)
    return [stem.with_suffix(suffix) for suffix in contents]


def executed_notebook() -> nbformat.NotebookNode:
    html = "<table><tr><td>7</td></tr></table><script src='https://evil.example/x.js'></script>"
    outputs = [
        new_output("display_data", {"text/html": html + "<img src='https://evil.example/y.png'>"}),
        new_output("display_data", {"image/png": PIXEL}),
        new_output("stream", name="stdout", text="said <aloud>"),
    ]
    text = "# What is it?\n\n![seen](https://evil.example/z.png) [beside](other.ipynb) <b>raw</b>"
    return new_notebook(cells=[new_markdown_cell(text), new_code_cell("x = 1  # the_code", outputs=outputs)])


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A checkout with one data set, all of whose notebooks were executed."""
    root = tmp_path_factory.mktemp("my study")
    stated = yaml.safe_load((ROOT / "study.yaml").read_text(encoding="utf-8"))
    demo = stated["profiles"]["demo"]
    demo["datasets"] = ["mni152"]
    for named in ("automatic", "curves", "controls"):
        if named in demo["fine_tuning"]:
            demo["fine_tuning"][named]["datasets"] = ["mni152"]
    (root / "study.yaml").write_text(yaml.safe_dump(stated), encoding="utf-8")
    shutil.copytree(ROOT / "data" / "splits", root / "data" / "splits")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAMSTUDY_ROOT", str(root))
        executed = root / "figures" / "demo" / "executed"
        tables = root / "figures" / "demo" / "tables"
        for folder in (executed, tables):
            folder.mkdir(parents=True)
        scores = root / "data" / "results" / "demo" / "mni152.zero_shot.parquet"
        write_table(score_tables.drawn(), scores)
        for name in NOTEBOOKS:
            written = figure_outputs(name) + table_outputs(tables, name)
            written += [scores] if "zero_shot" in name else []
            lines = "".join(f"{path.relative_to(root).as_posix()}\n" for path in written)
            (executed / f"{name}.ipynb.outputs").write_text(lines)
            nbformat.write(executed_notebook(), executed / f"{name}.ipynb")
        yield root


@pytest.fixture(scope="module")
def folder(finished: Path) -> Path:
    assert cli.main(["supplement", "--profile", "demo"]) == cli.DONE
    return finished / "figures" / "demo"


@pytest.fixture(scope="module")
def page(folder: Path) -> str:
    return (folder / "supplement.html").read_text(encoding="utf-8")


class Elements(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


class TestPage:
    def test_asks_nothing_of_the_network(self, page: str) -> None:
        found = Elements(page).found
        loaded = [value for _, a in found for name, value in a.items() if name in ("src", "srcset", "poster")]
        assert loaded
        assert [value[:60] for value in loaded if not value.startswith("data:")] == []
        hrefs = [(tag, a["href"]) for tag, a in found if "href" in a]
        assert [h for h in hrefs if h[0] != "a" and not h[1].startswith("data:")] == []
        assert [h for h in hrefs if h[0] == "a" and not re.match(r"https?://|#|data:text/csv", h[1])] == []
        assert "evil.example" not in page
        assert "url(" not in page
        assert "@import" not in page
        assert "default-src 'none'" in page

    def test_shows_every_caption_table_and_notebook(self, page: str) -> None:
        text = unescape(page)
        for name in NOTEBOOKS:
            assert CAPTION.format(name) in text
            assert f"Table of {name}." in text
            assert f'id="notebook-{name.lower().replace(".", "-")}"' in page
        assert page.count("the_code") == len(NOTEBOOKS)
        assert "0.87 [0.84,\N{NO-BREAK SPACE}0.90]" in text
        assert "said <aloud>" in text

    def test_names_every_prompt_mode_and_threshold(self, page: str) -> None:
        text, study = unescape(page), load_study()
        used = {p for s in study.profiles.values() for p in (*s.prompts, *s.fine_tuning.prompts)}
        assert [mode for mode in sorted(used) if f'<th scope="row">{mode}</th>' not in text] == []
        assert [t.name for t in study.hypotheses.tests if f"{t.side} {t.threshold:g}" not in text] == []
        assert study.sha256 in text
        assert [f.name for f in dataclasses.fields(Recipe) if f">{f.name}<" not in text] == []
        assert study.path.read_text(encoding="utf-8").strip() in text

    def test_says_that_images_are_drawn(self, page: str) -> None:
        head = page[page.index("<header>") : page.index("</header>")]
        assert "drawn images, no patients" in head
        assert "demonstration model vit_t" in head.lower()

    def test_headings_are_in_order_and_links_lead_somewhere(self, page: str) -> None:
        found = Elements(page).found
        levels = [int(tag[1]) for tag, _ in found if re.fullmatch("h[1-6]", tag)]
        assert levels[0] == 1
        assert all(b <= a + 1 for a, b in itertools.pairwise(levels))
        ids = [a["id"] for _, a in found if "id" in a]
        assert len(ids) == len(set(ids))
        assert {a["href"][1:] for _, a in found if a.get("href", "").startswith("#")} <= set(ids)
        assert all(a.get("alt") for tag, a in found if tag == "img")


def test_pdf_has_the_figures_the_tables_and_an_outline(folder: Path) -> None:
    pdf = PdfReader(folder / "supplement.pdf")
    text = " ".join(" ".join(page.extract_text() for page in pdf.pages).split())
    assert "drawn images, no patients" in text
    assert [name for name in NOTEBOOKS if f"{name}_fig" not in text or f"Table of {name}." not in text] == []
    titles = [item.title for item in pdf.outline if not isinstance(item, list)]
    assert titles == ["Methods", "Figures", "Tables", "Sources"]
    pages = [page["/Resources"].get("/XObject", {}) for page in pdf.pages]
    forms = [form.get_object() for found in pages for form in found.values()]
    assert len(forms) == len(NOTEBOOKS)
    images = [i.get_object() for form in forms for i in form["/Resources"]["/XObject"].get_object().values()]
    assert [image["/Filter"] for image in images] == ["/DCTDecode"] * len(NOTEBOOKS)


class TestMissing:
    def test_no_notebook_says_to_make_all_first(
        self, finished: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shutil.move(finished / "figures", finished / "elsewhere")
        try:
            with pytest.raises(
                StudyError, match=r"no executed notebooks in .* run `make all PROFILE=demo` first"
            ):
                write_supplement("demo")
        finally:
            shutil.move(finished / "elsewhere", finished / "figures")

    @pytest.mark.parametrize(
        ("lost", "said"),
        [
            ("executed/30_summary.ipynb", r"1 of 4 executed notebooks are not in .* \(30_summary\)"),
            (
                "mni152.00_data_fig.png",
                r"mni152.00_data_fig.png is not there: run `make all PROFILE=demo` again",
            ),
        ],
    )
    def test_what_is_missing_is_named(
        self, finished: Path, lost: str, said: str, capsys: pytest.CaptureFixture
    ) -> None:
        path = finished / "figures" / "demo" / lost
        kept = path.read_bytes()
        path.unlink()
        try:
            assert cli.main(["supplement"]) == cli.REFUSED
        finally:
            path.write_bytes(kept)
        assert re.search(said, capsys.readouterr().err)

    def test_unknown_profile(self, finished: Path, capsys: pytest.CaptureFixture) -> None:
        assert cli.main(["supplement", "--profile", "dmeo"]) == cli.REFUSED
        assert "did you mean 'demo'" in capsys.readouterr().err


def test_html_of_a_cell_loads_nothing() -> None:
    table = '<table onclick="x"><tr><td style="a" colspan="2">1</td></tr></table>'
    assert (
        clean_html(f'<style>@import "x"</style>{table}<a href="u">b</a>')
        == '<table><tbody><tr><td colspan="2">1</td></tr></tbody></table>b'
    )


def test_markdown_headings_are_lowered_and_html_is_text() -> None:
    assert markdown_html("# a\n\n##### b", below=3) == "<h4>a</h4>\n<h6>b</h6>\n"
    assert "<script>" not in markdown_html("<script>x</script>")


def test_addresses_become_links() -> None:
    assert str(linked("doi 10.1016/S1053-8119(09)70884-5; <b>")) == (
        '<a href="https://doi.org/10.1016/S1053-8119(09)70884-5">doi 10.1016/S1053-8119(09)70884-5</a>; &lt;b&gt;'
    )


def test_docstrings_say_what_a_parameter_means() -> None:
    assert described(Recipe)["patience"].startswith("The validation loss is taken every so many steps")
    assert plain_text("see :mod:`~samstudy.ranks` and ``x``,\n *now*") == "see ranks and x, now"


def test_lines_break_within_the_column_and_intervals_do_not() -> None:
    lines = wrapped(whole_intervals("mean 0.87 [0.84, 0.90] " * 9) + "x" * 300, 120, 8)
    assert max(width_pt(line, 8) for line in lines) <= 120
    assert sum("[0.84,\N{NO-BREAK SPACE}0.90]" in line for line in lines) == 9


def test_wide_tables_are_cut_between_columns_and_repeat_their_keys() -> None:
    cells = [
        ["target", *(f"mode_{i}" for i in range(40))],
        ["brain", *["[0.84,\N{NO-BREAK SPACE}0.90]"] * 40],
    ]
    blocks = column_blocks(cells, 1, 6.5)
    assert len(blocks) > 1
    assert [block[0] for block in blocks] == [0] * len(blocks)
    assert sorted(i for block in blocks for i in block[1:]) == list(range(1, 41))
    widest = max(sum(width_pt(cells[1][i], 6.5) for i in block) for block in blocks)
    assert widest < COLUMN_PT


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_supplement_follows_the_notebooks(tmp_path: Path) -> None:
    folder = tmp_path / "my study"
    folder.mkdir()
    checkout = Checkout(folder)
    files = [folder / "figures" / "demo" / name for name in ("supplement.pdf", "supplement.html")]
    stub = folder / "an env" / "bin" / "python.py"
    writes = "[pathlib.Path(f'figures/demo/supplement.{end}').write_text('x') for end in ('pdf', 'html')]"
    is_asked = 'if words[2:3] == ["supplement"]:'
    stub.write_text(
        stub.read_text().replace("if words[:3] !=", f"{is_asked}\n    {writes}\nif words[:3] !=", 1)
    )

    def made() -> bool:
        before = [file.stat().st_mtime_ns if file.exists() else 0 for file in files]
        assert checkout.make("supplement").returncode == 0
        return [file.stat().st_mtime_ns for file in files] != before

    assert made()
    assert not made()
    files[0].unlink()
    assert made()
    checkout.write("notebooks/30_summary.ipynb", "{}")
    assert made()
    checkout.write("samstudy/supplement/page.py", "")
    checkout.asked()
    assert made()
    assert checkout.asked() == []
    assert not made()


def test_figure_2_comes_before_figure_10() -> None:
    assert sorted(["fig10_a.png", "fig2_b.png", "fig1_c.png"], key=by_number) == [
        "fig1_c.png", "fig2_b.png", "fig10_a.png",
    ]  # fmt: skip
