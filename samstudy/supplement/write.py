"""Writes the two files of a supplement; the command ``samstudy supplement``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from samstudy.paths import figures_dir, written_whole

NAMES = ("supplement.pdf", "supplement.html")


def write_supplement(profile: str = "demo") -> list[Path]:
    """Write ``supplement.pdf`` and ``supplement.html`` into the profile's folder of figures.

    Parameters
    ----------
    profile : str
        Profile of ``study.yaml`` whose notebooks have been executed.

    Returns
    -------
    list of pathlib.Path
        The PDF and the page; the page is written last, so that it is there only with the other.

    Raises
    ------
    StudyError
        If the profile is unknown, a notebook has not been executed or one of its files is missing or damaged: which,
        and that ``make all`` comes first. Also if the folder cannot be written.
    """
    # On demand: together they take seconds to import, which no other command should wait for.
    from samstudy.supplement.document import build
    from samstudy.supplement.page import page_html
    from samstudy.supplement.pdf import write_pdf

    supplement = build(profile)
    pdf, page = (figures_dir(profile) / name for name in NAMES)
    with written_whole(pdf) as temporary:
        write_pdf(supplement, temporary)
    with written_whole(page) as temporary:
        temporary.write_text(page_html(supplement), encoding="utf-8")
    return [pdf, page]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``samstudy supplement``."""
    parser.add_argument("--profile", default="demo", help="profile of study.yaml (default demo)")


def run(args: argparse.Namespace) -> int:
    """Run ``samstudy supplement``: write both files and say how large they are.

    Returns
    -------
    int
        0. Failures are raised as StudyError, for the command line to print.
    """
    for path in write_supplement(args.profile):
        sys.stdout.write(f"{path}: {path.stat().st_size / 1e6:.1f} MB\n")
    return 0
