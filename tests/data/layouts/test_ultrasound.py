"""MR and ultrasound: tag files, RESECT, BITE in MINC."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.io import netcdf_file

from regenv.core.geometry import transform_points
from regenv.data.layouts._minc import read_minc
from regenv.data.layouts._tags import read_tags
from regenv.errors import DataError
from tests.data import files
from tests.data.layouts import trees
from tests.data.layouts.support import pairs_of, truth_of


def test_tags_are_turned_from_ras(tmp_path: Path) -> None:
    first, second = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), np.array([[-1.5, 0.0, 2.5], [7.0, 8.0, 9.0]])
    path = trees.tags(tmp_path / "a.tag", first, second)
    assert "\n-1.000000 -2.000000 3.000000 " in path.read_text()
    for found, given in zip(read_tags(path), (first, second), strict=True):
        np.testing.assert_allclose(found, given)
    inline = path.read_text().replace('""', '1 2 3 "a;b"').replace("Points =\n", "Points = ")
    np.testing.assert_allclose(read_tags(trees.text(path, inline))[1], second)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("x y z\n", "is no MNI tag point file"),
        ("MNI Tag Point File\nVolumes = 1;\nPoints =\n1 2 3;\n", "has points of 1 volume"),
        ("MNI Tag Point File\nVolumes = 2;\nPoints =\n1 2 3 4 5;\n", "has 5 numbers and a pair of points needs 6"),
        ("MNI Tag Point File\nVolumes = 2;\nPoints =\n;\n", "holds no point"),
        ("MNI Tag Point File\nVolumes = 2;\nPoints =\n1 2 3 4 5 x;\n", "'1 2 3 4 5 x;' is no pair of points"),
    ],
)
def test_tags_that_cannot_be_used(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_tags(trees.text(tmp_path / "a.tag", content))


def test_resect_pairs(tmp_path: Path) -> None:
    trees.resect(tmp_path)
    root = f"resect:{tmp_path}?test=all&frame=file"
    one, other = pairs_of(root, "us", "t1").load(0), pairs_of(root, "t1", "us").load(0)
    np.testing.assert_array_equal(one.fixed.array, other.moving.array)
    np.testing.assert_allclose(truth_of(one).landmarks_fixed, truth_of(other).landmarks_moving)
    assert pairs_of(root, "us", "flair").ids == ("Case1", "Case2", "Case12")
    assert pairs_of(root, "us", "us").ids == ("Case1", "Case12")  # nobody set landmarks after resection in case 2
    with pytest.raises(DataError, match="RESECT pairs one of flair, t1 with us, or us with us; not t1, t2"):
        pairs_of(root, "t1", "t2")


def test_bite_reads_minc_and_what_was_converted_from_it(tmp_path: Path) -> None:
    trees.bite(tmp_path)
    dataset = pairs_of(f"bite:{tmp_path}?test=all&frame=file", "us", "t1")
    minc, nifti = dataset.load(0), dataset.load(1)
    for side in ("fixed", "moving"):
        a, b = getattr(minc, side), getattr(nifti, side)
        np.testing.assert_array_equal(a.array, b.array)
        np.testing.assert_allclose(a.grid.index_to_physical, b.grid.index_to_physical, atol=1e-4)
    broken = tmp_path / "group2" / "01" / "01_mr_tal.mnc"
    for content, message in (
        (b"CDF\x01" + bytes(100), "as MINC 1"),
        (b"nothing", "as MINC"),
    ):
        broken.write_bytes(content)
        with pytest.raises(DataError, match=rf"01_mr_tal\.mnc cannot be read {message}.* convert it with mnc2nii"):
            pairs_of(f"bite:{tmp_path}?test=all", "us", "t1").load(0)


@pytest.mark.parametrize("order", [("zspace", "yspace", "xspace"), ("xspace", "zspace", "yspace")])
@pytest.mark.parametrize("per_slice", [False, True])
def test_minc_1(tmp_path: Path, order: tuple[str, str, str], per_slice: bool) -> None:
    """Against the definition, voxel by voxel: integers to values, indices to RAS mm, one step negative."""
    sizes, steps = {"xspace": 5, "yspace": 4, "zspace": 3}, {"xspace": -1.5, "yspace": 2.0, "zspace": 3.0}
    starts = {"xspace": 10.0, "yspace": -20.0, "zspace": 30.0}
    cosines = dict(zip(("xspace", "yspace", "zspace"), files.oblique().T, strict=True))
    shape = tuple(sizes[name] for name in order)
    stored = np.random.default_rng(0).integers(0, 60000, shape).astype(np.uint16)
    low = np.linspace(-5.0, 5.0, shape[0]) if per_slice else np.array(-5.0)
    high = low + 100.0
    path = tmp_path / "a.mnc"
    with netcdf_file(path, "w") as file:
        for name in order:
            file.createDimension(name, sizes[name])
            axis = file.createVariable(name, "i", ())
            axis.start, axis.step, axis.direction_cosines = starts[name], steps[name], cosines[name]
        image = file.createVariable("image", "h", order)
        image[:] = stored.view(np.int16)
        image.signtype, image.valid_range = b"unsigned", np.array([0.0, 60000.0])
        for name, values in (("image-min", low), ("image-max", high)):
            limits = file.createVariable(name, "d", order[:1] if per_slice else ())
            limits.data[...] = values
    read = read_minc(path, "t1")
    bottom = low.reshape(-1, 1, 1) if per_slice else low
    np.testing.assert_allclose(read.array, stored / 60000.0 * 100.0 + bottom, atol=1e-4)
    index = np.array([1, 2, 2])  # along the stored order
    ras = np.sum([(starts[n] + steps[n] * i) * cosines[n] for n, i in zip(order, index, strict=True)], axis=0)
    lps = transform_points(read.grid.index_to_physical, index[::-1].astype(float)[None])[0]
    np.testing.assert_allclose(lps, ras * [-1, -1, 1], atol=1e-9)


def test_bytes_of_minc_1_are_unsigned_unless_told(tmp_path: Path) -> None:
    """By the reference of the format, for which integers of more bytes are signed."""
    stored = np.array([0, 1, 127, 128, 200, 255], np.uint8).reshape(1, 2, 3)
    path = tmp_path / "a.mnc"
    with netcdf_file(path, "w") as file:
        for name, size in zip(("zspace", "yspace", "xspace"), stored.shape, strict=True):
            file.createDimension(name, size)
            axis = file.createVariable(name, "i", ())
            axis.start, axis.step = 0.0, 1.0
        file.createVariable("image", "b", ("zspace", "yspace", "xspace"))[:] = stored.view(np.int8)
        for name, value in (("image-min", 0.0), ("image-max", 255.0)):
            file.createVariable(name, "d", ()).data[...] = value
    np.testing.assert_allclose(read_minc(path, "us").array, stored, atol=1e-4)


def test_itk_leaves_the_coordinates_of_minc_as_they_are(tmp_path: Path) -> None:
    made = sitk.Cast(trees.image(trees.FIXED_MARKS, 1, origin=(101.5, -202.5, 30.0)), sitk.sitkFloat32)
    raw = trees.save(tmp_path / "a.mnc", made).read_bytes()
    assert struct.pack("<d", 101.5) in raw and struct.pack("<d", -101.5) not in raw
