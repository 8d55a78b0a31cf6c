"""Any data set in BIDS, the Brain Imaging Data Structure: ``sub-01/[ses-a/]anat/sub-01[_ses-a]_T1w.nii.gz``.

By the specification (bids-specification.readthedocs.io): the entity before the first underscore is the subject,
``_ses-`` the session, the last word the kind of image. Two modalities are paired within a session; one with itself
between subjects, or with ``?pairs=sessions`` between the first and each later session of a subject. Of several
acquisitions or runs the first by name is taken. Splits are the column ``split`` of ``participants.tsv`` where it is
there, else by a hash of the subject. Nothing is known of the truth: similarity can be measured. With labels or
landmarks, write a manifest instead (``folder:PATH``).
"""

from __future__ import annotations

import csv
import re
from functools import partial
from pathlib import Path

from regenv.data.dataset import SPLITS
from regenv.data.layouts._base import Layout, NotThisLayoutError, PairFiles, Request, ring, split_by_subject
from regenv.data.layouts._scans import ScanFiles, load_scans, read_text
from regenv.errors import DataError

SUFFIXES = {
    "t1": ("anat", "T1w"),
    "t2": ("anat", "T2w"),
    "flair": ("anat", "FLAIR"),
    "pd": ("anat", "PDw"),
    "mra": ("anat", "angio"),
    "ct": ("ct", "ct"),
    "pet": ("pet", "pet"),
}
"""Folder and suffix of each modality (the folder ``ct`` is of a proposal, BEP 024)."""

TREE = """PATH/
  participants.tsv                       (optional; a column 'split' decides the splits)
  sub-01/anat/sub-01_T1w.nii.gz, sub-01_T2w.nii.gz, sub-01_FLAIR.nii.gz
  sub-02/ses-baseline/anat/sub-02_ses-baseline_T1w.nii.gz
  sub-02/ses-followup/anat/...
  ..."""


def find(request: Request) -> list[PairFiles]:
    """Pairs within sessions, between sessions or between subjects."""
    if not any(p.is_dir() for p in request.root.glob("sub-*")):
        raise NotThisLayoutError("has no folder sub-01")
    kinds = [{"mr": "t1"}.get(kind, kind) for kind in request.modalities]
    for kind in kinds:
        if kind not in SUFFIXES:
            raise DataError(f"BIDS has no suffix for {kind} here (known: {', '.join(SUFFIXES)}); choose among them")
    first, second = (_scans(request.root, kind) for kind in kinds)
    pairs = request.options["pairs"]
    if pairs == "auto":
        pairs = "within" if kinds[0] != kinds[1] else "between"
    if pairs == "within" and kinds[0] == kinds[1]:
        raise DataError(
            f"pairs=within needs two modalities, not {kinds[0]} twice; take pairs=sessions or pairs=between"
        )
    if not first or not second:
        lost = " and ".join("_".join(SUFFIXES[k][1:]) for k, f in zip(kinds, (first, second), strict=True) if not f)
        raise NotThisLayoutError(f"has no image of the suffix {lost}")
    splits = _splits(request.root, sorted({subject for subject, _ in (*first, *second)}))
    cases = []
    for one, other in _pair_keys(pairs, first, second, splits):
        scans = (ScanFiles(first[one], kinds[0]), ScanFiles(second[other], kinds[1]))
        name = "-to-".join("_".join(filter(None, key)) for key in dict.fromkeys((one, other)))
        load = partial(load_scans, *scans)
        files = (scans[0].image, scans[1].image)
        cases.append(
            PairFiles(f"{name}_{'-'.join(kinds)}", one[0], splits[one[0]], files, load, one_frame=pairs == "within")
        )
    return cases


Key = tuple[str, str]  # subject, session (or "")


def _scans(root: Path, kind: str) -> dict[Key, Path]:
    """The first image of a kind in every session."""
    folder, suffix = SUFFIXES[kind]
    found: dict[Key, Path] = {}
    for pattern in (f"sub-*/{folder}/*_{suffix}.nii*", f"sub-*/ses-*/{folder}/*_{suffix}.nii*"):
        for path in sorted(root.glob(pattern)):
            match = re.fullmatch(r"(sub-[^_]+)(?:_(ses-[^_]+))?(?:_[a-z]+-[^_]+)*_\w+\.nii(?:\.gz)?", path.name)
            if match is None:
                raise DataError(
                    f"{path} is not named as BIDS names files; name it sub-LABEL[_ses-LABEL]_{suffix}.nii.gz"
                )
            found.setdefault((match[1], match[2] or ""), path)
    return found


def _pair_keys(
    pairs: str, first: dict[Key, Path], second: dict[Key, Path], splits: dict[str, str]
) -> list[tuple[Key, Key]]:
    if pairs == "within":
        return [(key, key) for key in sorted(first) if key in second]
    subjects = sorted({subject for subject, _ in first} & {subject for subject, _ in second})
    if pairs == "sessions":
        keys = {s: sorted(key for key in first if key[0] == s) for s in subjects}
        return [(own[0], other) for own in keys.values() for other in own[1:] if other in second]
    baseline = {s: min(key for key in first if key[0] == s) for s in subjects}
    goal = {s: min(key for key in second if key[0] == s) for s in subjects}
    return [(baseline[a], goal[b]) for split in SPLITS for a, b in ring([s for s in subjects if splits[s] == split])]


def _splits(root: Path, subjects: list[str]) -> dict[str, str]:
    """The split of every subject, by ``participants.tsv`` or by a hash."""
    table = root / "participants.tsv"
    given: dict[str, str] = {}
    if table.is_file():
        rows = list(csv.DictReader(read_text(table).splitlines(), delimiter="\t"))
        given = {row["participant_id"]: row["split"] for row in rows if row.get("participant_id") and row.get("split")}
    wrong = next((split for split in given.values() if split not in SPLITS), None)
    if wrong is not None:
        raise DataError(f"{table}: split {wrong!r} is unknown; write train, validation or test")
    lost = [subject for subject in subjects if given and subject not in given]
    if lost:
        raise DataError(
            f"{table} names no split for {len(lost)} subjects ({', '.join(lost[:5])}); fill its column 'split'"
        )
    return {subject: given.get(subject) or split_by_subject("bids", subject) for subject in subjects}


LAYOUT = Layout("bids", "a BIDS data set", TREE, find, options={"pairs": ("auto", "within", "between", "sessions")})
