"""Landmark files: CSV, elastix point sets, 3D Slicer's .fcsv and .mrk.json. All become LPS millimetres."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np

from regenv.core.geometry import FloatArray, Grid, transform_points
from regenv.data.frames import inside
from regenv.errors import DataError

READABLE = ".csv (x,y,z[,name] in LPS mm), .txt (elastix: point or index), .fcsv, .mrk.json"


def read_landmarks(path: Path, grid: Grid) -> tuple[FloatArray, tuple[str, ...]]:
    """Reads landmarks of an image.

    Args:
        path: ``.csv``: rows ``x,y,z[,name]`` in LPS mm, a header row and a comment line ``# RAS`` are optional;
            ``.txt``: elastix (``point`` or ``index``, the number of points, a row each); ``.fcsv`` and ``.mrk.json``:
            3D Slicer, whose coordinate system is read from the file.
        grid: The image's; points in voxel indices are placed by it.

    Returns:
        ``(N, d)`` physical points in LPS mm, and ``N`` names (or none).

    Raises:
        DataError: If the file is missing, empty or malformed; the message names the line.
    """
    if not path.is_file():
        raise DataError(f"landmarks {path.name} do not exist at {path}")
    name = path.name.lower()
    text = _text(path)
    if name.endswith(".fcsv"):
        points, names = _read_fcsv(path, text)
    elif name.endswith(".json"):
        points, names = _read_markups(path, text)
    elif name.endswith(".csv"):
        points, names = _read_csv(path, text, grid.ndim)
    elif name.endswith((".txt", ".pts")):
        points, names = _read_elastix(path, text, grid)
    else:
        raise DataError(f"landmarks {path.name} have an unknown format; give {READABLE}")
    if len(points) == 0:
        raise DataError(f"landmarks {path.name} hold no point")
    array = np.asarray(points, dtype=np.float64)
    if array.shape[1] != grid.ndim:
        raise DataError(f"landmarks {path.name} have {array.shape[1]} coordinates and the image {grid.ndim} dimensions")
    if not np.all(np.isfinite(array)):
        raise DataError(f"landmarks {path.name}: point {int(np.argmin(np.isfinite(array).all(1))) + 1} is not finite")
    return array, tuple(names) if all(names) and len(set(names)) == len(names) else ()


def check_inside(path: Path, points: FloatArray, grid: Grid, image: str) -> None:
    """Raises :class:`DataError` where a landmark lies outside its image, with what may explain it.

    Args:
        path: The landmark file, for the message.
        points: ``(N, d)`` LPS mm.
        grid: The image's grid.
        image: The image's name, for the message.
    """
    outside = ~inside(grid, points)
    if not outside.any():
        return
    first = int(outside.argmax())
    shown = ", ".join(f"{value:.1f}" for value in points[first])
    mirrored = points * np.array([-1.0, -1.0, 1.0])[: grid.ndim]
    if inside(grid, mirrored).sum() > (~outside).sum():
        mend = "they look like RAS: add a first line '# RAS'"
    elif inside(grid, transform_points(grid.index_to_physical, points)).sum() > (~outside).sum():
        mend = "they look like voxel indices: give them in mm (LPS)"
    else:
        mend = "give points in LPS mm of this image, or leave out those that it does not show"
    raise DataError(
        f"landmarks {path.name}: {int(outside.sum())} of {len(points)} points lie outside {image}, the first is point "
        f"{first + 1} at ({shown}); {mend}"
    )


def _read_csv(path: Path, text: str, ndim: int) -> tuple[list[list[float]], list[str]]:
    lines = text.splitlines()
    comments = " ".join(line for line in lines if line.lstrip().startswith("#"))
    ras, lps = (re.search(rf"\b{system}\b", comments, re.IGNORECASE) for system in ("RAS", "LPS"))
    if ras and lps:
        raise DataError(f"landmarks {path.name} name both RAS and LPS in their comments; name the one that they are in")
    columns = list(range(ndim))
    name_column: int | None = ndim
    points: list[list[float]] = []
    names: list[str] = []
    for number, row in _rows(lines):
        cells = [cell.strip() for cell in row]
        lowered = [cell.lower() for cell in cells]
        if not points and {"x", "y"} <= set(lowered):
            columns = [lowered.index(axis) for axis in "xyz"[:ndim] if axis in lowered]
            name_column = next((lowered.index(word) for word in ("name", "label") if word in lowered), None)
            continue
        if len(columns) != ndim:
            raise DataError(f"landmarks {path.name} have {len(columns)} coordinates and the image {ndim} dimensions")
        if len(cells) <= max(columns):
            raise DataError(f"landmarks {path.name} line {number}: {len(cells)} values, needs {max(columns) + 1}")
        points.append([_value(path, number, cells[column]) for column in columns])
        named = name_column is not None and len(cells) > name_column
        names.append(cells[name_column] if named else "")  # type: ignore[index]
    return (_ras_to_lps(points) if ras else points), names


def _read_elastix(path: Path, text: str, grid: Grid) -> tuple[list[list[float]], list[str]]:
    lines = [(number, line.split()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    kind = lines[0][1][0].lower() if lines else ""
    if kind not in ("point", "index"):
        raise DataError(
            f"landmarks {path.name} must begin with the word 'point' (mm) or 'index' (voxels), as elastix files do"
        )
    if len(lines) < 2 or not lines[1][1][0].isdecimal():
        raise DataError(f"landmarks {path.name}: the second line must be the number of points")
    count = int(lines[1][1][0])
    rows = lines[2:]
    if len(rows) != count:
        raise DataError(f"landmarks {path.name} announces {count} points and has {len(rows)}")
    points = []
    for number, words in rows:
        if len(words) != grid.ndim:
            raise DataError(f"landmarks {path.name} line {number}: {len(words)} values, needs {grid.ndim}")
        points.append([_value(path, number, word) for word in words])
    if kind == "index" and points:
        points = transform_points(grid.index_to_physical, points).tolist()
    return points, [""] * len(points)


def _read_fcsv(path: Path, text: str) -> tuple[list[list[float]], list[str]]:
    lines = text.splitlines()
    system, columns = "RAS", ["id", "x", "y", "z", "ow", "ox", "oy", "oz", "vis", "sel", "lock", "label"]
    for line in lines:
        if match := re.match(r"#\s*CoordinateSystem\s*=\s*(\w+)", line, re.IGNORECASE):
            system = {"0": "RAS", "1": "LPS"}.get(match[1], match[1].upper())
        elif match := re.match(r"#\s*columns\s*=\s*(.+)", line, re.IGNORECASE):
            columns = [word.strip() for word in match[1].split(",")]
    _check_system(path, system)
    if missing := [axis for axis in "xyz" if axis not in columns]:
        raise DataError(f"landmarks {path.name} have no column {missing[0]!r}, only {', '.join(columns)}; export again")
    places = [columns.index(axis) for axis in "xyz"]
    label = columns.index("label") if "label" in columns else None
    points: list[list[float]] = []
    names: list[str] = []
    for number, cells in _rows(lines):
        if len(cells) <= max(places):
            raise DataError(f"landmarks {path.name} line {number}: {len(cells)} values, needs {max(places) + 1}")
        points.append([_value(path, number, cells[place]) for place in places])
        names.append(cells[label].strip() if label is not None and len(cells) > label else "")
    return (_ras_to_lps(points) if system == "RAS" else points), names


def _read_markups(path: Path, text: str) -> tuple[list[list[float]], list[str]]:
    try:
        markup = json.loads(text)["markups"][0]
        system = str(markup.get("coordinateSystem", "LPS")).upper()
        controls = markup["controlPoints"]
        points = [[float(value) for value in control["position"]] for control in controls]
        names = [str(control.get("label", "")) for control in controls]
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise DataError(f"landmarks {path.name} are no 3D Slicer markups ({error!r}); save the points again") from error
    _check_system(path, system)
    if len({len(point) for point in points}) > 1:
        raise DataError(f"landmarks {path.name} have points of different numbers of coordinates; save the points again")
    return (_ras_to_lps(points) if system == "RAS" else points), names


def _check_system(path: Path, system: str) -> None:
    if system not in ("RAS", "LPS"):
        raise DataError(f"landmarks {path.name} are in the coordinate system {system}; export them as LPS or RAS")


def _rows(lines: list[str]) -> list[tuple[int, list[str]]]:
    """Numbered rows without comments and blank lines."""
    kept = [
        (number, line) for number, line in enumerate(lines, 1) if line.strip() and not line.lstrip().startswith("#")
    ]
    semicolons = bool(kept) and ";" in kept[0][1] and "," not in kept[0][1]
    return [(number, next(csv.reader([line], delimiter=";" if semicolons else ","))) for number, line in kept]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"landmarks {path.name} cannot be read as text ({error}); give {READABLE}") from error


def _value(path: Path, number: int, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise DataError(f"landmarks {path.name} line {number}: {text!r} is no number") from None


def _ras_to_lps(points: list[list[float]]) -> list[list[float]]:
    return [[-x, -y, *rest] for x, y, *rest in points]
