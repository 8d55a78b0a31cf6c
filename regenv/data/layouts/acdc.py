"""ACDC: short-axis cine MR of 150 hearts, with labels at the end of diastole and of systole.

``Info.cfg`` names the two frames (``ED: 1``, ``ES: 12``), and ``patient001_frame01_gt.nii.gz`` labels 1 the cavity of
the right ventricle, 2 the myocardium, 3 the cavity of the left one (www.creatis.insa-lyon.fr/Challenge/acdc). The
sform of these files has no scale and their qform has: ITK takes the qform, as it should here (a known fault of the
set, nnU-Net issue 2741). Patients 1 to 100 are the challenge's training set, 101 to 150 its test set; every fifth of
the first are the validation split here (there are twenty of each pathology in a row, so it has four of each).

O. Bernard et al., "Deep learning techniques for automatic MRI cardiac multi-structures segmentation and diagnosis: is
the problem solved?", IEEE TMI 37 (2018).
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

from regenv.data.layouts._base import Layout, NotThisLayoutError, PairFiles, Request
from regenv.data.layouts._scans import ScanFiles, load_scans, read_text
from regenv.errors import DataError

LABELS = {1: "right ventricle cavity", 2: "myocardium", 3: "left ventricle cavity"}
N_TRAINING = 100

TREE = """PATH/                                  (or training/ and testing/ in it)
  patient001/
    Info.cfg                             (with the lines ED: 1 and ES: 12)
    patient001_frame01.nii.gz, patient001_frame01_gt.nii.gz
    patient001_frame12.nii.gz, patient001_frame12_gt.nii.gz
  patient002/
  ..."""


def find(request: Request) -> list[PairFiles]:
    """The end of systole (fixed) and of diastole (moving, at rest) of every patient."""
    folders = sorted(p for pattern in ("patient???", "*/patient???") for p in request.root.glob(pattern) if p.is_dir())
    folders = [p for p in folders if re.fullmatch(r"patient\d{3}", p.name)]
    if not folders:
        raise NotThisLayoutError("has no folder patient001")
    lost = [p.name for p in folders if not (p / "Info.cfg").is_file()]
    if lost:
        raise DataError(
            f"{request.root}: Info.cfg, which says which frames are ED and ES, is missing in {len(lost)} of "
            f"{len(folders)} patients ({', '.join(lost[:5])}); copy their folders again"
        )
    cases = []
    for folder in folders:
        frames = _frames(folder)
        scans = [_scan(folder, frames[key], request.modality(i, ("mr", "cine"))) for i, key in enumerate(("ES", "ED"))]
        load = partial(load_scans, *scans, label_names=LABELS)
        files = (*scans[0].files, *scans[1].files)
        cases.append(PairFiles(folder.name, folder.name, _split(int(folder.name[-3:])), files, load))
    return cases


def _frames(folder: Path) -> dict[str, int]:
    path = folder / "Info.cfg"
    found = dict(re.findall(r"^\s*(ED|ES)\s*:\s*(\d+)", read_text(path), re.MULTILINE))
    if set(found) != {"ED", "ES"}:
        raise DataError(f"{path} has no lines 'ED: n' and 'ES: n'; copy it again")
    return {key: int(value) for key, value in found.items()}


def _scan(folder: Path, frame: int, modality: str) -> ScanFiles:
    stem = f"{folder.name}_frame{frame:02d}"
    suffix = ".nii.gz" if (folder / f"{stem}.nii.gz").exists() or not (folder / f"{stem}.nii").exists() else ".nii"
    return ScanFiles(folder / f"{stem}{suffix}", modality, labels=folder / f"{stem}_gt{suffix}")


def _split(number: int) -> str:
    if number > N_TRAINING:
        return "test"
    return "validation" if number % 5 == 0 else "train"


LAYOUT = Layout("acdc", "ACDC", TREE, find, slices=(0.3, 0.5, 0.7))
