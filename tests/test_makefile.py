"""The Makefile's promises, with a stub in place of Python so that a notebook takes milliseconds.

The checkout's own path holds a space, since a home folder may.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DATASETS = ("brain", "phantom_eye", "own")
STAGES = ("00_data", "10_zero_shot", "20_fine_tune")

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")

# Stands for env/bin/python: it notes what it is asked, and writes what the notebook runner would.
STUB = """\
import os, pathlib, sys, time
words = sys.argv[1:]
if words[:1] == ["-c"]:
    sys.exit(0)
if words[:2] == ["-m", "samstudy.present"]:
    found = words[2] in ("found", "tunable") and words[3] == "demo" and pathlib.Path("datasets.txt").read_text()
    if words[2] == "tunable" and found and os.environ.get("STUB_PARTIAL"):
        found = found.replace(os.environ["STUB_PARTIAL"], "")
    if words[2] == "left-out":
        print("left out: a data set")
    elif found:
        print(found)
    else:
        print("the reason, from", *words[2:], file=sys.stderr)
    sys.exit(0)
with open("asked.log", "a") as log:
    log.write(" ".join(words) + "\\n")
if words[:3] != ["-m", "samstudy.cli", "notebook"]:
    sys.exit(0)
output = pathlib.Path(words[4])
output.parent.mkdir(parents=True, exist_ok=True)
stem = output.name.removesuffix(".ipynb")
if os.environ.get("STUB_HANG") == stem:
    pathlib.Path("hanging").touch()
    time.sleep(60)
if os.environ.get("STUB_FAIL") == stem:
    output.unlink(missing_ok=True)
    output.with_name(stem + ".failed.ipynb").write_text("evidence")
    sys.exit(2)
written = [pathlib.Path(f"figures/demo/{{stem}}.png"), pathlib.Path(f"figures/demo/{{stem}}.json")]
hashes = ""
if "10_" in stem or "20_" in stem:
    dataset, _, stage = stem.partition(".")
    table = pathlib.Path(f"data/results/demo/{{dataset}}.{{stage[3:]}}.parquet")
    table.parent.mkdir(parents=True, exist_ok=True)
    scores = os.environ.get("STUB_SCORES", "0.8")
    if not table.exists() or table.read_text() != scores:
        table.write_text(scores)
    written.append(table)
    hashes = f"{{scores}}  {{table}}"
for path in written[:2]:
    path.write_text("figure")
tables = output.with_name(output.name + ".tables")
if not tables.exists() or tables.read_text() != hashes:
    tables.write_text(hashes)
output.with_name(output.name + ".outputs").write_text("".join(f"{{path}}\\n" for path in written))
output.write_text("executed")
"""


class Checkout:
    """A copy of what make reads, with three data sets and the stub as the active environment.

    One has a split of its own, a phantom has that of its benchmark, a data set of one's own has none.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.executed = folder / "figures" / "demo" / "executed"
        for name in ("Makefile", "study.yaml", "requirements.lock", "pyproject.toml"):
            (folder / name).write_bytes((ROOT / name).read_bytes())
        for path in (ROOT / "notebooks").glob("[0-3]0_*.ipynb"):
            self.write(f"notebooks/{path.name}", "{}")
        self.write("samstudy/__init__.py", "")
        self.write("datasets.txt", "brain phantom_eye own")
        for dataset in ("brain", "eye"):
            self.write(f"data/splits/{dataset}.csv", "")
        # Through a shell: the line after #! must not hold a space, the path of an interpreter may.
        self.write("an env/bin/python.py", STUB.format())
        python = self.write("an env/bin/python", f'#!/bin/sh\nexec "{sys.executable}" -IS "$0.py" "$@"\n')
        python.chmod(0o755)
        past = time.time() - 100
        for path in folder.rglob("*"):
            os.utime(path, (past, past))

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def environment(self, **more: str) -> dict[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("MAKE", "CONDA", "MFLAGS"))
        }
        return kept | {"VIRTUAL_ENV": str(self.folder / "an env")} | more

    def make(self, *words: str, **environment: str) -> subprocess.CompletedProcess:
        done = subprocess.run(
            ["make", *words],
            cwd=self.folder,
            env=self.environment(**environment),
            capture_output=True,
            text=True,
            timeout=60,
        )
        # File systems stamp by clock ticks of some milliseconds: what is written next must be newer.
        time.sleep(0.05)
        return done

    def asked(self) -> list[str]:
        """Return and forget the notebooks that were run since the last call, by the stem of their output."""
        log = self.folder / "asked.log"
        lines = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return sorted(Path(line.split()[4]).stem for line in lines if "notebook" in line)


