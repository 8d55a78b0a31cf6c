"""DIR-Lab 4DCT: ten breathing cycles with 300 landmarks at inhale and exhale.

Sizes and spacings are those of the table at www.dir-lab.com/ReferenceData.html, as released code transcribes it (four
independent copies agree). Files are 16-bit little-endian integers without a header, x fastest, then y, then z.
Landmark files hold ``x y z`` in voxels counted from 1; with that the distances before registration are those that
DIR-Lab publishes. Slices run from head to feet: the reader turns them round, so that the third axis points to the
head, and z = 1 in a landmark file is the last slice. Values are HU + 1024. (Order of slices, offset and origin of the
landmarks: code of H. Sokooti, which converts both DIR-Lab sets; that x runs to the patient's left is assumed, as in
any axial display.)

R. Castillo et al., "A framework for evaluation of deformable image registration spatial accuracy using large landmark
point sets", Phys. Med. Biol. 54 (2009).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from regenv.core.geometry import FloatArray, Grid, transform_points
from regenv.core.image import Image
from regenv.data.layouts._base import Layout, NotThisLayoutError, PairFiles, Request, split_by_subject
from regenv.data.layouts._raw import read_raw
from regenv.data.layouts._scans import ScanFiles, load_scans, read_rows
from regenv.data.pair import ImagePair

GRIDS: dict[int, tuple[tuple[int, int, int], tuple[float, float, float]]] = {
    1: ((256, 256, 94), (0.97, 0.97, 2.5)),
    2: ((256, 256, 112), (1.16, 1.16, 2.5)),
    3: ((256, 256, 104), (1.15, 1.15, 2.5)),
    4: ((256, 256, 99), (1.13, 1.13, 2.5)),
    5: ((256, 256, 106), (1.10, 1.10, 2.5)),
    6: ((512, 512, 128), (0.97, 0.97, 2.5)),
    7: ((512, 512, 136), (0.97, 0.97, 2.5)),
    8: ((512, 512, 128), (0.97, 0.97, 2.5)),
    9: ((512, 512, 128), (0.97, 0.97, 2.5)),
    10: ((512, 512, 120), (0.97, 0.97, 2.5)),
}
"""Voxels and millimetres along x, y, z of each case."""

AIR_HU = -1024.0

TREE = """PATH/
  Case1Pack/
    Images/case1_T00_s.img ... case1_T90_s.img     (case2 to 5: case2_T00-ssm.img; case6 on: case6_T00.img)
    ExtremePhases/Case1_300_T00_xyz.txt, Case1_300_T50_xyz.txt
                              (from case 6: extremePhases/case6_dirLab300_T00_xyz.txt)
  ...
  Case8Deploy/
  Case10Pack/"""


def find(request: Request) -> list[PairFiles]:
    """Inhale (T00, fixed) and exhale (T50, moving) of every case that is there."""
    cases = []
    for number in GRIDS:
        folder = _folder(request.root, number)
        if folder is not None:
            scans = (_scan(folder, number, "T00"), _scan(folder, number, "T50"))
            subject = f"case{number}"
            cases.append(
                PairFiles(
                    subject,
                    subject,
                    split_by_subject("dirlab", subject),
                    (*scans[0].files, *scans[1].files),
                    partial(load_lungs, scans, *GRIDS[number]),
                )
            )
    if not cases:
        raise NotThisLayoutError("has no folder Case1Pack to Case10Pack (Case8Deploy)")
    return cases


def load_lungs(
    scans: tuple[ScanFiles, ScanFiles], size: tuple[int, int, int], spacing: tuple[float, float, float]
) -> ImagePair:
    """Reads a pair of raw CTs of one size with their landmarks."""
    return load_scans(*scans, read=partial(read_ct, size=size, spacing=spacing), points=read_points)


def read_ct(path: Path, modality: str, size: tuple[int, int, int], spacing: tuple[float, float, float]) -> Image:
    """A raw CT in HU, its third axis towards the head; what the scanner did not see (padding) becomes air."""
    array = read_raw(path, size, "<i2")[::-1] + np.float32(AIR_HU)
    return Image(
        np.maximum(array, np.float32(AIR_HU)), Grid(size, spacing, (0.0, 0.0, 0.0), np.eye(3)), modality, AIR_HU
    )


def read_points(path: Path, grid: Grid) -> FloatArray:
    """Landmarks in voxels from 1, slices from the head, as physical points."""
    index = read_rows(path, 3) - 1.0
    index[:, 2] = grid.size[2] - 1 - index[:, 2]
    return transform_points(grid.index_to_physical, index)


def _folder(root: Path, number: int) -> Path | None:
    """The case's folder in ``root`` or one below it, by name, whatever its capitals."""
    names = {f"case{number}pack", f"case{number}deploy"}
    near = [p for p in sorted(root.iterdir()) if p.is_dir()]
    places = [root, *near, *(q for p in near for q in sorted(p.iterdir()) if q.is_dir())]
    found = [p for p in places if p.name.lower() in names]
    return found[-1] if found else None  # case 8 is unpacked into Case8Pack/Case8Deploy by some archives


def _scan(folder: Path, number: int, phase: str) -> ScanFiles:
    ending = "_s" if number == 1 else "-ssm" if number < 6 else ""
    named = f"Case{number}_300" if number < 6 else f"case{number}_dirLab300"
    image = _pick(folder, "images", rf"case{number}_{phase}(_s|-ssm)?\.img", f"Images/case{number}_{phase}{ending}.img")
    points = _pick(
        folder,
        "extremephases",
        rf"case{number}_(300|dirlab300)_{phase}_xyz\.txt",
        f"{'E' if number < 6 else 'e'}xtremePhases/{named}_{phase}_xyz.txt",
    )
    return ScanFiles(image, "ct", landmarks=points)


def _pick(folder: Path, inner: str, pattern: str, default: str) -> Path:
    """The file of that name, whatever its capitals; where there is none, the name by which it is missed."""
    places: Sequence[Path] = [p for p in sorted(folder.iterdir()) if p.is_dir() and p.name.lower() == inner]
    for place in places:
        for path in sorted(place.iterdir()):
            if re.fullmatch(pattern, path.name, re.IGNORECASE):
                return path
    return folder / default


LAYOUT = Layout("dirlab", "DIR-Lab 4DCT", TREE, find)
