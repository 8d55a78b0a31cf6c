"""DIR-Lab COPDgene: ten pairs of breath-hold CTs, full inhale and exhale, with 300 landmarks.

Sizes and spacings are those of the table at www.dir-lab.com/ReferenceData.html, as released code transcribes it.
Copies agree but for the spacing of case 9: two whole transcriptions of the table have 0.664 mm, two others 0.644;
this reader has the first. Files, landmarks and intensities are as in :mod:`regenv.data.layouts.dirlab`.

R. Castillo et al., "A reference dataset for deformable image registration spatial accuracy evaluation using the
COPDgene study archive", Phys. Med. Biol. 58 (2013).
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from regenv.data.layouts._base import Layout, NotThisLayoutError, PairFiles, Request, split_by_subject
from regenv.data.layouts._scans import ScanFiles
from regenv.data.layouts.dirlab import load_lungs

GRIDS: dict[int, tuple[tuple[int, int, int], tuple[float, float, float]]] = {
    1: ((512, 512, 121), (0.625, 0.625, 2.5)),
    2: ((512, 512, 102), (0.645, 0.645, 2.5)),
    3: ((512, 512, 126), (0.652, 0.652, 2.5)),
    4: ((512, 512, 126), (0.590, 0.590, 2.5)),
    5: ((512, 512, 131), (0.647, 0.647, 2.5)),
    6: ((512, 512, 119), (0.633, 0.633, 2.5)),
    7: ((512, 512, 112), (0.625, 0.625, 2.5)),
    8: ((512, 512, 115), (0.586, 0.586, 2.5)),
    9: ((512, 512, 116), (0.664, 0.664, 2.5)),
    10: ((512, 512, 135), (0.742, 0.742, 2.5)),
}
"""Voxels and millimetres along x, y, z of each case."""

TREE = """PATH/
  copd1/
    copd1_iBHCT.img, copd1_eBHCT.img
    copd1_300_iBH_xyz_r1.txt, copd1_300_eBH_xyz_r1.txt
  ...
  copd10/"""


def find(request: Request) -> list[PairFiles]:
    """Inhale (fixed) and exhale (moving) of every case that is there."""
    cases = []
    for number in GRIDS:
        name = f"copd{number}"
        folder = _folder(request.root, name)
        if folder is None:
            continue
        scans = (_scan(folder, name, "i"), _scan(folder, name, "e"))
        files = (*scans[0].files, *scans[1].files)
        load = partial(load_lungs, scans, *GRIDS[number])
        cases.append(PairFiles(name, name, split_by_subject("copdgene", name), files, load))
    if not cases:
        raise NotThisLayoutError("has no folder copd1 to copd10")
    return cases


def _scan(folder: Path, name: str, side: str) -> ScanFiles:
    return ScanFiles(folder / f"{name}_{side}BHCT.img", "ct", landmarks=folder / f"{name}_300_{side}BH_xyz_r1.txt")


def _folder(root: Path, name: str) -> Path | None:
    """The case's folder, ``root/name``, or the one of the same name inside that the archive makes."""
    for folder in (root / name / name, root / name):
        if folder.is_dir():
            return folder
    return None


LAYOUT = Layout("copdgene", "DIR-Lab COPDgene", TREE, find)
