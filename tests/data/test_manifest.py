"""The manifest: each cell is checked, each problem names its line, and all problems are told at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from regenv.data.manifest import COLUMNS, Row, read_manifest
from regenv.errors import DataError

CT_CBCT = ("ct", "cbct")


def read(tmp_path: Path, text: str) -> tuple[Row, ...]:
    path = tmp_path / "pairs.csv"
    path.write_text(text, encoding="utf-8", newline="")
    return read_manifest(path, CT_CBCT)


def test_two_columns_suffice(tmp_path: Path) -> None:
    (row,) = read(tmp_path, "fixed,moving\na.mha,sub/b.mha\n")
    assert row.fixed == str(tmp_path / "a.mha")
    assert row.moving == str(tmp_path / "sub" / "b.mha")
    assert (row.id, row.subject, row.split, row.line) == ("pair-2", "pair-2", "test", 2)
    assert (row.fixed_modality, row.moving_modality) == CT_CBCT
    assert (row.aligned, row.random_frame, row.cases) == (False, False, 1)


def test_all_columns_are_read(tmp_path: Path) -> None:
    filled = {
        **{c: f"{c}.mha" for c in COLUMNS if c.startswith(("fixed", "moving"))},
        "id": "one",
        "subject": "anna",
        "fixed_modality": "T1",
        "moving_modality": "flair",
        "transform": "",
        "alignment": "Centres",
        "split": "validation",
        "aligned": "TRUE",
        "cases": "3",
        "frame": "random",
        "simulate": "",
    }
    (row,) = read(tmp_path, ",".join(filled) + "\n" + ",".join(filled.values()) + "\n")
    assert (row.id, row.subject, row.split, row.cases) == ("one", "anna", "validation", 3)
    assert (row.fixed_modality, row.moving_modality) == ("t1", "flair")
    assert row.aligned and row.random_frame
    assert row.moving_labels == str(tmp_path / "moving_labels.mha")
    assert row.alignment == "centres"


def test_files_of_spreadsheets(tmp_path: Path) -> None:
    rows = read(tmp_path, "\ufefffixed;moving;aligned\r\na.mha;b.mha;true\r\n;;\r\n# a note\r\nc.mha;d.mha;no\r\n")
    assert [(row.line, row.aligned) for row in rows] == [(2, True), (5, False)]


def test_absolute_paths_and_series_are_kept(tmp_path: Path) -> None:
    (row,) = read(tmp_path, "fixed,moving\n/data/a.mha,ct#1.2.3\n")
    assert row.fixed == "/data/a.mha"
    assert row.moving == f"{tmp_path}/ct#1.2.3"


def test_simulated_rows(tmp_path: Path) -> None:
    rows = read(tmp_path, "fixed,moving,simulate\n,ct.mha,cbct\nother.mha,,cbct\nsame.mha,same.mha,cbct\n")
    assert [row.simulate for row in rows] == ["fixed", "moving", "fixed"]
    modalities = [(row.fixed_modality, row.moving_modality) for row in rows]
    assert modalities == [
        ("cbct", "ct"),
        ("ct", "cbct"),
        ("cbct", "ct"),
    ]
    assert all(row.fixed == row.moving and row.aligned and row.random_frame for row in rows)
    (alone,) = read(tmp_path, "moving,simulate\nct.mha,cbct\n")
    assert alone.simulate == "fixed"


def test_slices_with_gaps(tmp_path: Path) -> None:
    rows = read(tmp_path, "fixed,moving,slice_mm\nstack.mha,a.mha,4.5\nslab.mha,a.mha,\n")
    assert [row.slice_mm for row in rows] == [4.5, None]


BAD = {
    "fixd,moving\na,b\n": r"pairs\.csv: column 'fixd' is unknown; did you mean 'fixed'\?",
    "fixed,movin_landmarks,moving\na,b,c\n": r"column 'movin_landmarks' is unknown; did you mean 'moving_landmarks'\?",
    "fixed\na\n": r"column 'moving' is missing; it needs at least fixed,moving",
    "fixed,moving,fixed\na,b,c\n": r"column 'fixed' is there 2 times",
    "fixed,moving\n": r"has no rows below its header",
    "": r"pairs\.csv is empty",
    "fixed,moving\na,b,c\n": r"^pairs\.csv line 2: has 3 cells and the header 2; a comma in a cell needs quotes",
    "fixed,moving\na,\n": r"^pairs\.csv line 2: moving is empty",
    "fixed,moving,split\na,b,tset\n": r"line 2: split 'tset' is unknown; did you mean 'test'\?",
    "fixed,moving,aligned\na,b,maybe\n": r"line 2: aligned 'maybe' must be true or false",
    "fixed,moving,fixed_modality\na,b,cbtc\n": r"line 2: fixed_modality 'cbtc' is unknown; did you mean 'cbct'\?",
    "fixed,moving,frame\na,b,randm\n": r"frame 'randm' is unknown; did you mean 'random'\?",
    "fixed,moving,cases\na,b,2\n": r"2 cases of one pair need frame 'random'",
    "fixed,moving,aligned,cases\na,b,1,0\n": r"cases '0' must be a whole number from 1",
    "fixed,moving,aligned,cases\na,b,1,\u00b2\n": r"cases '\u00b2' must be a whole number from 1",
    "fixed,moving,slice_mm\na,b,thick\n": r"slice_mm 'thick' must be a positive number of millimetres",
    "fixed,moving,slice_mm\na,b,0\n": r"slice_mm '0' must be a positive number of millimetres",
    "fixed,moving,aligned,transform\na,b,1,t.tfm\n": r"leave 'aligned' or 'transform' empty",
    "fixed,moving,fixed_landmarks\na,b,p.csv\n": r"fixed_landmarks is given and moving_landmarks is not; give both",
    "fixed,moving,moving_labels\na,b,p.mha\n": r"moving_labels is given and fixed_labels is not; give both",
    "fixed,moving,simulate\n,a,pet\n": r"simulate 'pet' is unknown",
    "fixed,moving,simulate\n,,cbct\n": r"fixed and moving are empty; give the CT",
    "fixed,moving,simulate\na,b,cbct\n": r"fixed and moving are both given and one is to be simulated",
    "fixed,moving,simulate,fixed_mask\n,b,cbct,m\n": r"fixed_mask is given for a simulated image; give moving_mask",
    "id,fixed,moving\nx,a,b\nx,c,d\n": r"^pairs\.csv line 3: id 'x' is that of line 2 too",
    "subject,split,fixed,moving\ns,test,a,b\ns,train,c,d\n": r"line 3: subject 's' is in split 'train' and, by line 2",
}


@pytest.mark.parametrize("text", BAD)
def test_mistakes(tmp_path: Path, text: str) -> None:
    with pytest.raises(DataError, match=BAD[text]):
        read(tmp_path, text)


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(DataError) as raised:
        read(tmp_path, "fixed,moving,split\na,,test\nc,d,test\ne,f,tset\n")
    message = str(raised.value)
    assert "has 2 problems" in message
    assert "pairs.csv line 2: moving is empty" in message
    assert "pairs.csv line 4: split 'tset' is unknown" in message


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_bytes(b"\x81\x82\xff")
    with pytest.raises(DataError, match="cannot be read as text .* save it as CSV in UTF-8"):
        read_manifest(tmp_path / "pairs.csv", CT_CBCT)
