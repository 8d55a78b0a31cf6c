"""Files that strangers give: what ends ITK's process, or is read there without a word, is refused before by name.

Each file is read by another process, so that a segmentation fault is a failed test and not the end of all tests.
"""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from regenv.data import memory, transform_checks
from regenv.data.image_io import read_header, read_image
from regenv.data.transform_files import read_transform
from regenv.errors import DataError
from tests.data import files

READ = """
import sys
from pathlib import Path
from regenv.data.image_io import read_image
from regenv.data.transform_files import read_transform
from regenv.errors import DataError
path = Path(sys.argv[1])
try:
    read_transform(path, 3, "affine") if path.suffix in (".tfm", ".h5", ".mat") else read_image(path)
    print("was read")
except DataError as error:
    print("refused:", error)
"""

META = {
    **{"ObjectType": "Image", "NDims": "3", "BinaryData": "True", "TransformMatrix": "1 0 0 0 1 0 0 0 1"},
    **{"Offset": "0 0 0", "ElementSpacing": "1 1 1", "DimSize": "4 4 4", "ElementType": "MET_UCHAR"},
}
NRRD = {
    **{"type": "unsigned char", "dimension": "3", "space": "left-posterior-superior", "sizes": "4 4 4"},
    **{"space directions": "(1,0,0) (0,1,0) (0,0,1)", "space origin": "(0,0,0)", "encoding": "raw"},
}
VOXELS = bytes(range(64))
AFFINE = "AffineTransform_double_3_3", "1 0 0 0 1 0 0 0 1 0 0 0", "0 0 0"
EULER = "Euler3DTransform_double_3_3", "0 0 0 0 0 0", "0 0 0"


def _read(path: Path) -> str:
    done = subprocess.run([sys.executable, "-c", READ, str(path)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"the process ended with {done.returncode}: {done.stderr}"
    return done.stdout.strip()


def _meta(path: Path, **changes: str) -> Path:
    last = {"ElementDataFile": changes.pop("ElementDataFile", "LOCAL")}
    header = "".join(f"{key} = {value}\n" for key, value in {**META, **changes, **last}.items())
    path.write_bytes(header.encode() + VOXELS)
    return path


def _nrrd(path: Path, **changes: str) -> Path:
    fields = {**NRRD, **{key.replace("_", " "): value for key, value in changes.items()}}
    path.write_bytes(("NRRD0005\n" + "".join(f"{k}: {v}\n" for k, v in fields.items())).encode() + b"\n" + VOXELS)
    return path


def _nifti(path: Path, dim: tuple[int, ...], bits: int = 8, offset: float = 352.0) -> Path:
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, *dim)
    struct.pack_into("<2h", header, 70, 2, bits)
    struct.pack_into("<8f", header, 76, *[1.0] * 8)
    struct.pack_into("<3f", header, 108, offset, 1.0, 0.0)
    struct.pack_into("<2h", header, 252, 0, 1)
    for axis in range(3):
        struct.pack_into("<4f", header, 280 + 16 * axis, *np.eye(4)[axis])
    header[344:348] = b"n+1\0"
    path.write_bytes(bytes(header) + VOXELS)
    return path


def _text(path: Path, *transforms: tuple[str, str, str]) -> Path:
    lines = ["#Insight Transform File V1.0"]
    for number, (kind, parameters, fixed) in enumerate(transforms):
        lines += [f"#Transform {number}", f"Transform: {kind}"]
        lines += [f"Parameters: {parameters}", f"FixedParameters: {fixed}"] if not kind.startswith("Composite") else []
    path.write_text("\n".join(lines) + "\n")
    return path


def _matlab(path: Path, kind: str, parameters: list[float], fixed: list[float]) -> Path:
    content = b""
    for name, values in ((kind, parameters), ("fixed", fixed)):
        content += struct.pack("<5i", 0, len(values), 1, 0, len(name) + 1) + name.encode() + b"\0"
        content += np.array(values, "<f8").tobytes()
    path.write_bytes(content)
    return path


def test_what_is_changed_below_can_be_read(tmp_path: Path) -> None:
    for path in (
        *(_meta(tmp_path / "a.mha"), _nrrd(tmp_path / "a.nrrd"), _nifti(tmp_path / "a.nii", (3, 4, 4, 4, 1, 1, 1, 1))),
    ):
        assert read_image(path).array.shape == (4, 4, 4)
    kind, parameters, fixed = AFFINE
    composite = ("CompositeTransform_double_3_3", "", "")
    numbers = [float(word) for word in parameters.split()]
    for path in (
        *(_text(tmp_path / "a.tfm", AFFINE), _text(tmp_path / "b.tfm", composite, AFFINE, EULER)),
        _matlab(tmp_path / "a.mat", kind, numbers, [0.0] * 3),
    ):
        np.testing.assert_array_equal(read_transform(path, 3, "rigid"), np.eye(4))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"NDims": "-3"}, "NDims is '-3' and must be a number (1 to 10)"),
        ({"NDims": "1000000"}, "NDims is '1000000'"),
        ({"NDims": "99999999999999999999"}, "NDims is '99999999999999999999'"),
        ({"DimSize": "-4 4 4"}, "DimSize is '-4 4 4'"),
        ({"DimSize": "4294967300 4 4"}, "DimSize is '4294967300 4 4'"),
        ({"DimSize": "4 4"}, "DimSize is '4 4' and must be 3 numbers"),
        ({"DimSize": "4 4 4 4"}, "DimSize is '4 4 4 4' and must be 3 numbers"),
        ({"ElementNumberOfChannels": "1000000000"}, "has 1000000000 values a voxel"),
        ({"ElementNumberOfChannels": "-1"}, "ElementNumberOfChannels is '-1'"),
        ({"TransformMatrix": "nan 0 0 0 1 0 0 0 1"}, "TransformMatrix is 'nan 0 0 0 1 0 0 0 1'"),
        ({"Offset": "0"}, "Offset is '0' and must be 3 numbers"),
        ({"ElementType": "MET_FOO"}, "ElementType 'MET_FOO' is unknown"),
        ({"CompressedData": "True", "CompressedDataSize": "5000000000000"}, "CompressedDataSize is '5000000000000'"),
        ({"ElementDataFile": "%s%s%s%s%s%s.raw 1 4 1"}, "a name with one %d"),
        ({"ElementDataFile": "%n%n%n%d.raw 1 4 1"}, "a name with one %d"),
        ({"ElementDataFile": "%d.raw 1 4 0"}, "runs from 1 to 4 in steps of [0]"),
    ],
)
def test_a_metaimage_header_that_harms_itk(tmp_path: Path, changes: dict[str, str], message: str) -> None:
    assert message in _read(_meta(tmp_path / "a.mha", **changes))


