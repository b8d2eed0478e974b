"""The explorer in JupyterLab in a real browser: minutes and 1.5 GB, so run by ``make test-browser`` only."""

from __future__ import annotations

import io
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from samstudy.explore.lab import lab_command

ROOT = Path(__file__).resolve().parent.parent
CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), ""
)
N_CLICKS, N_IMAGES = (
    int(os.environ.get(f"SAMSTUDY_BROWSER_{name}", n)) for name, n in (("CLICKS", 20), ("IMAGES", 4))
)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not CHROMIUM, reason="no Chromium is installed (make test-browser installs it from Debian)"
    ),
]
sync_api = pytest.importorskip(
    "playwright.sync_api", reason="playwright is not installed: pip install -e .[test]"
)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout of its own: the notebook, the grid and no results."""
    root = tmp_path_factory.mktemp("project")
    (root / "notebooks").mkdir()
    shutil.copy(ROOT / "study.yaml", root)
    shutil.copytree(ROOT / "data" / "splits", root / "data" / "splits")
    shutil.copy(ROOT / "notebooks" / "90_explore.ipynb", root / "notebooks")
    return root


@pytest.fixture(scope="module")
def address(project: Path) -> Iterator[str]:
    """JupyterLab on a free port with a token of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token = secrets.token_hex(8)
    os.environ["SAMSTUDY_ROOT"] = str(project)
    command, environment = lab_command(
        str(project / "notebooks" / "90_explore.ipynb"), port, no_browser=True, allow_root=True
    )
    environment |= {
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "JUPYTER_CONFIG_DIR": str(project / "config"),
    }
    command += [f"--IdentityProvider.token={token}", "--LabApp.news_url=", "--LabApp.check_for_updates_class="
                "jupyterlab.handlers.announcements.NeverCheckForUpdate"]  # fmt: skip
    with (project / "lab.log").open("w") as log:
        server = subprocess.Popen(command, env=environment, cwd=project, stdout=log, stderr=log)
    try:
        _wait_for(f"http://127.0.0.1:{port}/api?token={token}")
        yield f"http://127.0.0.1:{port}/lab/tree/notebooks/90_explore.ipynb?token={token}"
    finally:
        server.terminate()
        server.wait(30)
        del os.environ["SAMSTUDY_ROOT"]


def _wait_for(url: str) -> None:
    for _ in range(240):
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.5)
    pytest.fail("JupyterLab did not start in 120 s")


