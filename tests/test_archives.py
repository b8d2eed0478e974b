"""Archives that others made: what comes out, and what is refused with nothing left behind."""

from __future__ import annotations

import gzip
import io
import os
import stat
import tarfile
import zipfile

import pytest

from samstudy import archives
from samstudy.archives import ArchiveError, Limits, in_words, unpack

FILES = {"set/images/a.png": b"picture" * 50, "set/masks/ä ü.png": b"mask" * 9, "readme.txt": b""}


def make_zip(path, files, **infos):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(infos.get(name, name), content)
    return path


def make_tar(path, files, mode="w:gz", changes=None):
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for key, value in (changes or {}).get(name, {}).items():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(content))
    return path


def found(folder):
    """Return {relative path: bytes} of every file below a folder, hidden ones too."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.mark.parametrize(
    "name", ["a.zip", "a.tar", "a.tar.gz", "a.tgz", "a.tar.bz2", "a.tar.xz", "named.wrongly"]
)
def test_every_format_gives_its_files_and_nothing_else(tmp_path, name):
    path, folder = tmp_path / name, tmp_path / "raw" / "set"
    mode = {"tar": "w", "bz2": "w:bz2", "xz": "w:xz"}.get(path.suffix[1:], "w:gz")
    make_zip(path, FILES) if name.endswith("zip") else make_tar(path, FILES, mode)
    assert unpack(path, folder, progress=False) == [folder / file for file in FILES]
    assert found(folder) == FILES


def test_one_compressed_file_loses_its_suffix(tmp_path):
    (tmp_path / "labels.csv.gz").write_bytes(gzip.compress(b"id,label\n"))
    assert unpack(tmp_path / "labels.csv.gz", tmp_path / "out", progress=False) == [
        tmp_path / "out/labels.csv"
    ]
    assert found(tmp_path / "out") == {"labels.csv": b"id,label\n"}


def test_a_tar_of_the_folder_itself_is_fine(tmp_path):
    path = make_tar(tmp_path / "a.tar", {".": b"", "./x/a.png": b"1"}, "w", {".": {"type": tarfile.DIRTYPE}})
    unpack(path, tmp_path / "out", progress=False)
    assert found(tmp_path / "out") == {"x/a.png": b"1"}


def refuse(path, folder, sentence, limits=None):
    with pytest.raises(ArchiveError, match=sentence):
        unpack(path, folder, limits, progress=False)
    assert not folder.exists() or found(folder) == {}


CLIMBING = [
    "../evil.png",
    "set/../../evil.png",
    "/tmp/evil.png",
    "C:evil.png",
    "c:/evil.png",
    "..\\evil.png",
    "set\\a.png",
]


@pytest.mark.parametrize("name", CLIMBING)
@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_members_that_climb_out_are_refused(tmp_path, name, kind):
    path, folder = tmp_path / f"a.{kind}", tmp_path / "in" / "out"
    (make_zip if kind == "zip" else make_tar)(path, {"good.png": b"1", name: b"2"})
    refuse(
        path,
        folder,
        r"not unpacked: its member '.*(evil|a)\.png' (climbs out|has an absolute|has a backslash)",
    )
    assert {p.name for p in tmp_path.rglob("*")} <= {path.name, "in", "out"}


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, b"S"])
def test_links_and_devices_in_a_tar_are_refused(tmp_path, kind):
    changes = {"link": {"type": kind, "linkname": "/etc"}}
    path = make_tar(tmp_path / "a.tar.gz", {"a.png": b"1", "link": b""}, changes=changes)
    refuse(path, tmp_path / "out", "'link' is a link, a device or a sparse file")


def test_a_link_in_a_zip_is_refused(tmp_path):
    info = zipfile.ZipInfo("link")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    path = make_zip(tmp_path / "a.zip", {"a.png": b"1", "link": b"/etc"}, link=info)
    refuse(path, tmp_path / "out", "'link' is a link or a device")


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "gz"])
def test_a_bomb_is_refused(tmp_path, kind):
    path, zeros = tmp_path / f"bomb.{kind}", bytes(20 * 2**20)
    if kind == "gz":
        path.write_bytes(gzip.compress(zeros))
    else:
        (make_zip if kind == "zip" else make_tar)(path, {"bomb.bin": zeros})
    refuse(path, tmp_path / "out", r"bomb\.[a-z.]+ \(.*kB\) unpacks to more than 8\.4 MB, .* it is refused")


def test_limits_hold_in_bytes_and_members(tmp_path):
    path = make_zip(tmp_path / "a.zip", {f"{k}.bin": os.urandom(1000) for k in range(9)})
    refuse(path, tmp_path / "out", "unpacks to more than 5.0 kB", Limits(bytes=5000))
    refuse(path, tmp_path / "out", "more than 8 members", Limits(members=8))
    assert len(unpack(path, tmp_path / "out", Limits(bytes=9000, members=9), progress=False)) == 9


def test_a_stated_size_that_lies_is_caught_while_writing(tmp_path):
    path = make_zip(tmp_path / "a.zip", {"a.bin": bytes(10_000)})
    content = path.read_bytes()
    path.write_bytes(content.replace((10_000).to_bytes(4, "little"), (10).to_bytes(4, "little")))
    refuse(path, tmp_path / "out", "is damaged")


def test_a_huge_header_in_a_tar_is_not_read_into_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("samstudy.archive_formats._TAR_OVERHEAD_BYTES", 1 << 20)
    info = tarfile.TarInfo("x" * (3 << 20))
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz", format=tarfile.GNU_FORMAT) as archive:
        archive.addfile(info)
    refuse(
        tmp_path / "a.tar.gz",
        tmp_path / "out",
        "far more than is allowed",
        Limits(allowance_bytes=0, ratio=1),
    )


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "tar"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_truncated_archive_is_said_to_be(tmp_path, kind, share):
    path, files = tmp_path / f"a.{kind}", {f"{k}.bin": os.urandom(30_000) for k in range(4)}
    make_zip(path, files) if kind == "zip" else make_tar(path, files, "w" if kind == "tar" else "w:gz")
    # a plain tar ends in blocks of zeros up to 10 kB: cut before them
    end = sum(30_720 + 512 for _ in files) if kind == "tar" else path.stat().st_size
    path.write_bytes(path.read_bytes()[: int(share * end)])
    refuse(path, tmp_path / "out", r"is damaged or cut short .* fetch it again")


def test_a_changed_byte_is_found(tmp_path):
    path = make_zip(tmp_path / "a.zip", {"a.bin": os.urandom(5000)})
    content = bytearray(path.read_bytes())
    content[2000] ^= 255
    path.write_bytes(content)
    refuse(path, tmp_path / "out", "is damaged or cut short")


def test_an_encrypted_member_asks_for_unpacking_by_hand(tmp_path):
    path = make_zip(tmp_path / "a.zip", {"a.png": b"1"})
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    content[6] |= 1
    path.write_bytes(content)
    refuse(path, tmp_path / "out", "'a.png' is encrypted: a password is asked for. .* unpack it by hand")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"7z\xbc\xaf'\x1c rest", "is a 7z archive, .* unpack it with 7-Zip"),
        (b"Rar!\x1a\x07\x01 rest", "is a rar archive, .* unrar"),
        (b"\n<!DOCTYPE html><html>log in", "is a web page, not an archive"),
        (b"", "no archive that is read here"),
        (b"PK\x05\x06" + bytes(18), "holds no file"),
    ],
)
def test_other_formats_say_what_to_use(tmp_path, content, sentence):
    (tmp_path / "a.zip").write_bytes(content)
    refuse(tmp_path / "a.zip", tmp_path / "out", sentence)


def test_an_unknown_compression_asks_for_another_program(tmp_path):
    path = make_zip(tmp_path / "a.zip", {"a.png": b"1" * 99})
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 10] = content[8] = 9
    path.write_bytes(content)
    refuse(path, tmp_path / "out", r"a\.zip is compressed in a way that is not read here .* with 7-Zip")


def test_two_members_of_one_name_are_refused(tmp_path):
    refuse(make_tar(tmp_path / "a.tar", {"a": b"1", "./a": b"2"}, "w"), tmp_path / "out", "holds 'a' twice")


def test_names_that_windows_reserves_are_refused_there_alone(tmp_path, monkeypatch):
    files = {"aux.png": b"1", "con/a.png": b"2", "what?.png": b"3", "console.png": b"4"}
    for name in list(files)[:3]:
        path = make_zip(tmp_path / "a.zip", {name: b"1"})
        unpack(path, tmp_path / "kept", progress=False)
        with monkeypatch.context() as patch:
            patch.setattr(archives, "_ON_WINDOWS", True)
            refuse(path, tmp_path / "out", "has a name that Windows reserves")
    monkeypatch.setattr(archives, "_ON_WINDOWS", True)
    assert unpack(make_zip(tmp_path / "b.zip", {"console.png": b"4"}), tmp_path / "kept", progress=False)


def test_names_in_utf8_without_the_mark_are_read_as_meant(tmp_path):
    path = make_zip(tmp_path / "a.zip", {"ä.png": b"1"})
    content = path.read_bytes()
    at = content.index(b"PK\x01\x02") + 9
    content = (
        content[:7] + bytes([content[7] & ~8]) + content[8:at] + bytes([content[at] & ~8]) + content[at + 1 :]
    )
    path.write_bytes(content)
    assert unpack(path, tmp_path / "out", progress=False) == [tmp_path / "out" / "ä.png"]


def test_what_is_there_already_is_kept_and_other_files_stay(tmp_path):
    path, folder = make_zip(tmp_path / "a.zip", FILES), tmp_path / "out"
    unpack(path, folder, progress=False)
    stamp = (folder / "set/images/a.png").stat().st_mtime_ns
    (folder / "mine.txt").write_text("kept")
    assert len(unpack(path, folder, progress=False)) == 3
    (folder / "readme.txt").unlink()
    unpack(path, folder, progress=False)
    assert found(folder) == FILES | {"mine.txt": b"kept"}
    assert (folder / "set/images/a.png").stat().st_mtime_ns >= stamp


def test_a_file_of_other_contents_is_never_overwritten(tmp_path):
    path, folder = make_zip(tmp_path / "a.zip", FILES), tmp_path / "out"
    (folder / "set/images").mkdir(parents=True)
    (folder / "set/images/a.png").write_bytes(b"another")
    with pytest.raises(
        ArchiveError, match=r"images/a\.png is there already and differs from the one in a\.zip; move"
    ):
        unpack(path, folder, progress=False)
    assert found(folder) == {"set/images/a.png": b"another"}


def test_a_killed_run_leaves_no_half_tree(tmp_path, monkeypatch):
    path, folder = make_zip(tmp_path / "a.zip", FILES), tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(archives, "_move", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        patch.setattr(archives.shutil, "rmtree", lambda *_, **__: None)
        with pytest.raises(KeyboardInterrupt):
            unpack(path, folder, progress=False)
    assert [p.name for p in folder.iterdir()] == [".unpacking-a.zip"]
    unpack(path, folder, progress=False)
    assert found(folder) == FILES


def test_a_full_disk_is_said_before_it_is_filled(tmp_path, monkeypatch):
    path = make_zip(tmp_path / "a.zip", FILES)
    usage = type("Usage", (), {"free": 100})
    monkeypatch.setattr(archives.shutil, "disk_usage", lambda _: usage)
    refuse(path, tmp_path / "out", r"unpacks to 386 bytes, but .* has 100 bytes free; make room")


def test_sizes_in_words():
    assert [in_words(n) for n in (0, 999, 1500, 999_600, 12_340_000, 24_200_000_000)] == [
        "0 bytes", "999 bytes", "1.5 kB", "1.0 MB", "12.3 MB", "24.2 GB",
    ]  # fmt: skip