ALL = sorted([f"{dataset}.{stage}" for dataset in DATASETS for stage in STAGES] + ["30_summary"])


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    folder = tmp_path / "my study"
    folder.mkdir()
    return Checkout(folder)


@pytest.fixture
def built(checkout: Checkout) -> Checkout:
    done = checkout.make("figures")
    assert done.returncode == 0, done.stderr
    assert checkout.asked() == ALL
    return checkout


def test_second_make_runs_nothing(built: Checkout) -> None:
    assert built.make("figures").returncode == 0
    assert built.asked() == []
    assert "10_zero_shot" not in built.make("-n", "figures").stdout


def test_all_sets_up_then_builds_and_says_where(checkout: Checkout) -> None:
    done = checkout.make("all")
    log = (checkout.folder / "asked.log").read_text().splitlines()
    assert done.returncode == 0, done.stderr
    assert [line for line in log if "pip" in line and "--version" not in line] == [
        "-m pip --disable-pip-version-check install -r requirements.lock",
        "-m pip --disable-pip-version-check install --no-deps --no-build-isolation -e .",
    ]
    assert checkout.asked() == ALL
    assert done.stdout.splitlines()[-2] == "left out: a data set"
    assert done.stdout.splitlines()[-1].endswith("are in figures/demo.")
    checkout.make("all")
    assert not (checkout.folder / "asked.log").exists()


def test_env_is_installed_again_when_the_lock_changes(checkout: Checkout) -> None:
    checkout.make("env")
    checkout.asked()
    with (checkout.folder / "requirements.lock").open("a") as lock:
        lock.write("# another\n")
    checkout.make("env")
    assert "-r requirements.lock" in (checkout.folder / "asked.log").read_text()


def test_active_environment_without_python_is_named(checkout: Checkout) -> None:
    done = checkout.make("env", VIRTUAL_ENV="/nowhere/env")
    assert done.returncode != 0
    assert "/nowhere/env holds no bin/python: deactivate it" in done.stderr


@pytest.mark.parametrize(
    ("lost", "rebuilt"),
    [
        ("figures/demo/brain.10_zero_shot.png", "brain.10_zero_shot"),
        ("figures/demo/phantom_eye.00_data.json", "phantom_eye.00_data"),
        ("data/results/demo/brain.fine_tune.parquet", "brain.20_fine_tune"),
        ("figures/demo/executed/phantom_eye.20_fine_tune.ipynb", "phantom_eye.20_fine_tune"),
        ("figures/demo/executed/phantom_eye.20_fine_tune.ipynb.outputs", "phantom_eye.20_fine_tune"),
        ("figures/demo/30_summary.png", "30_summary"),
    ],
)
def test_a_lost_output_comes_back_alone(built: Checkout, lost: str, rebuilt: str) -> None:
    (built.folder / lost).unlink()
    assert built.make("figures").returncode == 0
    assert built.asked() == [rebuilt]
    assert (built.folder / lost).exists()
    built.make("figures")
    assert built.asked() == []


def test_an_output_overwritten_by_another_run_is_made_again(built: Checkout) -> None:
    (built.folder / "data/results/demo/phantom_eye.zero_shot.parquet").write_text("0.1")
    built.make("figures")
    assert built.asked() == ["phantom_eye.10_zero_shot"]


def test_summary_follows_the_scores_not_the_time(built: Checkout) -> None:
    (built.folder / "notebooks" / "10_zero_shot.ipynb").write_text("{ }")
    built.make("figures")
    assert built.asked() == [f"{dataset}.10_zero_shot" for dataset in sorted(DATASETS)]
    (built.folder / "notebooks" / "10_zero_shot.ipynb").write_text("{  }")
    built.make("figures", STUB_SCORES="0.9")
    assert built.asked() == ["30_summary", *(f"{dataset}.10_zero_shot" for dataset in sorted(DATASETS))]


