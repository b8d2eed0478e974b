"""The supplement of a profile as one thing, which the page and the PDF then lay out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from samstudy.phantoms import shown_name
from samstudy.study import choose, load_study
from samstudy.supplement.blocks import Block, FigureFile, Section, Table
from samstudy.supplement.content import Executed, read_executed, stamps
from samstudy.supplement.data_sets import data_section
from samstudy.supplement.methods import cap, methods
from samstudy.supplement.sources import limits_given, sources_section

TITLE = "Supplementary material"
ALL_DATA_SETS = "All data sets"


@dataclass(frozen=True)
class Supplement:
    """Everything that a supplement shows, in order.

    Attributes
    ----------
    profile, about : str
        The profile of ``study.yaml`` and what it is for.
    stamps : tuple of str
        What has to be said of every result: drawn images, the demonstration model. Empty for real ones.
    methods, figures, tables : tuple of Section
        Figures and tables have a section for the summary and one for each data set.
    executed : tuple of Executed
    sources : Section
    """

    profile: str
    about: str
    stamps: tuple[str, ...]
    methods: tuple[Section, ...]
    figures: tuple[Section, ...]
    tables: tuple[Section, ...]
    executed: tuple[Executed, ...]
    sources: Section

    @property
    def subtitle(self) -> str:
        """One line on what it is about."""
        return f"samstudy, profile {self.profile}: {self.about}"

    def number(self, block: FigureFile | Table) -> str:
        """Return ``"Figure S3"`` or ``"Table S3"``, counted through the whole supplement."""
        kind, sections = ("Figure", self.figures) if isinstance(block, FigureFile) else ("Table", self.tables)
        shown = [other.name for section in sections for other in section.blocks]
        return f"{kind} S{shown.index(block.name) + 1}"


def build(profile: str) -> Supplement:
    """Read everything that a profile's supplement shows.

    Raises
    ------
    StudyError
        For an unknown profile, or when ``make all`` has not finished; see
        :func:`samstudy.supplement.content.read_executed`.
    """
    study = load_study()
    chosen = choose(study, profile)
    executed = read_executed(profile)
    limits = limits_given(executed)
    limit = (
        f"at most {max(limits)} of each set, as this run was told" if limits else cap(chosen.zero_shot.limit)
    )
    return Supplement(
        profile=profile,
        about=chosen.about,
        stamps=tuple(f"{words[0].upper()}{words[1:]}." for words in stamps(executed)),
        methods=tuple(methods(study, chosen, data_section(study, chosen, limit))),
        figures=_by_data_set(executed, "figures"),
        tables=_by_data_set(executed, "tables"),
        executed=tuple(executed),
        sources=sources_section(study, executed),
    )


def _by_data_set(executed: Sequence[Executed], what: str) -> tuple[Section, ...]:
    found: dict[str, list[Block]] = {}
    for notebook in executed:
        title = shown_name(notebook.dataset) if notebook.dataset else ALL_DATA_SETS
        found.setdefault(title, []).extend(getattr(notebook, what))
    return tuple(Section(title, tuple(blocks)) for title, blocks in found.items() if blocks)
