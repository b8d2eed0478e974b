"""Downloads against a server on this machine: progress is kept, damage is found, offline is explained."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from samstudy import official
from samstudy.download import DownloadError, download
from samstudy.errors import ModelError, StudyError

CONTENT = bytes(range(256)) * 4096
SHA256 = hashlib.sha256(CONTENT).hexdigest()
CHECKSUM = f"sha256:{SHA256}"


class Server(ThreadingHTTPServer):
    """Serves CONTENT; cuts the first ``n_cuts`` answers half-way; notes the ranges that were asked for."""

    n_cuts = 0
    ranges: list
    with_ranges = True


class Handler(BaseHTTPRequestHandler):
    """GET with Range, or 404."""

    def do_GET(self):
        if self.path != "/model.pth":
            self.send_error(404)
            return
        asked = self.headers.get("Range")
        self.server.ranges.append(asked)
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.server.with_ranges else 0
        if start >= len(CONTENT):
            self.send_error(416)
            return
        body = CONTENT[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.server.n_cuts:
            self.server.n_cuts -= 1
            body = body[: len(body) // 2]
        self.wfile.write(body)

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def server():
    with Server(("127.0.0.1", 0), Handler) as running:
        running.ranges = []
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield running
        running.shutdown()


def url(server, name="model.pth"):
    return f"http://127.0.0.1:{server.server_address[1]}/{name}"


def test_a_whole_file_arrives_checked(server, tmp_path):
    path = download(url(server), tmp_path / "sub" / "model.pth", checksum=CHECKSUM, size_bytes=len(CONTENT))
    assert path.read_bytes() == CONTENT
    assert [p.name for p in path.parent.iterdir()] == ["model.pth"]


def test_a_cut_download_goes_on_where_it_was(server, tmp_path):
    server.n_cuts = 1
    path = tmp_path / "model.pth"
    with pytest.raises(DownloadError, match=r"524288 bytes are kept in model\.pth\.part"):
        download(url(server), path, checksum=CHECKSUM)
    assert not path.exists()
    assert download(url(server), path, checksum=CHECKSUM).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=524288-"]


def test_a_server_without_ranges_is_read_from_the_start(server, tmp_path):
    server.with_ranges = False
    (tmp_path / "model.pth.part").write_bytes(CONTENT[:1000])
    assert download(url(server), tmp_path / "model.pth", checksum=CHECKSUM).read_bytes() == CONTENT


def test_a_whole_part_file_is_not_fetched_again(server, tmp_path):
    (tmp_path / "model.pth.part").write_bytes(CONTENT)
    assert download(url(server), tmp_path / "model.pth", checksum=CHECKSUM).read_bytes() == CONTENT


def test_another_checksum_is_refused_and_removed(server, tmp_path):
    with pytest.raises(DownloadError, match=r"its SHA256 is not 000000000000"):
        download(url(server), tmp_path / "model.pth", checksum=f"sha256:{'0' * 64}")
    assert not list(tmp_path.iterdir())


def test_another_size_is_refused(server, tmp_path):
    with pytest.raises(DownloadError, match="it has 1048576 bytes, not 10"):
        download(url(server), tmp_path / "model.pth", size_bytes=10)


def test_not_found(server, tmp_path):
    with pytest.raises(DownloadError, match="answered 404"):
        download(url(server, "other.pth"), tmp_path / "model.pth")


@pytest.fixture
def checkpoint(tmp_path, monkeypatch):
    """The entry of vit_b, with a small file's hash, in a project of its own."""
    monkeypatch.setenv("SAMSTUDY_ROOT", str(tmp_path))
    entry = replace(official.OFFICIAL_FILES["vit_b"], sha256=SHA256, size_bytes=len(CONTENT))
    monkeypatch.setitem(official.OFFICIAL_FILES, "vit_b", entry)
    return entry


def test_fetch_model_downloads_once(server, checkpoint):
    assert official.fetch_model("vit_b", url(server)) == checkpoint.path
    assert official.fetch_model("vit_b", url(server)) == checkpoint.path
    assert len(server.ranges) == 1


def test_fetch_model_offline_says_where_to_put_the_file(checkpoint):
    with pytest.raises(
        DownloadError, match=r"no connection.*download sam_vit_b_01ec64\.pth by hand from .* put it at"
    ):
        official.fetch_model("vit_b", "http://127.0.0.1:9/model.pth")


def test_fetch_model_refuses_a_file_of_that_name_that_is_another(checkpoint):
    checkpoint.path.parent.mkdir(parents=True)
    checkpoint.path.write_bytes(b"something else")
    with pytest.raises(ModelError, match="is not the published file"):
        official.fetch_model("vit_b")


def test_fetch_model_by_name(checkpoint):
    with pytest.raises(StudyError, match=r"unknown downloadable model 'vit_x'; did you mean 'vit_"):
        official.fetch_model("vit_x")
    with pytest.raises(ModelError, match=r"medsam has no direct download: download medsam_vit_b.pth by hand"):
        official.fetch_model("medsam")
