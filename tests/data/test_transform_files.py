"""Transform files: what is linear and of the model is read exactly, everything else is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from regenv.core.geometry import Grid, transform_points
from regenv.data.transform_files import overlap, read_transform
from regenv.errors import DataError
from tests.data import files

POINT = (10.0, -20.0, 30.0)


def written(path: Path, transform: sitk.Transform) -> Path:
    sitk.WriteTransform(transform, str(path))
    return path


@pytest.mark.parametrize("name", ["t.tfm", "t.txt", "t.h5", "t.mat"])
def test_formats(tmp_path: Path, name: str) -> None:
    rigid = sitk.Euler3DTransform((1.0, 2.0, 3.0), 0.1, -0.2, 0.3, (4.0, 5.0, 6.0))
    matrix = read_transform(written(tmp_path / name, rigid), 3, "rigid")
    np.testing.assert_allclose(transform_points(matrix, [POINT])[0], rigid.TransformPoint(POINT), atol=1e-9)


def test_a_composite_of_linear_ones(tmp_path: Path) -> None:
    composite = sitk.CompositeTransform(
        [
            sitk.Euler3DTransform((0.0, 0.0, 0.0), 0.1, 0.2, 0.3, (4.0, 5.0, 6.0)),
            sitk.VersorRigid3DTransform((0.0, 1.0, 0.0), 0.4, (1.0, 1.0, 1.0)),
        ]
    )
    matrix = read_transform(written(tmp_path / "t.tfm", composite), 3, "rigid")
    np.testing.assert_allclose(transform_points(matrix, [POINT])[0], composite.TransformPoint(POINT), atol=1e-9)


@pytest.mark.parametrize(
    ("model", "scale", "good"),
    [("rigid", 1.0, True), ("rigid", 1.1, False), ("similarity", 1.1, True), ("affine", 1.1, True)],
)
def test_transforms_must_belong_to_the_model(tmp_path: Path, model: str, scale: float, good: bool) -> None:
    transform = sitk.Similarity3DTransform(scale, (0.0, 0.0, 1.0), 0.1, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
    path = written(tmp_path / "t.tfm", transform)
    if good:
        assert np.linalg.det(read_transform(path, 3, model)) == pytest.approx(scale**3)
    else:
        with pytest.raises(DataError, match=r"transform t\.tfm is not rigid .* scale by 1\.1000"):
            read_transform(path, 3, model)


def test_a_sheared_or_mirrored_transform_is_no_similarity(tmp_path: Path) -> None:
    sheared, mirrored = np.eye(3), np.diag([1.0, 1.0, -1.0])
    sheared[0, 1] = 0.2
    for matrix in (sheared, mirrored):
        path = written(tmp_path / "t.tfm", sitk.AffineTransform(matrix.ravel().tolist(), (0.0, 0.0, 0.0)))
        with pytest.raises(DataError, match=r"transform t\.tfm is not similarity"):
            read_transform(path, 3, "similarity")


def test_overlap_is_a_share() -> None:
    grid = Grid(files.SIZE, files.SPACING, files.ORIGIN, files.oblique())
    assert overlap(grid, grid, np.eye(4)) == 1.0
    for share in (0.5, 1.5):
        along = np.eye(4)
        along[0, 3] = share * grid.extent[0]
        moved = grid.frame @ along @ np.linalg.inv(grid.frame)
        assert overlap(grid, grid, moved) == pytest.approx(max(0.0, 1 - share), abs=0.05)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    """The damaged word is quoted, though it is no text."""
    path = written(tmp_path / "t.tfm", sitk.Euler3DTransform())
    path.write_bytes(path.read_bytes().replace(b"Euler3D", b"Eul\xee3D"))
    with pytest.raises(DataError, match=r"transform t\.tfm is of the unknown kind .*did you mean 'Euler3D'"):
        read_transform(path, 3, "rigid")
