"""The manifest of a folder of pairs, ``pairs.csv``: one row per pair, every cell checked before an image is opened."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from regenv.data.dataset import SPLITS
from regenv.errors import DataError, near_miss
from regenv.modality import MODALITIES

NAME = "pairs.csv"
COLUMNS = {
    "id": "unique name of the pair (default: the row's number)",
    "subject": "whose images these are (default: the id)",
    "fixed": "image file, or folder of a DICOM series (FOLDER#SERIES_UID where it has several)",
    "moving": "as fixed; the same file as fixed is allowed for an aligned pair",
    "fixed_modality": "ct, cbct, t1, ... (default: the environment's)",
    "moving_modality": "as fixed_modality",
    "fixed_mask": "label map on the fixed image's grid; not 0 inside the body",
    "moving_mask": "as fixed_mask, on the moving image's grid",
    "fixed_landmarks": "points in LPS mm: .csv (x,y,z[,name]), elastix .txt, .fcsv, .mrk.json",
    "moving_landmarks": "the same points in the same order",
    "fixed_labels": "label map on the fixed image's grid",
    "moving_labels": "label map with the same values on the moving image's grid",
    "transform": "true transform, fixed to moving points (what ITK resamples with): .tfm, .h5, .txt",
    "alignment": (
        "given to environments that end in SDM, which find the rest: a linear transform, fixed to moving points (.tfm, "
        ".h5, .txt), identity (the files' own frames) or centres (their middles together); default: transform, else "
        "identity where anything is known of the truth. Starts of the others are drawn about it where nothing is"
    ),
    "slice_mm": "how thick the fixed image's slices are, where gaps lie between them (default: they touch)",
    "split": "train, validation or test (without this column all is test)",
    "aligned": "true where the files lie in one frame: the truth is then the identity, and each case gets a random one",
    "cases": "cases made of the pair, each with its own random frame (default 1)",
    "frame": "random or file: give each case a random physical frame (default random where aligned, else file)",
    "simulate": "cbct: make the missing image of the pair from the CT that is given; it is aligned by construction",
}
"""Every column of the manifest and what it holds."""

_FILES = tuple(f"{side}{what}" for what in ("", "_mask", "_landmarks", "_labels") for side in ("fixed", "moving")) + (
    "transform",
)
_PAIRED = ("landmarks", "labels")
ALIGNMENTS = ("identity", "centres")
"""What ``alignment`` may say besides the name of a file."""


@dataclass(frozen=True)
class Row:
    """One row of a manifest; paths are absolute, ``None`` where the cell is empty.

    Attributes:
        line: Line in the manifest, from 1.
        simulate: ``"fixed"`` or ``"moving"`` where that image is simulated from the other, else None.
        random_frame: Whether each case gets a random physical frame.
        alignment: One of :data:`ALIGNMENTS`, a path, or None.
        slice_mm: Thickness of the fixed slices in mm, or None.
    """

    line: int
    id: str
    subject: str
    split: str
    fixed: str
    moving: str
    fixed_modality: str
    moving_modality: str
    fixed_mask: str | None = None
    moving_mask: str | None = None
    fixed_landmarks: str | None = None
    moving_landmarks: str | None = None
    fixed_labels: str | None = None
    moving_labels: str | None = None
    transform: str | None = None
    alignment: str | None = None
    aligned: bool = False
    random_frame: bool = False
    cases: int = 1
    simulate: str | None = None
    slice_mm: float | None = None


def read_manifest(path: Path, modalities: Sequence[str]) -> tuple[Row, ...]:
    """Reads and checks a manifest, without opening the files that it names.

    Args:
        path: The CSV file, separated by commas or semicolons.
        modalities: Of fixed and moving image where the row does not say.

    Returns:
        Its rows.

    Raises:
        DataError: If a column is unknown, a cell is unusable, an id is there twice or a subject is in two splits. All
            rows are looked at, and all problems are in the message.
    """
    header, lines = _read_cells(path)
    _check_columns(path, header)
    rows: list[Row] = []
    problems: list[str] = []
    for number, cells in lines:
        try:
            if len(cells) != len(header):
                raise DataError(
                    f"has {len(cells)} cells and the header {len(header)}; a comma in a cell needs quotes around it"
                )
            filled = {column: cell.strip() for column, cell in zip(header, cells, strict=True) if cell.strip()}
            rows.append(_row(number, filled, path.parent, modalities))
        except DataError as error:
            problems.append(f"line {number}: {error}")
    problems += _clashes(rows)
    raise_problems(path, problems)
    if not rows:
        raise DataError(f"{path} has no rows below its header; add one per pair, such as 'ct_01.nii.gz,cbct_01.nii.gz'")
    return tuple(rows)


def raise_problems(path: Path, problems: Sequence[str]) -> None:
    """Raises one :class:`DataError` with all problems of a manifest, if there are any."""
    if len(problems) == 1:
        raise DataError(f"{path.name} {problems[0]}")
    if problems:
        shown = [f"  {path.name} {problem}" for problem in problems[:20]]
        more = [f"  and {len(problems) - 20} more"] if len(problems) > 20 else []
        raise DataError("\n".join([f"{path} has {len(problems)} problems:", *shown, *more]))


def expected_tree(folder: Path) -> str:
    """What a folder of pairs looks like, with an example manifest, for messages."""
    return (
        f"{folder}/\n  {NAME}\n  ct_01.nii.gz\n  cbct_01.nii.gz\n  ...\n"
        f"where {NAME} has a row per pair, at least:\n"
        "  fixed,moving,fixed_modality,moving_modality,aligned\n"
        "  cbct_01.nii.gz,ct_01.nii.gz,cbct,ct,true\n"
        f"(all columns: {', '.join(COLUMNS)}), or a folder with exactly two images, named fixed.* and moving.*"
    )


def _read_cells(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The header and the numbered rows; blank lines and lines that begin with # are left out."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as text ({error}); save it as CSV in UTF-8") from error
    first = next((line for line in text.splitlines() if line.strip() and not line.startswith("#")), "")
    if not first:
        raise DataError(f"{path} is empty; its first line names the columns, such as fixed,moving,aligned")
    reader = csv.reader(text.splitlines(), delimiter=";" if ";" in first and "," not in first else ",")
    lines = [
        (reader.line_num, row)
        for row in reader
        if any(cell.strip() for cell in row) and not row[0].lstrip().startswith("#")
    ]
    return [cell.strip() for cell in lines[0][1]], lines[1:]


def _check_columns(path: Path, header: list[str]) -> None:
    for column in header:
        if column not in COLUMNS:
            raise DataError(f"{path.name}: column {column!r} is unknown; {near_miss(column, COLUMNS)}")
        if header.count(column) > 1:
            raise DataError(f"{path.name}: column {column!r} is there {header.count(column)} times")
    missing = [column for column in ("fixed", "moving") if column not in header]
    if missing and not ("simulate" in header and len(missing) == 1):
        raise DataError(f"{path.name}: column {missing[0]!r} is missing; it needs at least fixed,moving")


def _row(number: int, cells: dict[str, str], folder: Path, modalities: Sequence[str]) -> Row:
    files = {name: _absolute(folder, cells.get(name)) for name in _FILES}
    simulate = _simulated(cells, files)
    aligned = _truth_value("aligned", cells.get("aligned", "false")) or simulate is not None
    if aligned and files["transform"]:
        raise DataError("an aligned pair has the identity for its true transform: leave 'aligned' or 'transform' empty")
    frame = cells.get("frame", "random" if aligned else "file")
    if frame not in ("random", "file"):
        raise DataError(f"frame {frame!r} is unknown; {near_miss(frame, ('random', 'file'))}")
    cases = _count(cells.get("cases", "1"))
    if cases > 1 and frame == "file":
        raise DataError(f"{cases} cases of one pair need frame 'random', which tells them apart")
    if not simulate:
        for what in _PAIRED:
            given = [side for side in ("fixed", "moving") if files[f"{side}_{what}"]]
            if len(given) == 1:
                other = "moving" if given[0] == "fixed" else "fixed"
                raise DataError(f"{given[0]}_{what} is given and {other}_{what} is not; give both or neither")
    split = cells.get("split", "test")
    if split not in SPLITS:
        raise DataError(f"split {split!r} is unknown; {near_miss(split, SPLITS)}")
    named = cells.get("id", f"pair-{number}")
    sides = {}
    for side, default in zip(("fixed", "moving"), modalities, strict=True):
        simulated = {True: "cbct", False: "ct"}[side == simulate] if simulate else None
        sides[f"{side}_modality"] = _modality(side, cells.get(f"{side}_modality"), simulated or default)
    return Row(
        line=number,
        id=named,
        subject=cells.get("subject", named),
        split=split,
        aligned=aligned,
        random_frame=frame == "random",
        cases=cases,
        simulate=simulate,
        alignment=_alignment(folder, cells.get("alignment")),
        slice_mm=_millimetres("slice_mm", cells.get("slice_mm")),
        **sides,
        **files,  # type: ignore[arg-type]
    )


def _simulated(cells: dict[str, str], files: dict[str, str | None]) -> str | None:
    """Which image is simulated; its file becomes that of the CT it is made from."""
    kind = cells.get("simulate")
    for side in ("fixed", "moving"):
        if kind is None and not files[side]:
            raise DataError(f"{side} is empty; give the {side} image")
    if kind is None:
        return None
    if kind != "cbct":
        raise DataError(f"simulate {kind!r} is unknown; {near_miss(kind, ('cbct',))}")
    if not files["fixed"] and not files["moving"]:
        raise DataError("fixed and moving are empty; give the CT that the CBCT is made from as moving")
    if files["fixed"] and files["moving"] and files["fixed"] != files["moving"]:
        raise DataError("fixed and moving are both given and one is to be simulated; leave the fixed one empty")
    side, source = ("moving", "fixed") if not files["moving"] else ("fixed", "moving")
    for what in ("mask", "landmarks", "labels"):
        if files[f"{side}_{what}"]:
            raise DataError(f"{side}_{what} is given for a simulated image; give {source}_{what}, it serves both")
    files[side] = files[source]
    return side


def _clashes(rows: Sequence[Row]) -> list[str]:
    """Ids that are there twice, subjects that are in two splits."""
    problems = []
    by_id: dict[str, Row] = {}
    by_subject: dict[str, Row] = {}
    for row in rows:
        if row.id in by_id:
            problems.append(
                f"line {row.line}: id {row.id!r} is that of line {by_id[row.id].line} too; give each its own"
            )
        by_id.setdefault(row.id, row)
        first = by_subject.setdefault(row.subject, row)
        if first.split != row.split:
            problems.append(
                f"line {row.line}: subject {row.subject!r} is in split {row.split!r} and, by line {first.line}, in "
                f"{first.split!r}; splits must not share subjects"
            )
    return problems


def _absolute(folder: Path, cell: str | None) -> str | None:
    if cell is None:
        return None
    path = Path(cell).expanduser()
    return str(path if path.is_absolute() else folder / path)


def _alignment(folder: Path, cell: str | None) -> str | None:
    return cell.lower() if cell is not None and cell.lower() in ALIGNMENTS else _absolute(folder, cell)


def _modality(side: str, given: str | None, default: str) -> str:
    modality = (given or default).lower()
    if given is not None and modality not in MODALITIES:
        raise DataError(f"{side}_modality {given!r} is unknown; {near_miss(modality, MODALITIES)}")
    return modality


def _truth_value(column: str, text: str) -> bool:
    known = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if text.lower() not in known:
        raise DataError(f"{column} {text!r} must be true or false")
    return known[text.lower()]


def _millimetres(column: str, text: str | None) -> float | None:
    try:
        width = None if text is None else float(text)
    except ValueError:
        width = -1.0
    if width is not None and not 0 < width < 1000:
        raise DataError(f"{column} {text!r} must be a positive number of millimetres")
    return width


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 100_000:
        raise DataError(f"cases {text!r} must be a whole number from 1 to 100000")
    return int(text)
