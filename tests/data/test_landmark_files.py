"""Landmark files: every format gives the same LPS points, every mistake is named by line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from regenv.core.geometry import Grid, transform_points
from regenv.data.landmark_files import check_inside, read_landmarks
from regenv.errors import DataError
from tests.data import files

GRID = Grid(files.SIZE, files.SPACING, files.ORIGIN, files.oblique())
INDEX = np.array([[3, 4, 5], [10, 2, 7]])
POINTS = transform_points(GRID.index_to_physical, INDEX.astype(float))
RAS = POINTS * [-1, -1, 1]


def rows(points: np.ndarray, separator: str = ",", names: tuple[str, ...] = ()) -> str:
    lines = [separator.join(f"{v:.17g}" for v in point) for point in points]
    return "\n".join(line + (f"{separator}{names[i]}" if names else "") for i, line in enumerate(lines)) + "\n"


GOOD = {
    "plain.csv": rows(POINTS),
    "header.csv": "x,y,z\n" + rows(POINTS),
    "named.csv": "x,y,z,name\n" + rows(POINTS, names=("carina", "apex")),
    "reordered.csv": "label,z,x,y\n"
    + "".join(f"{n},{p[2]:.17g},{p[0]:.17g},{p[1]:.17g}\n" for n, p in zip(("carina", "apex"), POINTS, strict=True)),
    "ras.csv": "# RAS\nx,y,z\n" + rows(RAS),
    "semicolons.csv": rows(POINTS, ";"),
    "windows.csv": "\ufeff" + rows(POINTS).replace("\n", "\r\n") + "\r\n",
    "point.txt": "point\n2\n" + rows(POINTS, " "),
    "index.txt": "index\n2\n" + rows(INDEX, " "),
    "slicer.fcsv": "# Markups fiducial file version = 4.11\n# CoordinateSystem = LPS\n"
    "# columns = id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label\n"
    + "".join(f"{i},{p[0]:.17g},{p[1]:.17g},{p[2]:.17g},0,0,0,1,1,1,0,F-{i},,\n" for i, p in enumerate(POINTS)),
    "old.fcsv": "# CoordinateSystem = 0\n"
    + "".join(f"{i},{p[0]:.17g},{p[1]:.17g},{p[2]:.17g},0,0,0,1,1,1,0,F-{i},,\n" for i, p in enumerate(RAS)),
    "slicer.mrk.json": json.dumps(
        {"markups": [{"coordinateSystem": "LPS", "controlPoints": [{"position": p.tolist()} for p in POINTS]}]}
    ),
}


@pytest.mark.parametrize("name", GOOD)
def test_formats(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(GOOD[name], encoding="utf-8", newline="")
    points, names = read_landmarks(tmp_path / name, GRID)
    np.testing.assert_allclose(points, POINTS, atol=1e-12)
    expected = {"named.csv": ("carina", "apex"), "reordered.csv": ("carina", "apex")}
    assert names == expected.get(name, ("F-0", "F-1") if name.endswith(".fcsv") else ())


BAD = {
    "a.csv": ("1,2,3\n1,2\n", r"landmarks a\.csv line 2: 2 values, needs 3"),
    "b.csv": ("1,2,3\n1,two,3\n", r"landmarks b\.csv line 2: 'two' is no number"),
    "c.csv": ("x,y,z\n", r"landmarks c\.csv hold no point"),
    "d.csv": ("x,y\n1,2\n", r"landmarks d\.csv have 2 coordinates and the image 3 dimensions"),
    "e.csv": ("1,2,3\n1,nan,3\n", r"landmarks e\.csv: point 2 is not finite"),
    "f.txt": ("1 2 3\n", r"landmarks f\.txt must begin with the word 'point'"),
    "g.txt": ("point\n3\n1 2 3\n1 2 3\n", r"landmarks g\.txt announces 3 points and has 2"),
    "h.txt": ("point\n1 2 3\n", r"the second line must be the number of points|announces"),
    "i.fcsv": ("# CoordinateSystem = IJK\n1,1,1,1\n", r"coordinate system IJK; export them as LPS or RAS"),
    "j.mrk.json": ("{}", r"landmarks j\.mrk\.json are no 3D Slicer markups"),
    "both.csv": ("# RAS of the scanner, turned to LPS\n1,2,3\n", r"both\.csv name both RAS and LPS in their comments"),
    "m.mrk.json": (
        '{"markups": [{"coordinateSystem": "IJK", "controlPoints": [{"position": [1, 2, 3]}]}]}',
        r"coordinate system IJK; export them as LPS or RAS",
    ),
    "n.mrk.json": (
        '{"markups": [{"controlPoints": [{"position": [1, 2]}, {"position": [1, 2, 3]}]}]}',
        r"n\.mrk\.json have points of different numbers of coordinates",
    ),
    "o.fcsv": (
        "# CoordinateSystem = LPS\n# columns = id,r,a,s\n1,2,3,4\n",
        r"o\.fcsv have no column 'x', only id, r, a, s",
    ),
    "p.txt": ("point\n\u00b2\n1 2 3\n", r"the second line must be the number of points"),
    "k.xml": ("<a/>", r"landmarks k\.xml have an unknown format; give \.csv"),
    "l.txt": ("", r"landmarks l\.txt must begin"),
}


@pytest.mark.parametrize("name", BAD)
def test_mistakes(tmp_path: Path, name: str) -> None:
    text, message = BAD[name]
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        read_landmarks(tmp_path / name, GRID)


def test_a_missing_or_binary_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"landmarks no\.csv do not exist"):
        read_landmarks(tmp_path / "no.csv", GRID)
    (tmp_path / "b.csv").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(DataError, match=r"landmarks b\.csv cannot be read as text"):
        read_landmarks(tmp_path / "b.csv", GRID)


def test_two_dimensional_points(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,y,name\n1,2,tip\n")
    points, names = read_landmarks(tmp_path / "a.csv", Grid.centred((9, 9), (1, 1)))
    np.testing.assert_array_equal(points, [[1, 2]])
    assert names == ("tip",)


@pytest.mark.parametrize(
    ("points", "mend"),
    [
        (RAS, "they look like RAS: add a first line '# RAS'"),
        (INDEX.astype(float), "they look like voxel indices"),
        (POINTS + 900, "give points in LPS mm of this image"),
    ],
)
def test_points_outside_are_explained(points: np.ndarray, mend: str) -> None:
    grid = Grid(files.SIZE, files.SPACING, (105.0, -206.0, 407.0), files.oblique())
    points = points + ([-100, 200, 400] if "RAS" in mend else [100, -200, 400] if "give" in mend else 0)
    with pytest.raises(DataError, match=rf"landmarks a\.csv: 2 of 2 points lie outside ct\.mha, .*{mend}"):
        check_inside(Path("a.csv"), points, grid, "ct.mha")


def test_points_inside_pass() -> None:
    check_inside(Path("a.csv"), POINTS, GRID, "ct.mha")
