"""Getting data: what is downloaded, what is said before and after, and what a person is told to do otherwise."""

from __future__ import annotations

import hashlib
import io
import threading
import zipfile
from dataclasses import replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from samstudy import fetch as fetching
from samstudy.archives import ArchiveError
from samstudy.cli import DONE, REFUSED, main
from samstudy.datasets import DATASETS
from samstudy.datasets.base import DatasetInfo, Download
from samstudy.download import DownloadError, OfflineError
from samstudy.errors import StudyError
from samstudy.fetch import fetch


def zipped(files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


IMAGES = zipped({"set/images/a.png": b"picture", "__MACOSX/._a": b"x"})
MASKS = zipped({"a.png": b"mask"})
SERVED = {
    "images.zip": IMAGES,
    "masks.zip": MASKS,
    "table.csv": b"id\na\n",
    "page.zip": b"<html>log in</html>",
}


@pytest.fixture
def address(tmp_path):
    """Serve SERVED from a folder on this machine."""
    folder = tmp_path / "served"
    folder.mkdir()
    for name, content in SERVED.items():
        (folder / name).write_bytes(content)

    class Quiet(SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(folder))

        def log_message(self, *_):
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture
def register(tmp_path, monkeypatch):
    """Return ``register(downloads, steps)``: a data set ``drawn`` in a project of its own."""
    monkeypatch.setenv("SAMSTUDY_ROOT", str(tmp_path))
    info = DatasetInfo(
        "drawn", "Drawn set", "any", ("disc",), "CC0", "Nobody 2020", "see its page", "https://x.org"
    )

    def make(downloads=(), steps=()):
        kind = type("Drawn", (), {"info": replace(info, downloads=tuple(downloads), steps=tuple(steps))})
        kind.landmarks = ("set/images",)
        monkeypatch.setitem(DATASETS._items, "drawn", kind)
        return tmp_path / "data" / "raw" / "drawn"

    return make


def downloads(address):
    sha256 = f"sha256:{hashlib.sha256(IMAGES).hexdigest()}"
    return [
        Download(f"{address}/images.zip", "images.zip", sha256, len(IMAGES)),
        Download(
            f"{address}/masks.zip", "masks.zip", f"md5:{hashlib.md5(MASKS).hexdigest()}", None, "set/masks"
        ),
        Download(f"{address}/table.csv", "table.csv"),
    ]


def told(*arguments, **options):
    lines = []
    fetch(*arguments, lines.append, **options)
    return "\n".join(lines)


def test_fetch_downloads_unpacks_and_says_what_comes_next(address, register):
    root = register(downloads(address))
    text = told("drawn")
    assert (root / "set/images/a.png").read_bytes() == b"picture"
    assert (root / "set/masks/a.png").read_bytes() == b"mask"
    assert (root / "table.csv").read_bytes() == SERVED["table.csv"]
    assert sorted(p.name for p in (root / ".archives").iterdir()) == ["images.zip", "masks.zip", "table.csv"]
    total = sum(map(len, (IMAGES, MASKS, SERVED["table.csv"])))
    assert text.splitlines()[0] == "Drawn set. Licence: CC0. Cite: Nobody 2020."
    assert "table.csv  5 bytes, no checksum is published" in text
    assert f"To download: {total} bytes in all. Free disk at {root}: " in text
    assert text.splitlines()[-1] == "Next: samstudy check drawn"
    assert text.index("To download") < text.index("[1/3] images.zip")


def test_a_second_fetch_downloads_and_writes_nothing(address, register, tmp_path):
    root = register(downloads(address))
    told("drawn")
    stamps = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    for name in SERVED:
        (tmp_path / "served" / name).unlink()
    assert "4 files are in" in told("drawn")
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == stamps


def test_only_some_files_and_another_root(address, register, tmp_path):
    register(downloads(address), steps=["Ask for the rest."])
    text = told("drawn", only="IMAGES", root=tmp_path / "here")
    assert not (tmp_path / "here/set/masks").exists()
    assert f"Next: samstudy check drawn --root {tmp_path / 'here'}" in text
    assert text.endswith("by hand:\n  1. Ask for the rest.")
    with pytest.raises(StudyError, match=r"unknown file of drawn 'image\.zip'; did you mean 'images\.zip'"):
        told("drawn", only="image.zip")


def test_offline_says_how_to_do_it_in_a_browser(register, capsys):
    root = register(downloads("http://127.0.0.1:9"))
    with pytest.raises(OfflineError, match=r"no connection") as caught:
        told("drawn")
    steps = str(caught.value).partition("By hand:\n")[2].splitlines()
    assert steps[1] == (
        f"  2. open http://127.0.0.1:9/masks.zip in a browser, and unpack masks.zip into {root / 'set/masks'}"
    )
    assert steps[-1] == "  4. run samstudy check drawn"
    assert main(["fetch", "drawn"]) == REFUSED
    assert "Traceback" not in capsys.readouterr().err


def test_an_archive_that_was_fetched_in_a_browser_is_used(register, address):
    root = register([Download("http://127.0.0.1:9/images.zip", "images.zip", size_bytes=len(IMAGES))])
    (root / ".archives").mkdir(parents=True)
    (root / ".archives" / "images.zip").write_bytes(IMAGES)
    assert "files are in" in told("drawn")
    (root / ".archives" / "images.zip").write_bytes(IMAGES[:50])
    with pytest.raises(
        StudyError, match=r"images\.zip is there, but has 50 bytes; the published file has \d+\. Remove"
    ):
        told("drawn")


def test_another_checksum_or_a_web_page_is_refused(register, address):
    root = register([Download(f"{address}/images.zip", "images.zip", f"md5:{'0' * 32}")])
    with pytest.raises(DownloadError, match="its MD5 is not 000000000000"):
        told("drawn")
    assert not list((root / ".archives").iterdir())
    register([Download(f"{address}/page.zip", "page.zip")])
    with pytest.raises(ArchiveError, match=r"page\.zip is a web page, not an archive"):
        told("drawn")
    register([Download(f"{address}/gone.zip", "gone.zip")])
    with pytest.raises(DownloadError, match="answered 404: the publisher may have moved the file"):
        told("drawn")


def test_too_little_disk_is_said_before_anything_is_fetched(register, address, monkeypatch):
    root = register(downloads(address))
    monkeypatch.setattr(fetching.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 10}))
    with pytest.raises(StudyError, match=r"drawn needs about .* has 10 bytes free; make room"):
        told("drawn")
    assert not root.exists()


