"""RIRE: CT, PET and MR of the heads of patients, with a rigid truth by implanted markers for the training patient.

By the pages of the project (rire.insight-journal.org: data format, transform format): images have one orientation,
rows to the patient's left, columns to the back, slices to the head; a transformation file lists the centres of the
eight corner voxels of the "From" image (CT or PET) and where they lie in the "To" image (MR), in mm from the centre
of the first voxel. It is published for the training patient; of the others the answer is withheld by the project, so
their truth is unknown here.

J. West et al., "Comparison and evaluation of retrospective intermodality brain image registration techniques", JCAT
21 (1997).
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import numpy as np

from regenv.core.geometry import FloatArray, Grid
from regenv.data.image_io import read_image
from regenv.data.layouts._base import Layout, NotThisLayoutError, PairFiles, Request, split_by_subject
from regenv.data.layouts._scans import make_truth
from regenv.data.pair import ImagePair
from regenv.errors import DataError

FOLDERS = {"ct": "ct", "pet": "pet", "t1": "mr_T1", "t2": "mr_T2", "pd": "mr_PD"}
"""Folder of each modality; ``rectified=yes`` takes the MR corrected for distortion, ``mr_T1_rectified`` and so on."""

TREE = """PATH/
  training_001/
    ct/training_001_ct.mhd, training_001_ct.raw
    mr_T1/training_001_mr_T1.mhd, ... mr_T2/, mr_PD/, mr_T1_rectified/, ..., pet/
    transformations/ct_T1.standard, ct_T2.standard, ..., pet_PD.standard
  patient_001/
    ct/patient_001_ct.mhd, ...
  ..."""

MAX_FIT_ERROR_MM = 0.1
"""A rigid fit to the eight corners leaves this much at most: they are written to 0.0001 mm."""


def find(request: Request) -> list[PairFiles]:
    """A pair for every patient who has both modalities; MR asked for as ``mr`` is T1."""
    folders = sorted(
        p for p in request.root.iterdir() if re.fullmatch(r"(training|patient)_\d{3}", p.name) and p.is_dir()
    )
    if re.fullmatch(r"(training|patient)_\d{3}", request.root.name):
        folders = [request.root]
    if not folders:
        raise NotThisLayoutError("has no folder training_001 or patient_001")
    kinds = [{"mr": "t1"}.get(kind, kind) for kind in request.modalities]
    for kind in kinds:
        if kind not in FOLDERS:
            raise DataError(
                f"RIRE has no {kind} images (it has {', '.join(FOLDERS)} and mr); choose among its modalities"
            )
    rectified = "_rectified" if request.options["rectified"] == "yes" else ""
    cases = []
    for folder in folders:
        names = [FOLDERS[kind] + (rectified if kind in ("t1", "t2", "pd") else "") for kind in kinds]
        if not all((folder / name).is_dir() for name in names):
            continue  # not every patient had every scan
        fixed, moving = (folder / name / f"{folder.name}_{name}.mhd" for name in names)
        truth = _standard(folder, kinds, rectified)
        split = "train" if folder.name.startswith("training") else split_by_subject("rire", folder.name)
        files = (fixed, moving) if truth is None else (fixed, moving, truth)
        load = partial(
            _load, fixed, moving, (request.modalities[0], request.modalities[1]), truth, kinds[0] in ("ct", "pet")
        )
        cases.append(PairFiles(folder.name, folder.name, split, files, load, one_frame=False))
    return cases


def read_standard(path: Path, source: Grid, target: Grid) -> FloatArray:
    """The rigid transform of a transformation file, from physical points of the "From" to those of the "To" image.

    Raises:
        DataError: If it is no such file or its corners are not a rigid motion apart.
    """
    rows = []
    for line in path.read_text(encoding="latin-1").splitlines():
        words = line.split()
        if len(words) == 7 and words[0] in "12345678":
            try:
                rows.append([float(word) for word in words[1:]])
            except ValueError:
                raise DataError(f"{path}: {line.strip()!r} is not six numbers; copy it again") from None
    if len(rows) != 8:
        raise DataError(f"{path} has {len(rows)} of the eight corners of a RIRE transformation; copy it again")
    array = np.array(rows)
    points = array[:, :3] @ source.direction.T + source.origin
    images = array[:, 3:] @ target.direction.T + target.origin
    centre, goal = points.mean(axis=0), images.mean(axis=0)
    u, _, vt = np.linalg.svd((images - goal).T @ (points - centre))  # Kabsch: the rotation nearest to the corners
    rotation = u @ np.diag([1.0, 1.0, np.linalg.det(u @ vt)]) @ vt
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rotation, goal - rotation @ centre
    worst = float(np.linalg.norm(points @ rotation.T + matrix[:3, 3] - images, axis=1).max())
    if worst > MAX_FIT_ERROR_MM:
        raise DataError(f"{path}: no rigid motion fits its corners (by {worst:.2f} mm); copy it again")
    return matrix


def _standard(folder: Path, kinds: list[str], rectified: str) -> Path | None:
    """The transformation file of the pair in either direction, where the patient has any."""
    place = folder / "transformations"
    source = next((kind for kind in kinds if kind in ("ct", "pet")), None)
    target = next((kind for kind in kinds if kind in ("t1", "t2", "pd")), None)
    published = place.is_dir() or folder.name.startswith("training")
    if not published or source is None or target is None:
        return None
    return place / f"{source}_{target.upper()}{rectified}.standard"


def _load(fixed: Path, moving: Path, kinds: tuple[str, str], truth: Path | None, forwards: bool) -> ImagePair:
    images = [read_image(path, kind, ndim=3) for path, kind in zip((fixed, moving), kinds, strict=True)]
    matrix: FloatArray | None = None
    if truth is not None:
        source, target = (images[0].grid, images[1].grid) if forwards else (images[1].grid, images[0].grid)
        matrix = read_standard(truth, source, target)
        if not forwards:
            matrix = np.asarray(np.linalg.inv(matrix))
    return ImagePair("", "", images[0], images[1], truth=make_truth(transform=matrix))


LAYOUT = Layout("rire", "RIRE", TREE, find, options={"rectified": ("no", "yes")})
