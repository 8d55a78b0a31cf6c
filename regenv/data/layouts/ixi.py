"""IXI: T1, T2, PD and MRA of nearly 600 healthy subjects from three hospitals of London.

File names are ``IXI002-Guys-0828-T1.nii.gz``: subject, hospital, number, sequence
(brain-development.org/ixi-dataset). The scans of a subject were taken in one session and are not registered to each
other, so nothing is known of the truth: similarity can be measured, TRE cannot. Two different modalities are paired
within the subject, one with itself between subjects.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

from regenv.data.dataset import SPLITS
from regenv.data.layouts._base import Layout, NotThisLayoutError, PairFiles, Request, ring, split_by_subject
from regenv.data.layouts._scans import ScanFiles, load_scans
from regenv.errors import DataError

SEQUENCES = {"t1": "T1", "t2": "T2", "pd": "PD", "mra": "MRA"}
NAME = re.compile(r"(IXI\d{3})-(\w+)-(\d{4})-(T1|T2|PD|MRA)\.nii(\.gz)?")

TREE = """PATH/                                  (IXI-T1.tar, IXI-T2.tar, ..., each in a folder or all in one)
  IXI-T1/IXI002-Guys-0828-T1.nii.gz, IXI012-HH-1211-T1.nii.gz, ...
  IXI-T2/IXI002-Guys-0828-T2.nii.gz, ...
  IXI-PD/, IXI-MRA/"""


def find(request: Request) -> list[PairFiles]:
    """Pairs within subjects, or between subjects where both modalities are the same."""
    found: dict[str, dict[str, Path]] = {}
    for path in sorted([*request.root.glob("IXI*.nii*"), *request.root.glob("*/IXI*.nii*")]):
        match = NAME.fullmatch(path.name)
        if match:
            found.setdefault(match[1], {})[match[4]] = path
    if not found:
        raise NotThisLayoutError("has no file such as IXI-T1/IXI002-Guys-0828-T1.nii.gz")
    kinds = [{"mr": "t1"}.get(kind, kind) for kind in request.modalities]
    for kind in kinds:
        if kind not in SEQUENCES:
            raise DataError(f"IXI has no {kind} images (it has {', '.join(SEQUENCES)}); choose among its modalities")
    first, second = (SEQUENCES[kind] for kind in kinds)
    within = first != second
    subjects = [s for s, scans in found.items() if first in scans and second in scans]
    if not subjects:
        counts = ", ".join(f"{sum(k in scans for scans in found.values())} {k}" for k in dict.fromkeys((first, second)))
        lost = ", ".join(
            f"{s}-*-{k}"
            for s, scans in list(found.items())[:3]
            for k in dict.fromkeys((first, second))
            if k not in scans
        )
        raise NotThisLayoutError(
            f"has no subject with all images that a pair needs (it has {counts}; {lost} are missing)"
        )
    by_split = {split: [s for s in subjects if split_by_subject("ixi", s) == split] for split in SPLITS}
    cases = []
    for split, members in by_split.items():
        pairs = [(s, s) for s in members] if within else ring(members)
        for one, other in pairs:
            scans = (ScanFiles(found[one][first], kinds[0]), ScanFiles(found[other][second], kinds[1]))
            name = f"{one}-{first}-{second}" if within else f"{one}-{other}-{first}"
            files = (scans[0].image, scans[1].image)
            cases.append(PairFiles(name, one, split, files, partial(load_scans, *scans), one_frame=within))
    return cases


LAYOUT = Layout("ixi", "IXI", TREE, find)
