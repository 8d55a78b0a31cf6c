"""BITE, group 2: MR of brain tumours and ultrasound before resection, with landmarks.

``01_all.tag`` pairs points of ``01_mr_tal.mnc`` (first) with those of ``01a_us_tal.mnc`` (second), in mm of MINC's
world, which is RAS (order: the call ``register 01_mr_tal.mnc 01a_us_tal.mnc 01_all.tag`` of published preprocessing).
The other groups are not read: their file names could not be looked up.

The set is distributed in MINC, part of it in version 1 (netCDF), which ITK does not read and this package does. A
``.nii`` or ``.nii.gz`` of the same name (``mnc2nii 01_mr_tal.mnc 01_mr_tal.nii``) is preferred where there is one.

L. Mercier et al., "Online database of clinical MR and ultrasound images of brain tumors", Med. Phys. 39 (2012).
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

from regenv.data.image_io import read_image
from regenv.data.layouts._base import Layout, NotThisLayoutError, PairFiles, Request, split_by_subject
from regenv.data.layouts._minc import read_minc
from regenv.data.layouts._scans import check_landmarks, make_truth
from regenv.data.layouts._tags import read_tags
from regenv.data.pair import ImagePair

SUFFIXES = (".nii.gz", ".nii", ".mnc")

TREE = """PATH/                                  (group 2, or the folder that holds group2/)
  01/
    01_mr_tal.mnc, 01a_us_tal.mnc        (or converted: .nii, .nii.gz)
    01_all.tag
  02/
  ..."""


def find(request: Request) -> list[PairFiles]:
    """Ultrasound and MR of every case, in the order of the modalities."""
    roots = [request.root, request.root / "group2"]
    folders = [p for root in roots for p in sorted(root.glob("??")) if re.fullmatch(r"\d\d", p.name) and p.is_dir()]
    if not folders:
        raise NotThisLayoutError("has no folder 01")
    mr_first = request.modalities[1] == "us" and request.modalities[0] != "us"
    modality = request.modality(0 if mr_first else 1, ("mr", "t1"))
    cases = []
    for folder in folders:
        scan, us = _image(folder, f"{folder.name}_mr_tal"), _image(folder, f"{folder.name}a_us_tal")
        tags = folder / f"{folder.name}_all.tag"
        load = partial(_load, scan, us, tags, modality, mr_first)
        cases.append(PairFiles(folder.name, folder.name, split_by_subject("bite", folder.name), (scan, us, tags), load))
    return cases


def _image(folder: Path, stem: str) -> Path:
    return next((folder / f"{stem}{s}" for s in SUFFIXES if (folder / f"{stem}{s}").exists()), folder / f"{stem}.mnc")


def _load(scan: Path, us: Path, tags: Path, modality: str, mr_first: bool) -> ImagePair:
    images = [
        read_minc(path, kind) if path.suffix == ".mnc" else read_image(path, kind, ndim=3)
        for path, kind in ((scan, modality), (us, "us"))
    ]
    points = list(read_tags(tags))
    for found, image in zip(points, images, strict=True):
        check_landmarks(tags.name, found, image.grid)
    if not mr_first:
        images.reverse()
        points.reverse()
    return ImagePair("", "", images[0], images[1], truth=make_truth(landmarks=points))


LAYOUT = Layout("bite", "BITE (group 2)", TREE, find)
