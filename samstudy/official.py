"""The published SAM checkpoints: where they are, what they must hash to, and how they are fetched."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from samstudy.download import download, file_sha256
from samstudy.errors import ModelError, unknown_name
from samstudy.paths import checkpoints_dir


@dataclass(frozen=True)
class OfficialFile:
    """A published checkpoint.

    Attributes
    ----------
    filename : str
        As published.
    url : str or None
        Direct download, or None where the file must be fetched by hand.
    sha256 : str or None
        Of the file, where known. (The digits in SAM's file names begin its MD5, not its SHA-256.)
    size_bytes : int or None
        Of the file, where known.
    source : str
        Where a person finds it.
    """

    filename: str
    url: str | None
    sha256: str | None
    size_bytes: int | None
    source: str

    @property
    def path(self) -> Path:
        """Where the study looks for it."""
        return checkpoints_dir() / self.filename

    def by_hand(self) -> str:
        """Say how to get the file without this program."""
        return f"download {self.filename} by hand from {self.source} and put it at {self.path}."

    def how_to_get(self, name: str) -> str:
        """Say where it was looked for and how to get it, under the name of its model."""
        return f"looked for {self.path}. Run `samstudy fetch-model {name}`, or {self.by_hand()}"


_SAM_URL = "https://dl.fbaipublicfiles.com/segment_anything/"
_SAM_PAGE = "https://github.com/facebookresearch/segment-anything#model-checkpoints"


def _sam_file(filename: str, sha256: str, size_bytes: int) -> OfficialFile:
    return OfficialFile(filename, _SAM_URL + filename, sha256, size_bytes, _SAM_PAGE)


OFFICIAL_FILES: dict[str, OfficialFile] = {
    "vit_b": _sam_file(
        "sam_vit_b_01ec64.pth",
        "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
        375_042_383,
    ),
    "vit_l": _sam_file(
        "sam_vit_l_0b3195.pth",
        "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
        1_249_524_607,
    ),
    "vit_h": _sam_file(
        "sam_vit_h_4b8939.pth",
        "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
        2_564_550_879,
    ),
    "medsam": OfficialFile("medsam_vit_b.pth", None, None, None, "https://github.com/bowang-lab/MedSAM"),
}


def fetch_model(name: str, url: str | None = None) -> Path:
    """Download an official checkpoint with progress, resume and checksum; do nothing when it is there.

    Parameters
    ----------
    name : str
        ``vit_b``, ``vit_l``, ``vit_h`` or ``medsam``.
    url : str, optional
        A mirror to read from instead of the official address; the checksum stays the official one.

    Returns
    -------
    pathlib.Path
        The file, checked.

    Raises
    ------
    StudyError
        If the name is unknown.
    ModelError
        If the file has no direct address, or a file of that name is there with another checksum.
    DownloadError
        If it cannot be reached (with how to do it by hand) or arrives damaged.
    """
    if name not in OFFICIAL_FILES:
        raise unknown_name("downloadable model", name, OFFICIAL_FILES)
    official = OFFICIAL_FILES[name]
    if official.path.is_file():
        if official.sha256 and file_sha256(official.path) != official.sha256:
            raise ModelError(
                f"{official.path} is there but is not the published file (its SHA-256 differs): move it away, then "
                f"run `samstudy fetch-model {name}` again."
            )
        return official.path
    if (url or official.url) is None:
        raise ModelError(f"{name} has no direct download: {official.by_hand()}")
    return download(
        url or official.url,
        official.path,
        checksum=f"sha256:{official.sha256}" if official.sha256 else None,
        size_bytes=official.size_bytes,
        by_hand=official.by_hand(),
    )