def test_a_field_that_is_there_twice(tmp_path: Path) -> None:
    """ITK would take the second one."""
    path = _meta(tmp_path / "a.mha")
    path.write_bytes(path.read_bytes().replace(b"DimSize", b"NDims = -3\nDimSize"))
    assert "has NDims twice" in _read(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dimension": "-3"}, "dimension is '-3'"),
        ({"dimension": "1000000"}, "dimension is '1000000'"),
        ({"sizes": "-4 4 4"}, "sizes is '-4 4 4'"),
        ({"sizes": "9999999999999999999999 4 4"}, "sizes is '9999999999999999999999 4 4'"),
        ({"data_file": "%d%s%s%n.raw 1 4 1 2"}, "by a pattern, which is not read"),
        ({"labels": '"a" ' * 500}, "more labels than its 3 axes"),
    ],
)
def test_an_nrrd_header_that_harms_itk(tmp_path: Path, changes: dict[str, str], message: str) -> None:
    assert message in _read(_nrrd(tmp_path / "a.nrrd", **changes))


@pytest.mark.parametrize(
    ("dim", "keywords", "message"),
    [
        ((-3, 4, 4, 4, 1, 1, 1, 1), {}, "its header gives dimensions (-3,"),
        ((100, 4, 4, 4, 1, 1, 1, 1), {}, "its header gives dimensions (100,"),
        ((3, -4, 4, 4, 1, 1, 1, 1), {}, "its header gives dimensions (3, -4,"),
        ((3, 4, 4, 4, 1, 1, 1, 1), {"bits": -8}, "gives -8 bits a voxel"),
        ((3, 4, 4, 4, 1, 1, 1, 1), {"offset": float("nan")}, "from byte nan on"),
        ((3, 4, 4, 4, 1, 1, 1, 1), {"offset": float("inf")}, "from byte inf on"),
    ],
)
def test_a_nifti_header_that_cannot_be(tmp_path: Path, dim: tuple[int, ...], keywords: dict, message: str) -> None:
    assert message in _read(_nifti(tmp_path / "a.nii", dim, **keywords))


