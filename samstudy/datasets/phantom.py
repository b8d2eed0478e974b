"""``phantom_<name>``: the drawn stand-in of a benchmark, read by that benchmark's own loader."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from samstudy.datasets.official import OfficialDataset
from samstudy.phantoms import PREFIX, phantom_root


def phantom_of(kind: type[OfficialDataset]) -> type[OfficialDataset]:
    """Return the class of a benchmark's phantom: the same loader over drawn files.

    Parameters
    ----------
    kind : type
        Loader of the benchmark.

    Returns
    -------
    type
        Registered as ``phantom_<name>``; its title begins with PHANTOM, and its files are drawn at first use.
    """
    real = kind.info
    info = replace(
        real,
        name=f"{PREFIX}{real.name}",
        title=f"PHANTOM of {real.title}",
        modality=f"drawn {real.modality}",
        licence="as this package",
        citation="drawn by this package in the layout of: " + real.citation,
        how_to_get="nothing to do: it is drawn at first use",
        url="",
        n_images=None,
        synthetic=True,
        interval_note="Drawn images: intervals describe the phantoms' seeds, not patients.",
        trained_on="nothing: drawn for this study",
        downloads=(),
        steps=(),
    )

    def default_root(cls: type[OfficialDataset]) -> Path:
        return phantom_root(real.name)

    return type(
        f"Phantom{kind.__name__}",
        (kind,),
        {
            "__doc__": f"{info.title}; see ``samstudy.phantoms.{real.name}``.",
            "__module__": __name__,
            "info": info,
            "expected": {},
            "default_root": classmethod(default_root),
        },
    )