class Lab:
    """One page of JupyterLab with the explorer run."""

    def __init__(self, page: object) -> None:
        self.page = page
        self.canvas = page.locator(".jupyter-matplotlib-canvas-div").first

    def status(self) -> str:
        return self.page.locator(".samstudy-explore [role=status]").inner_text()

    def until(self, pattern: str, seconds: float = 30) -> str:
        """Wait until the sentence under the figure matches."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if re.search(pattern, self.status()):
                return self.status()
            time.sleep(0.02)
        pytest.fail(f"{pattern!r} did not appear; it says {self.status()!r}")

    def place(self, x: float, y: float) -> tuple[float, float]:
        """A place of the canvas, as fractions of its width and height, in pixels of the page."""
        box = self.canvas.bounding_box()
        return box["x"] + x * box["width"], box["y"] + y * box["height"]

    def click(self, x: float, y: float, **more: object) -> None:
        self.page.mouse.click(*self.place(x, y), **more)

    def picture(self) -> np.ndarray:
        time.sleep(0.7)
        return np.asarray(Image.open(io.BytesIO(self.canvas.screenshot())).convert("RGB")).astype(int)

    def dice(self) -> list[float]:
        cells = self.page.locator(".samstudy-explore tr.shown td:last-child").all_inner_texts()
        return [float(text) for text in cells if text]


@pytest.fixture(scope="module")
def lab(address: str, project: Path) -> Iterator[Lab]:
    """The notebook opened and its cells run up to the explorer."""
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1440, "height": 1250})
        page.goto(address, timeout=120_000)
        page.locator(".jp-Notebook").first.wait_for(timeout=120_000)
        time.sleep(10)
        for number in (0, 1):
            _run_cell(page, number)
        lab = Lab(page)
        try:
            lab.canvas.wait_for(timeout=180_000)
            lab.until("embedded in", 180)
            lab.canvas.scroll_into_view_if_needed()
            time.sleep(2)
            yield lab
        finally:
            page.screenshot(path=str(project / "last.png"))
            if os.environ.get("SAMSTUDY_BROWSER_PICTURES"):
                _pictures(lab, Path(os.environ["SAMSTUDY_BROWSER_PICTURES"]))
            browser.close()


def _run_cell(page: object, number: int) -> None:
    """Run a code cell; keys that come before the kernel does are lost, so they are pressed again."""
    cell = page.locator(".jp-CodeCell").nth(number)
    for _ in range(60):
        # before there is a kernel JupyterLab asks which one
        if page.locator(".jp-Dialog .jp-mod-accept").count():
            page.locator(".jp-Dialog .jp-mod-accept").last.click()
            time.sleep(2)
        cell.locator(".jp-InputPrompt").click()
        page.keyboard.press("Shift+Enter")
        time.sleep(2)
        if cell.locator(".jp-InputPrompt").inner_text().strip("[]: "):
            return
    pytest.fail(f"JupyterLab did not run the code cell {number} in 120 s")


def _pictures(lab: Lab, folder: Path) -> None:
    """Screenshots to look at: light, 125 %, dark."""
    folder.mkdir(parents=True, exist_ok=True)
    lab.page.screenshot(path=str(folder / "light.png"))
    lab.page.evaluate("document.body.style.zoom = 1.25")
    time.sleep(1)
    lab.page.screenshot(path=str(folder / "light_125.png"))
    lab.page.evaluate("document.body.style.zoom = 1")
    lab.page.get_by_text("Settings", exact=True).first.click()
    lab.page.get_by_text("Theme", exact=True).first.hover()
    lab.page.get_by_text("JupyterLab Dark", exact=True).first.click()
    time.sleep(3)
    lab.page.screenshot(path=str(folder / "dark.png"))


def test_a_click_draws_a_mask_and_undo_takes_it_back(lab: Lab) -> None:
    before = lab.picture()
    lab.click(0.5, 0.5)
    assert "answered in" in lab.until("1 point: answered")
    after = lab.picture()
    assert (np.abs(after - before).sum(axis=2) > 30).sum() > 50
    assert 0 <= lab.dice()[0] <= 1
    lab.page.get_by_role("button", name="Undo").click()
    time.sleep(1)
    assert (np.abs(lab.picture() - before).sum(axis=2) > 30).sum() == 0


def test_right_and_shifted_clicks_are_of_the_background_and_a_drag_is_a_box(lab: Lab) -> None:
    lab.click(0.5, 0.5)
    lab.until("1 point: answered")
    lab.click(0.4, 0.4, button="right")
    lab.until("2 points: answered")
    assert lab.page.locator(".lm-Menu").count() == 0
    lab.page.keyboard.down("Shift")
    lab.click(0.6, 0.4)
    lab.page.keyboard.up("Shift")
    lab.until("3 points: answered")
    lab.page.get_by_role("button", name="Clear").click()
    lab.until("Cleared")
    lab.page.mouse.move(*lab.place(0.3, 0.1))
    lab.page.mouse.down()
    lab.page.mouse.move(*lab.place(0.5, 0.5), steps=5)
    lab.page.mouse.move(*lab.place(0.7, 0.9), steps=5)
    lab.page.mouse.up()
    lab.until("0 points, a box: answered")
    assert lab.dice()[0] > 0.5


def test_the_keyboard_alone_is_enough_and_jupyterlab_leaves_it_the_keys(lab: Lab) -> None:
    n_cells = lab.page.locator(".jp-Cell").count()
    lab.canvas.focus()
    for key in ("c", "ArrowRight", "Shift+ArrowDown", "Enter"):
        lab.page.keyboard.press(key)
    lab.until("1 point: answered")
    lab.page.keyboard.press("ArrowLeft")
    lab.page.keyboard.press("Backspace")
    lab.until("2 points: answered")
    for key in ("b", "Shift+ArrowDown", "Shift+ArrowRight", "b"):
        lab.page.keyboard.press(key)
    lab.until("2 points, a box: answered")
    lab.page.keyboard.press("u")
    lab.until("2 points: answered")
    lab.page.keyboard.press("3")
    time.sleep(1)
    assert lab.page.locator(".samstudy-explore tr.shown").inner_text().startswith("3")
    for key in ("o", "[", "o", "]", "x", "a"):
        lab.page.keyboard.press(key)
    assert lab.page.locator(".jp-Cell").count() == n_cells


def test_what_is_saved_runs_as_a_data_set(lab: Lab, project: Path) -> None:
    lab.canvas.focus()
    lab.page.keyboard.press("c")
    lab.until("Cleared")
    lab.click(0.5, 0.5)
    lab.until("1 point: answered")
    lab.page.keyboard.press("s")
    lab.until("Saved brain of")
    lab.page.get_by_role("button", name="Save", exact=True).click()
    lab.until("Replaced brain of")
    saved = project / "notebooks" / "explored"
    command = [sys.executable, "-m", "samstudy.cli", "run", "--dataset", f"folder:{saved}", "--models", "vit_t",
               "--prompts", "box", "--output", str(project / "scores")]  # fmt: skip
    done = subprocess.run(
        command, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (project / "scores" / "scores.csv").is_file()


def test_many_clicks_are_each_answered_and_memory_stays(lab: Lab, project: Path) -> None:
    import psutil

    kernel = next(p for p in psutil.process_iter(["cmdline", "environ"]) if _is_kernel(p, project))
    rng, seconds, memory = np.random.default_rng(0), [], []
    for _ in range(N_IMAGES):
        lab.canvas.focus()
        lab.page.keyboard.press("n")
        lab.until("embedded in", 60)
        time.sleep(0.5)
        for click in range(N_CLICKS // N_IMAGES):
            start = time.monotonic()
            lab.click(*rng.uniform(0.42, 0.58, 2))
            lab.until(rf"^{click + 1} points?: answered")
            seconds.append(time.monotonic() - start)
        memory.append(kernel.memory_info().rss / 1e6)
    assert memory[-1] - memory[len(memory) // 4] < 60
    said = lab.page.locator(".jp-OutputArea-output[data-mime-type*=stderr]").all_inner_texts()
    assert not [text for text in said if "Error" in text]
    median, most = np.quantile(seconds, [0.5, 0.95])
    sys.stdout.write(
        f"\n{len(seconds)} clicks on {N_IMAGES} images: median {median:.2f} s, 95 % {most:.2f} s from the click to the "
        f"sentence; kernel {memory[0]:.0f} to {memory[-1]:.0f} MB\n"
    )


def _is_kernel(process: object, project: Path) -> bool:
    words = " ".join(process.info["cmdline"] or ())
    return "ipykernel_launcher" in words and (process.info["environ"] or {}).get("SAMSTUDY_ROOT") == str(
        project
    )