@pytest.mark.parametrize(
    ("changed", "rebuilt"),
    [
        ("data/splits/eye.csv", [f"phantom_eye.{stage}" for stage in STAGES]),
        ("notebooks/30_summary.ipynb", ["30_summary"]),
        ("study.yaml", ALL),
        ("samstudy/__init__.py", ALL),
    ],
)
def test_what_depends_on_a_changed_file_is_rebuilt(built: Checkout, changed: str, rebuilt: list[str]) -> None:
    os.utime(built.folder / changed)
    built.make("figures")
    assert built.asked() == rebuilt


def test_only_the_drawn_control_follows_the_code_that_draws_its_scenes(checkout: Checkout) -> None:
    checkout.write("datasets.txt", "brain heldout_scenes")
    drawn_by = checkout.write("samstudy/pretrain/leaves.py", "")
    assert checkout.make("figures", STUB_PARTIAL="heldout_scenes").returncode == 0
    checkout.asked()
    os.utime(drawn_by)
    checkout.make("figures", STUB_PARTIAL="heldout_scenes")
    assert checkout.asked() == ["heldout_scenes.00_data", "heldout_scenes.10_zero_shot"]


def test_limit_is_passed_on_and_changing_it_rebuilds(built: Checkout) -> None:
    done = built.make("figures", "LIMIT=3")
    log = (built.folder / "asked.log").read_text()
    assert done.returncode == 0
    assert log.count("-p limit 3") == 6
    assert built.asked() == [name for name in ALL if "00" not in name and "30" not in name]
    built.make("figures", "LIMIT=3")
    assert built.asked() == []


def test_what_cannot_be_tuned_on_has_its_other_notebooks(checkout: Checkout) -> None:
    assert checkout.make("figures", STUB_PARTIAL="own").returncode == 0
    assert checkout.asked() == [name for name in ALL if name != "own.20_fine_tune"]


def test_a_failed_notebook_does_not_look_built_and_k_goes_on(checkout: Checkout) -> None:
    done = checkout.make("-k", "figures", STUB_FAIL="brain.10_zero_shot")
    assert done.returncode != 0
    assert checkout.asked() == [name for name in ALL if name != "30_summary"]
    assert (checkout.executed / "brain.10_zero_shot.failed.ipynb").exists()
    assert not (checkout.executed / "brain.10_zero_shot.ipynb").exists()
    assert checkout.make("figures").returncode == 0
    assert checkout.asked() == ["30_summary", "brain.10_zero_shot"]


def test_a_killed_run_is_finished_by_the_next(checkout: Checkout) -> None:
    running = subprocess.Popen(
        ["make", "figures"],
        cwd=checkout.folder,
        env=checkout.environment(STUB_HANG="phantom_eye.10_zero_shot"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 30
    while not (checkout.folder / "hanging").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    before = checkout.asked()
    assert "phantom_eye.10_zero_shot" in before
    assert checkout.make("figures").returncode == 0
    assert checkout.asked() == sorted({*ALL} - {*before} | {"phantom_eye.10_zero_shot"})


def test_two_jobs_build_the_same(checkout: Checkout) -> None:
    assert checkout.make("-j2", "figures").returncode == 0
    assert checkout.asked() == ALL
    checkout.make("-j2", "figures")
    assert checkout.asked() == []


def test_clean_removes_outputs_and_keeps_the_cache(built: Checkout) -> None:
    kept = built.write("data/cache/embedding", "")
    assert built.make("clean").returncode == 0
    assert kept.exists()
    assert not (built.folder / "figures" / "demo").exists()
    assert not (built.folder / "data" / "results" / "demo").exists()


def test_a_grid_that_cannot_be_built_gets_its_reason(checkout: Checkout) -> None:
    done = checkout.make("figures", "PROFILE=dmo")
    assert done.returncode != 0
    assert "the reason, from found dmo" in done.stderr
    assert checkout.asked() == []
