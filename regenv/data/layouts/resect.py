"""RESECT (CuRIOUS): MR of brain tumours and ultrasound before, during and after resection, with landmarks.

Files are NIfTI; landmarks are MNI tag files whose first points belong to the first word of the name:
``Case1-MRI-beforeUS.tag`` has MR first, ``Case1-beforeUS-afterUS.tag`` the ultrasound before resection first, in mm
of the world of the NIfTI headers. T1 and FLAIR of a case are registered to each other, and the ultrasound lies in
their frame by the tracker, so all lie in one frame. (Layout: scripts that read the distributed NIFTI folder; the tag
files: a copy of one, and code that renders landmarks onto both images.) Landmarks were not set for every pair of
scans in every case: pairs are made where there is a tag file.

Y. Xiao et al., "REtroSpective Evaluation of Cerebral Tumors (RESECT)", Med. Phys. 44 (2017).
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

from regenv.data.image_io import read_image
from regenv.data.layouts._base import Layout, NotThisLayoutError, PairFiles, Request, split_by_subject
from regenv.data.layouts._scans import check_landmarks, make_truth
from regenv.data.layouts._tags import read_tags
from regenv.data.pair import ImagePair
from regenv.errors import DataError

SEQUENCES = {"flair": "FLAIR", "t1": "T1"}

TREE = """PATH/                                  (RESECT/NIFTI)
  Case1/
    MRI/Case1-T1.nii.gz, Case1-FLAIR.nii.gz
    US/Case1-US-before.nii.gz, Case1-US-during.nii.gz, Case1-US-after.nii.gz
    Landmarks/Case1-MRI-beforeUS.tag, Case1-beforeUS-duringUS.tag, Case1-beforeUS-afterUS.tag
  Case2/
  ..."""


def find(request: Request) -> list[PairFiles]:
    """MR and ultrasound before resection, or two ultrasounds where both modalities are ``us``."""
    roots = [request.root, request.root / "NIFTI"]
    folders = [
        p for root in roots for p in sorted(root.glob("Case*")) if re.fullmatch(r"Case\d+", p.name) and p.is_dir()
    ]
    if not folders:
        raise NotThisLayoutError("has no folder Case1")
    kinds = request.modalities
    cases: list[PairFiles] = []
    lost: list[Path] = []
    for folder in sorted(folders, key=lambda p: int(p.name[4:])):
        name = folder.name
        before = folder / "US" / f"{name}-US-before.nii.gz"
        if kinds == ("us", "us"):
            other = folder / "US" / f"{name}-US-{request.options['stage']}.nii.gz"
            tags = folder / "Landmarks" / f"{name}-beforeUS-{request.options['stage']}US.tag"
            fixed, moving, first_is_fixed, modalities = before, other, True, ("us", "us")
        else:
            sequence = next((kind for kind in kinds if kind in SEQUENCES), "flair")
            scan = folder / "MRI" / f"{name}-{SEQUENCES[sequence]}.nii.gz"
            tags = folder / "Landmarks" / f"{name}-MRI-beforeUS.tag"
            if "us" not in kinds:
                raise DataError(
                    f"RESECT pairs one of {', '.join(SEQUENCES)} with us, or us with us; not {kinds[0]}, {kinds[1]}"
                )
            us_fixed = kinds[0] == "us"
            fixed, moving = (before, scan) if us_fixed else (scan, before)
            first_is_fixed, modalities = not us_fixed, ("us", sequence) if us_fixed else (sequence, "us")
        if not tags.exists():
            lost.append(tags.relative_to(request.root))
            continue  # landmarks of this pair of scans were not set in every case
        load = partial(load_tagged, fixed, moving, tags, modalities, first_is_fixed)
        cases.append(PairFiles(name, name, split_by_subject("resect", name), (fixed, moving, tags), load))
    if not cases:
        shown = ", ".join(str(path) for path in lost[:5])
        raise NotThisLayoutError(f"has none of {len(lost)} landmark files ({shown}{', ...' if len(lost) > 5 else ''})")
    return cases


def load_tagged(fixed: Path, moving: Path, tags: Path, modalities: tuple[str, str], first_is_fixed: bool) -> ImagePair:
    """Reads a pair of images with the landmarks of a tag file."""
    images = [read_image(path, kind, ndim=3) for path, kind in zip((fixed, moving), modalities, strict=True)]
    points = list(read_tags(tags))
    if not first_is_fixed:
        points.reverse()
    for found, image in zip(points, images, strict=True):
        check_landmarks(tags.name, found, image.grid)
    return ImagePair("", "", images[0], images[1], truth=make_truth(landmarks=points))


LAYOUT = Layout("resect", "RESECT", TREE, find, options={"stage": ("after", "during")})