@pytest.mark.parametrize(
    ("transforms", "message"),
    [
        ([(EULER[0], "", "0 0 0")], "Parameters of Euler3D is '' and must be 6 numbers"),
        ([(EULER[0], "0 0", "0 0 0")], "Parameters of Euler3D is '0 0'"),
        ([(EULER[0], "nan 0 0 0 0 0", "0 0 0")], "Parameters of Euler3D is 'nan 0 0 0 0 0'"),
        ([(EULER[0], EULER[1], "")], "FixedParameters of Euler3D is ''"),
        ([(AFFINE[0], AFFINE[1] + " 1" * 1000, "0 0 0")], "and must be 12 numbers"),
        ([(AFFINE[0], AFFINE[1], "0")], "FixedParameters of Affine is '0'"),
        ([("Similarity3DTransform_double_3_3", "0 0 0 0 0 0", "0 0 0")], "must be 7 numbers"),
        ([("QuaternionRigidTransform_double_3_3", "0 0 0 0 0 0 0", "0 0 0")], "not finite or cannot be inverted"),
        ([("CompositeTransform_double_3_3", "", ""), (EULER[0], "0", "0 0 0")], "Parameters of Euler3D is '0'"),
        ([("BSplineTransform_double_3_3", "0", "100000 100000 100000 0 0 0 1 1 1 1 0 0 0 1 0 0 0 1")], "not linear"),
        ([("FooTransform_double_3_3", "0", "0")], "of the unknown kind 'FooTransform_double_3_3'"),
        ([("Euler2DTransform_double_3_3", "0 0 0", "0 0 0")], "which has no 3 dimensions"),
        ([AFFINE, EULER], "holds 2; write them as one CompositeTransform"),
        ([("CompositeTransform_double_3_3", "", "")], "cannot be read as an ITK transform"),
    ],
)
def test_a_transform_that_harms_itk(tmp_path: Path, transforms: list[tuple[str, str, str]], message: str) -> None:
    assert message in _read(_text(tmp_path / "a.tfm", *transforms))


def test_a_matlab_file_that_harms_itk(tmp_path: Path) -> None:
    path = _matlab(tmp_path / "a.mat", EULER[0], [float("nan")] + [0.0] * 5, [0.0] * 3)
    assert "Parameters of Euler3D is 'nan 0.0" in _read(path)
    path.write_bytes(struct.pack("<5i", 0, 2**31 - 1, 1, 0, 28) + path.read_bytes()[20:])
    assert "cannot be read as an ITK transform" in _read(path)


def test_an_hdf5_file_that_harms_itk(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    sitk.WriteTransform(sitk.Euler3DTransform((0.0, 0.0, 0.0), 0.123, 0.0, 0.0, (0.0, 0.0, 0.0)), str(path))
    assert _read(path) == "was read"
    content = path.read_bytes()
    assert content.count(struct.pack("<d", 0.123)) == 1
    path.write_bytes(content.replace(struct.pack("<d", 0.123), struct.pack("<d", float("nan"))))
    assert _read(path).startswith("refused: transform a.h5")


def test_a_file_that_ends_the_process_that_tries_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.h5"
    sitk.WriteTransform(sitk.Euler3DTransform(), str(path))
    monkeypatch.setattr(transform_checks, "_TRY", "import os; os.abort()")
    with pytest.raises(DataError, match=r"transform a\.h5 cannot be read as an ITK transform"):
        read_transform(path, 3, "rigid")


def test_an_image_that_needs_more_memory_than_there_is_says_so_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = files.write(tmp_path / "a.mha", files.image())
    voxels = int(np.prod(read_header(path).grid.size))
    monkeypatch.setattr(memory, "available_bytes", lambda: 8 * voxels - 1)
    with pytest.raises(DataError, match=r"voxels: reading it takes .* GiB of memory and .* GiB are free. Crop it"):
        read_image(path)
    monkeypatch.setattr(memory, "available_bytes", lambda: 8 * voxels)
    assert read_image(path).array.size == voxels


def test_memory_that_is_free_is_known_and_more_than_none() -> None:
    assert 2**20 < (memory.available_bytes() or 0) < 2**50
