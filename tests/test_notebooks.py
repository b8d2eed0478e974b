"""The templates are thin and honest, their parameters are checked, and each of them runs."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import nbformat
import numpy as np
import papermill
import pytest
import yaml
from drawn import TINY, tiny_sam
from nbformat.v4 import new_code_cell, new_notebook
from PIL import Image

from samstudy.errors import StudyError
from samstudy.notebook import run_notebook
from samstudy.template import check_parameters, read_parameters
from samstudy.vit_t import save_vit_t

ROOT = Path(__file__).resolve().parent.parent
TEMPLATES = sorted((ROOT / "notebooks").glob("[0-3]0_*.ipynb"))
KNOWN_TYPES = {"str", "int", "float", "bool", "list[str]", "list[int]"}


def cells(path: Path, kind: str = "code") -> list[nbformat.NotebookNode]:
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == kind]


def python_of(cell: nbformat.NotebookNode) -> str:
    return "\n".join(line for line in cell.source.splitlines() if not line.startswith("%"))


# --- the templates ------------------------------------------------------------------------------------------


def test_the_four_templates_are_there() -> None:
    assert [path.stem for path in TEMPLATES] == ["00_data", "10_zero_shot", "20_fine_tune", "30_summary"]


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
class TestTemplate:
    def test_holds_no_outputs(self, path: Path) -> None:
        assert [cell.outputs for cell in cells(path) if cell.outputs] == []
        assert [cell.execution_count for cell in cells(path) if cell.execution_count is not None] == []

    def test_holds_no_logic(self, path: Path) -> None:
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda, ast.Try)
        found = [node for cell in cells(path) for node in ast.walk(ast.parse(python_of(cell)))]
        assert [ast.unparse(node) for node in found if isinstance(node, kinds)] == []

    def test_cells_are_short(self, path: Path) -> None:
        assert [cell.source for cell in cells(path) if len(cell.source.splitlines()) > 12] == []

    def test_prose_leads(self, path: Path) -> None:
        notebook = nbformat.read(path, as_version=4)
        assert notebook.cells[0].cell_type == "markdown"
        assert notebook.cells[0].source.startswith("# ")
        assert notebook.cells[0].source.splitlines()[0].endswith("?")

    def test_numbers_are_printed_not_typed(self, path: Path) -> None:
        typed = [
            word
            for cell in cells(path, "markdown")
            for word in cell.source.split()
            if word[:2] in ("0.", "±")
        ]
        assert typed == []

    def test_parameters_are_typed_and_explained(self, path: Path) -> None:
        parameters = read_parameters(path)
        assert "profile" in parameters
        assert {p.name: p.type for p in parameters.values() if p.type not in KNOWN_TYPES} == {}
        assert [p.name for p in parameters.values() if len(p.help) < 10] == []
        (tagged,) = [cell for cell in cells(path) if "parameters" in cell.metadata.get("tags", ())]
        assert len(tagged.source.splitlines()) == len(parameters)


def test_the_readme_names_what_each_notebook_saves() -> None:
    readme = (ROOT / "README.md").read_text()
    for path in TEMPLATES:
        (row,) = [line for line in readme.splitlines() if line.startswith(f"| `{path.stem}`")]
        code = "\n".join(cell.source for cell in cells(path))
        named = set(re.findall(r"`(?:D_)?([a-z0-9_]+)\*?`", row.partition("?")[2]))
        saved = set(re.findall(r'"(?:\{name\}_)?((?:fig|table)\d+_\w+)', code))
        saved |= set(re.findall(r'f"\{name\}_(\w+)', code))
        if "for metric in" in code:
            saved |= {"nsd", "hd95"}
        assert named == saved - {""}, path.stem


# --- checking parameters ------------------------------------------------------------------------------------


def template(folder: Path, *sources: str, name: str = "template.ipynb") -> Path:
    parameters = (
        'dataset: str = "mni152"  # which data set\n'
        "limit: int = None  # at most so many images\n"
        "shots: list[int] = None  # training images\n"
        "scale: float = 1.0  # a factor\n"
        "fast: bool = False  # skip the slow part"
    )
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = new_notebook(metadata={"kernelspec": kernel})
    notebook.cells = [
        new_code_cell(parameters, metadata={"tags": ["parameters"]}),
        *map(new_code_cell, sources),
    ]
    path = folder / name
    nbformat.write(notebook, path)
    return path


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("dataset", "12", "12"),
        ("limit", "3", 3),
        ("limit", "null", None),
        ("limit", None, None),
        ("shots", "[1, 5]", [1, 5]),
        ("shots", "1,5", [1, 5]),
        ("shots", [20], [20]),
        ("scale", "2", 2.0),
        ("fast", "true", True),
    ],
)
def test_text_becomes_the_declared_type(tmp_path: Path, name: str, text: object, value: object) -> None:
    checked = check_parameters(template(tmp_path), {name: text})
    assert checked == {name: value}
    assert type(checked[name]) is type(value)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("limt", "3", r"unknown parameter of template.ipynb 'limt'; did you mean 'limit'\? Known: .*shots"),
        (
            "limit",
            "many",
            r"'limit' of template.ipynb: expected a whole number or null, found 'many'. It is: at most",
        ),
        ("limit", 2.5, r"expected a whole number or null, found 2.5"),
        ("limit", True, r"expected a whole number or null, found True"),
        ("dataset", None, r"expected text, found None"),
        ("dataset", 3, r"expected text, found 3"),
        ("shots", "1,many", r"expected a list of whole numbers such as \[1, 5\] or null, found '1,many'"),
        ("shots", "[1", r"expected a list of whole numbers"),
        ("fast", "perhaps", r"expected true or false"),
        ("scale", "wide", r"expected a number"),
    ],
)
def test_a_wrong_parameter_is_refused_in_a_sentence(
    tmp_path: Path, name: str, value: object, sentence: str
) -> None:
    with pytest.raises(StudyError, match=sentence):
        check_parameters(template(tmp_path), {name: value})


def test_a_file_that_is_no_notebook_is_refused(tmp_path: Path) -> None:
    template(tmp_path)
    with pytest.raises(StudyError, match=r"no notebook at .*did you mean 'template.ipynb'"):
        check_parameters(tmp_path / "templte.ipynb", {})
    broken = tmp_path / "broken.ipynb"
    broken.write_text("no JSON")
    with pytest.raises(StudyError, match=r"broken\.ipynb is not a notebook"):
        check_parameters(broken, {})


# --- running ------------------------------------------------------------------------------------------------


def test_a_good_run_lists_its_outputs_and_forgets_the_failed_one(tmp_path: Path) -> None:
    figure, output = tmp_path / "figure.txt", tmp_path / "deep" / "out.ipynb"
    path = template(
        tmp_path,
        f"import os, pathlib, sys\nfigure = pathlib.Path({str(figure)!r})\nfigure.write_text('drawn')\n"
        "with open(os.environ['SAMSTUDY_OUTPUTS'], 'a') as log:\n    log.write(f'{figure.as_posix()}\\n')\n"
        "print('\\r 50 %', file=sys.stderr)\nprint(sys.executable, limit)",
    )
    output.parent.mkdir()
    output.with_suffix(".failed.ipynb").write_text("older evidence")
    assert run_notebook(path, output, {"limit": "2"}) == [figure.as_posix()]
    assert output.with_name("out.ipynb.outputs").read_text() == f"{figure.as_posix()}\n"
    assert output.with_name("out.ipynb.tables").read_text() == ""
    assert not output.with_suffix(".failed.ipynb").exists()
    (printed,) = cells(output)[-1].outputs
    assert printed.text == f"{sys.executable} 2\n"


def test_a_failing_run_keeps_the_evidence_and_removes_what_looked_built(tmp_path: Path) -> None:
    output = tmp_path / "out.ipynb"
    for name in ("out.ipynb", "out.ipynb.outputs", "out.ipynb.tables"):
        (tmp_path / name).write_text("older")
    path = template(
        tmp_path, "print('before')", "class DataError(ValueError):\n    pass\nraise DataError('no z076.')"
    )
    with pytest.raises(
        StudyError, match=r"failed at `class DataError.*`: no z076\. As far as it ran: .*out\.failed"
    ):
        run_notebook(path, output)
    assert not list(tmp_path.glob("out.ipynb*"))
    kept = cells(tmp_path / "out.failed.ipynb")
    assert [stream.text for cell in kept for stream in cell.outputs if "text" in stream] == ["before\n"]


def test_a_kernel_that_dies_is_said_to_have_died(tmp_path: Path) -> None:
    path = template(tmp_path, "import os\nos._exit(3)")
    with pytest.raises(StudyError, match="its kernel died, often for lack of memory"):
        run_notebook(path, tmp_path / "out.ipynb")
    assert not (tmp_path / "out.ipynb").exists()


# --- every template, on six small images --------------------------------------------------------------------


@pytest.fixture
def small_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A checkout with a tiny SAM and a folder of six images; returns the data set's name."""
    y, x = np.mgrid[:48, :64]
    for i in range(6):
        disc = (y - 20 - i) ** 2 + (x - 30) ** 2 <= (8 + i) ** 2
        image = np.where(disc, 190, 60).astype(np.uint8) + np.random.default_rng(i).integers(
            0, 30, disc.shape, np.uint8
        )
        for folder, pixels in (("images", image), ("masks", disc * np.uint8(255))):
            (tmp_path / "set" / folder).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / "set" / folder / f"page{i}.png")
    rows = [
        f"page{i},group{i},{split}"
        for i, split in enumerate(("train", "train", "val", "test", "test", "test"))
    ]
    (tmp_path / "set" / "splits.csv").write_text("\n".join(["image_id,group_id,split", *rows]) + "\n")
    weights = tmp_path / "small.safetensors"
    save_vit_t(tiny_sam().state_dict(), TINY, weights, {})
    dataset = f"folder:{tmp_path / 'set'}"
    profile = {
        "about": "a test",
        "datasets": [dataset],
        "models": [str(weights), "ellipse"],
        "prompts": ["box", "point_center"],
        "zero_shot": {"limit": None},
        "fine_tuning": {
            "model": str(weights),
            "shots": [1],
            "prompts": ["box"],
            "limit": None,
            "seeds": [0],
            "steps": 5,
        },
    }
    claims = yaml.safe_load((ROOT / "study.yaml").read_text())["hypotheses"]
    study = {"seed": 0, "profiles": {"demo": profile}, "hypotheses": claims}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study))
    monkeypatch.setenv("SAMSTUDY_ROOT", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    # Tiny models run slower on several threads than on one.
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return dataset


def test_every_template_runs_and_papermill_runs_them_too(small_study: str, tmp_path: Path) -> None:
    figures, written = tmp_path / "figures" / "demo", {}
    for path in TEMPLATES[:3]:
        output = tmp_path / f"{path.stem}.ipynb"
        written[path.stem] = run_notebook(path, output, {"dataset": small_study})
    papermill.execute_notebook(TEMPLATES[3], tmp_path / "30.ipynb", {"profile": "demo"}, progress_bar=False)

    name = "folder_set"
    assert {f"figures/demo/{name}_samples.png", f"figures/demo/{name}_sizes.json"} <= set(written["00_data"])
    assert {
        f"data/results/demo/{name}.zero_shot.parquet",
        f"figures/demo/{name}_overlays_box.pdf",
        f"figures/demo/tables/{name}_dice.tex",
    } <= set(written["10_zero_shot"])
    assert f"figures/demo/{name}_before_after.png" in written["20_fine_tune"]
    assert len((tmp_path / "10_zero_shot.ipynb.tables").read_text().splitlines()) == 1
    assert (figures / "fig1_overview_box.pdf").is_file()
    assert (figures / "tables" / "table3_gain.md").is_file()
    for path in tmp_path.glob("*0*.ipynb"):
        outputs = [output for cell in cells(path) for output in cell.outputs]
        assert [output for output in outputs if output.get("name") == "stderr"] == []
        assert sum("image/png" in output.get("data", {}) for output in outputs) >= 2
        assert str(ROOT) not in str(outputs)
