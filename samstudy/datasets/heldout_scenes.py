"""Drawn scenes that ``vit_t`` never saw: the control that every machine has.

**These are no photographs.** A scene is leaves painted over each other (``samstudy.pretrain.leaves``), with masks for
free, from the stream of randomness named ``heldout`` that pretraining never draws from. It is drawn in memory when it
is asked for, the same in any process and order; nothing is written.

* Picture: 384 pixels at the longer side, the shorter one at least half of that; grey in two of three scenes.
* ``object``: up to 3 objects of a scene (``object#1`` ...), drawn without replacement by the scene's own weights. They
  may lie one within the other, as a part does in its whole: a point in them has several right answers, a box hardly.

What a score on them says depends on the model. For ``vit_t``, pretrained on scenes of the same kind, it is home ground:
the best that this model does anywhere. An official SAM learned from photographs, and for it they are one more domain
it has not seen. The control of the full study is ``voc2012``.

Split: all scenes are for testing; nothing is to be learned from a control.

Source of the model of images: A. B. Lee, D. Mumford, J. Huang, "Occlusion models for natural images: a statistical
study of a scale-invariant dead leaves model", Int. J. Comput. Vis. 41 (2001) 35-59.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from samstudy.datasets.base import Dataset, DatasetInfo, Reading, Record
from samstudy.datasets.splits import read_splits
from samstudy.paths import splits_dir
from samstudy.phantoms import SCENES
from samstudy.seeds import rng_for

TARGET = "object"
_SEED = 0
_LONGER_SIDE_PX = 384
_MOST_OBJECTS = 3


class HeldoutScenes(Dataset):
    """Held-out scenes, ids ``scene_007``; each is a group of its own.

    Parameters
    ----------
    root : pathlib.Path, optional
        Not used: there are no files.

    Raises
    ------
    StudyError
        If the committed split is missing.
    """

    info = DatasetInfo(
        name=SCENES,
        title="DRAWN scenes of overlapping leaves, none of which vit_t was pretrained on",
        modality="drawn scene",
        targets=(TARGET,),
        licence="as this package",
        citation="drawn by this package after Lee, Mumford & Huang, Int. J. Comput. Vis. 41 (2001) 35-59, "
        "doi 10.1023/A:1011109015675",
        how_to_get="nothing to do: it is drawn in memory",
        n_images=40,
        synthetic=True,
        group_noun="scene",
        interval_note="Drawn scenes, no photographs: home ground for vit_t, which was pretrained on others of the same "
        "kind, and one more unseen domain for a SAM trained on photographs.",
        display_note="as drawn, longer side 384 pixels",
        split_note="all for testing: a control that nothing is tuned on",
        trained_on="none; vit_t was pretrained on other scenes from the same generator",
    )

    def __init__(self, root: Path | None = None) -> None:
        path = splits_dir() / f"{self.info.name}.csv"
        table = read_splits(path)
        records = [
            Record(image_id, row.group_id, row.split, index=int(image_id.rsplit("_", 1)[1]))
            for image_id, row in table.iterrows()
        ]
        super().__init__(records, path.name)

    def _read(self, record: Record) -> Reading:
        # on demand: the code of pretraining is not needed to list or to name a data set
        from samstudy.pretrain.leaves import draw_scene

        scene = draw_scene(_SEED, record.index, _LONGER_SIDE_PX, "heldout")
        labels = {
            f"{TARGET}#{number}": scene.mask(chosen)
            for number, chosen in enumerate(_chosen(scene.weights, record.index), start=1)
        }
        return Reading(scene.image, labels or {TARGET: np.zeros(scene.node_map.shape, bool)})


def _chosen(weights: np.ndarray, index: int) -> np.ndarray:
    """Return the numbers of the objects of a scene that are asked for, ascending."""
    if not len(weights):
        return np.zeros(0, np.int64)
    rng = rng_for(_SEED, SCENES, "objects", index)
    share = weights.astype(np.float64) / weights.sum(dtype=np.float64)
    return np.sort(rng.choice(len(weights), min(_MOST_OBJECTS, len(weights)), replace=False, p=share))
