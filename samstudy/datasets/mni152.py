"""ICBM-152: axial slices of the MRI template that nilearn ships, with its grey- and white-matter maps.

The real image every machine has. It is the T1-weighted non-linear average of 152 adults (ICBM 2009a,
symmetric: left and right are mirror images; 1 mm, 197 x 233 x 189 voxels), **skull-stripped**: outside the
brain it is black, so the target ``brain`` is a sanity check (anything that finds the bright region passes),
not a task; the tissues are the task. Being an average, it is smoother than any single scan and has no visible
bias field.

* Picture: axial slice, anterior up, patient's right on the left (radiological), windowed over the volume by
  ``samstudy.images.display``; pixels of 1 mm x 1 mm by the header.
* ``grey_matter``, ``white_matter``: voxels where that map is the larger of the two and above
  ``min_probability``. There is no map of cerebrospinal fluid in the package, hence the minimum.
* ``brain``: nilearn's own mask, the template above 0.2 of its maximum.

Split: one brain, so training and test cannot be different people. They are blocks of slices apart from each
other (MNI z in mm; 8 slices left out between blocks, 9 mm from the last slice of one to the first of the
next): train -42..-23 and +42..+61, val -14..-5, test +4..+33. A group is a slab of 5 adjacent slices.

Source: V. Fonov et al., "Unbiased nonlinear average age-appropriate brain templates from birth to adulthood",
NeuroImage 47 (2009) S102; V. Fonov et al., "Unbiased average age-appropriate atlases for pediatric studies",
NeuroImage 54 (2011) 313-327.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from samstudy.datasets.base import Dataset, DatasetInfo, Reading, Record
from samstudy.datasets.splits import read_splits
from samstudy.errors import StudyError
from samstudy.images.display import default_bounds, to_rgb
from samstudy.images.volume import axial
from samstudy.paths import splits_dir


@dataclass(frozen=True)
class _Template:
    """H x W x K stacks as displayed: T1 and tissue probabilities in [0, 1], float32; brain, bool."""

    t1: np.ndarray
    grey: np.ndarray
    white: np.ndarray
    brain: np.ndarray
    bounds: tuple[float, float]
    spacing_mm: tuple[float, float]


@lru_cache(maxsize=1)
def _template() -> _Template:
    # nilearn takes seconds to import: not before a slice is asked for
    from nilearn import datasets

    images = [
        datasets.load_mni152_template(resolution=1),
        datasets.load_mni152_gm_template(resolution=1),
        datasets.load_mni152_wm_template(resolution=1),
        datasets.load_mni152_brain_mask(resolution=1),
    ]
    # the shipped files are already right-anterior-superior; their affine has no rotation
    t1, grey, white, brain = (axial(np.asarray(image.dataobj)) for image in images)
    zooms = images[0].header.get_zooms()
    return _Template(t1, grey, white, brain > 0, default_bounds(t1), (float(zooms[1]), float(zooms[0])))


class MNI152(Dataset):
    """Axial slices of the ICBM-152 template, ids ``mni152_z076`` (slice 76 = MNI z +4 mm).

    Parameters
    ----------
    root : pathlib.Path, optional
        Not used: the data come with nilearn.
    min_probability : float
        Least tissue probability of a voxel of ``grey_matter`` or ``white_matter``, in [0, 1).

    Raises
    ------
    StudyError
        If ``min_probability`` is outside [0, 1), or the committed split is missing.
    """

    info = DatasetInfo(
        name="mni152",
        title="ICBM-152 T1 template (2009a, symmetric non-linear average) as shipped with nilearn",
        modality="MRI T1 (average of 152 adults, skull-stripped)",
        targets=("brain", "grey_matter", "white_matter"),
        licence="copyright Louis Collins, McConnell Brain Imaging Centre, Montreal Neurological Institute, "
        "McGill University; free to use, copy, modify and distribute with that notice, as its distributors "
        "state; nilearn's own page says 'unknown'",
        citation="Fonov et al., NeuroImage 47 (2009) S102, doi 10.1016/S1053-8119(09)70884-5; "
        "Fonov et al., NeuroImage 54 (2011) 313-327, doi 10.1016/j.neuroimage.2010.07.033",
        how_to_get="nothing to do: it is inside the package nilearn",
        url="https://www.bic.mni.mcgill.ca/ServicesAtlases/ICBM152NLin2009",
        n_images=80,
        group_noun="slab of adjacent slices",
        interval_note="One averaged brain: intervals are over slabs of 5 adjacent slices and describe this "
        "brain only, not a population.",
        spacing_known=True,
        nsd_tolerance=1.0,
        display_note="axial, anterior up, patient's right on the left; 1 mm pixels; 0.5-99.5 percentile of "
        "the non-zero voxels",
    )

    def __init__(self, root: Path | None = None, min_probability: float = 0.5) -> None:
        if not 0 <= min_probability < 1:
            raise StudyError(f"min_probability is {min_probability}; it is a probability in [0, 1).")
        self.min_probability = min_probability
        path = splits_dir() / "mni152.csv"
        table = read_splits(path)
        records = [
            Record(image_id, row.group_id, row.split, index=int(image_id.rsplit("z", 1)[1]))
            for image_id, row in table.iterrows()
        ]
        super().__init__(records, str(path.name))

    def _read(self, record: Record) -> Reading:
        template, k = _template(), record.index
        grey, white = template.grey[..., k], template.white[..., k]
        rgb, _ = to_rgb(template.t1[..., k], template.bounds)
        labels = {
            "brain": template.brain[..., k],
            "grey_matter": (grey > white) & (grey > self.min_probability),
            "white_matter": (white >= grey) & (white > self.min_probability),
        }
        return Reading(rgb, labels, template.spacing_mm)