def test_without_downloads_the_steps_are_numbered(register, capsys):
    root = register(steps=["Register at https://x.org.", "Download set.zip."])
    text = told("drawn")
    assert (
        "Drawn set has no open download. By hand:\n  1. Register at https://x.org.\n  2. Download set.zip."
        in text
    )
    assert f"Unpack into {root}, so that it (or a folder up to three levels below) holds set/images." in text
    assert text.endswith("Next: samstudy check drawn")
    assert main(["fetch", "drawn"]) == DONE
    assert "  2. Download set.zip." in capsys.readouterr().out


def test_a_set_of_ones_own_has_nothing_to_fetch(monkeypatch):
    monkeypatch.setattr(fetching, "_described", lambda: {"mine"})
    with pytest.raises(StudyError, match=r"'mine' is a data set of your own, described in study\.yaml"):
        told("mine")


def test_sets_that_need_nothing_say_so(capsys):
    assert "nothing to do: it is inside the package nilearn" in told("mni152")
    for name in DATASETS:
        if name.startswith("phantom_"):
            assert "nothing to do: it is drawn at first use" in told(name)
    with pytest.raises(StudyError, match="is a folder of your own"):
        told("folder:/x")
    assert main(["fetch", "mni125"]) == REFUSED
    assert "did you mean 'mni152'" in capsys.readouterr().err
