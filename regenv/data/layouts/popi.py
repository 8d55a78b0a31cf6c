"""The POPI model: one breathing cycle in ten CTs with 40 landmarks in each.

By the page of the POPI model (CREATIS, Lyon): images are MetaImages in HU, ``10-P.mhd`` is the end of inhalation and
the reference of all its motion fields, ``60-P.mhd`` the end of exhalation; landmarks are mm from the first voxel; the
41st is an image artefact and is left out, as the page does. One patient, so all pairs are of the test split.

J. Vandemeulebroucke, D. Sarrut, P. Clarysse, "The POPI-model, a point-validated pixel-based breathing thorax model",
ICCR 2007.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from regenv.core.geometry import FloatArray, Grid
from regenv.data.layouts._base import Layout, NotThisLayoutError, PairFiles, Request
from regenv.data.layouts._scans import ScanFiles, load_scans, read_rows

N_LANDMARKS = 40
REFERENCE = 10
EXHALE = 60

TREE = """PATH/                                  (4DCT-MetaImage.tar and 4DLandmarks.tar, in any folders)
  00-P.mhd, 00-P.raw, 10-P.mhd, ... 90-P.raw
  00-Landmarks.pts, 10-Landmarks.pts, ... 90-Landmarks.pts"""


def find(request: Request) -> list[PairFiles]:
    """The end of inhalation (fixed) with the end of exhalation, or with every phase where ``phases=all``."""
    images = sorted(request.root.rglob("?0-P.mhd"))
    if not images:
        raise NotThisLayoutError("has no file 10-P.mhd")
    scans = {int(path.name[:2]): _scan(request.root, path) for path in images}
    fixed = scans.get(REFERENCE, _scan(request.root, images[0].with_name(f"{REFERENCE}-P.mhd")))
    every = [phase for phase in scans if phase != REFERENCE] if request.options["phases"] == "all" else [EXHALE]
    cases = []
    for phase in every:
        moving = scans.get(phase, _scan(request.root, images[0].with_name(f"{phase}-P.mhd")))
        load = partial(load_scans, fixed, moving, points=read_points)
        cases.append(PairFiles(f"{REFERENCE}-{phase:02d}", "popi", "test", (*fixed.files, *moving.files), load))
    return cases


def read_points(path: Path, grid: Grid) -> FloatArray:
    """Landmarks in mm from the first voxel, as physical points."""
    points = read_rows(path, 3)[:N_LANDMARKS]
    return points @ grid.direction.T + grid.origin


def _scan(root: Path, image: Path) -> ScanFiles:
    """An image with its landmarks, which lie where those of other phases do."""
    folder = next((path.parent for path in sorted(root.rglob("??-Landmarks.pts"))), image.parent)
    return ScanFiles(image, "ct", landmarks=folder / f"{image.name[:2]}-Landmarks.pts")


LAYOUT = Layout("popi", "the POPI model", TREE, find, options={"phases": ("exhale", "all")})
