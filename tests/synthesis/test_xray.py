from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from regenv.core.camera import Camera
from regenv.core.geometry import FloatArray, Grid, transform_points
from regenv.core.image import Image
from regenv.poses import get_model
from regenv.synthesis.physics.xray import Cylinder, XRay, draw_xray, field_of_exposure, xray

CLEAN = XRay(photons=1e8, scatter=0.0, blur_mm=0.01)


def c_arm(pixels: int = 64, pitch: float = 2.0) -> Camera:
    grid = Grid.centred((pixels, pixels, 1), (pitch, pitch, 1.0), (0, 0, 400.0))
    return Camera(np.array([0.0, 0.0, -700.0]), grid, np.zeros(3))


def tilted(values: tuple[float, ...]) -> FloatArray:
    return get_model("rigid", 3).exp(np.array([values]))[0]


def middle(array: np.ndarray) -> np.ndarray:
    return array[..., 28:36, 28:36]


# A slab whose long axis is not the beam, so that "the patient goes on" is across it.
UPRIGHT = np.array([[1.0, 0, 0], [0, 0, -1.0], [0, 1.0, 0]])
WORLD = np.eye(4)
WORLD[:3, :3] = UPRIGHT  # world to patient: the beam along z of the world passes along -y of the patient


def patient_slab(depth_mm: float, hu: float = 0.0) -> Image:
    grid = Grid.centred((60, 20, 60), (5.0, depth_mm / 20, 5.0))
    return Image(np.full(grid.shape, hu, np.float32), grid, "ct", -1000.0)


def test_water_is_attenuated_as_by_beer_and_lambert_over_the_spectrum() -> None:
    logs = []
    for depth in (100.0, 200.0):
        image, field = xray(patient_slab(depth), [c_arm()], np.random.default_rng(0), WORLD, CLEAN)
        assert field.all() and image.modality == "xray" and image.array.shape == (1, 64, 64)
        logs.append(float(np.median(middle(image.array))))
    energies = np.array([[0.34, 0.02683], [0.48, 0.02059], [0.18, 0.01837]])
    share = energies[:, 0]
    for depth, log in zip((100.0, 200.0), logs, strict=True):
        assert log == pytest.approx(-np.log((share * np.exp(-depth * energies[:, 1])).sum()), abs=0.01)
    assert logs[1] < 2 * logs[0]  # the beam hardens
    bone, _ = xray(patient_slab(100.0, 1000.0), [c_arm()], np.random.default_rng(0), WORLD, CLEAN)
    assert float(np.median(middle(bone.array))) > logs[0] + 1.5


def test_air_is_nothing_and_the_patient_goes_on() -> None:
    image, _ = xray(patient_slab(100.0, -1000.0), [c_arm()], np.random.default_rng(0), WORLD, CLEAN)
    assert np.abs(image.array).max() < 0.02
    short = Grid.centred((60, 20, 10), (5.0, 5.0, 5.0))  # 50 mm tall, seen over 80 mm
    body, _ = xray(Image(np.zeros(short.shape, np.float32), short), [c_arm()], np.random.default_rng(0), WORLD, CLEAN)
    assert body.array.min() > 0.9 * np.median(body.array)


def test_scatter_fills_and_noise_follows_the_photons() -> None:
    def expose(settings: XRay) -> np.ndarray:
        return middle(xray(patient_slab(200.0), [c_arm()], np.random.default_rng(1), WORLD, settings)[0].array)

    clean, scattered = expose(CLEAN), expose(replace(CLEAN, scatter=0.5))
    assert np.median(clean - scattered) == pytest.approx(np.log(1.5), abs=0.05)
    for photons in (400.0, 10_000.0):
        noisy = expose(replace(CLEAN, photons=photons))
        assert noisy.std() == pytest.approx(1 / np.sqrt(photons), rel=0.3)


def dense_chord(camera: Camera, index: tuple[float, float], implant: Cylinder) -> float:
    """Length inside the cylinder by sampling the ray every 0.01 mm."""
    pixel = transform_points(camera.grid.index_to_physical, [*index, 0.0])
    way = (pixel - camera.source) / np.linalg.norm(pixel - camera.source)
    points = camera.source + np.arange(600, 800, 0.01)[:, None] * way
    axis = implant.end - implant.start
    length = np.linalg.norm(axis)
    axis = axis / length
    along = (points - implant.start) @ axis
    across = np.linalg.norm(points - implant.start - along[:, None] * axis, axis=1)
    return 0.01 * np.count_nonzero((across <= implant.radius_mm) & (along >= 0) & (along <= length))


@pytest.mark.parametrize("seed", range(8))
def test_chords_through_cylinders_are_exact(seed: int) -> None:
    from regenv.synthesis.physics.xray import _chords

    rng, camera = np.random.default_rng(seed), c_arm()
    ends = rng.uniform(-20, 20, (2, 3))
    if seed == 0:
        ends = np.array([[0.0, 0, -15], [0, 0, 25]])  # end on
    implant = Cylinder(ends[0], ends[1], float(rng.uniform(3, 9)))
    seen = camera.pixels(ends.mean(axis=0)[None])[0]
    lengths = []
    for shift in rng.uniform(-4, 4, (6, 2)):
        index = seen + shift
        pixel = transform_points(camera.grid.index_to_physical, [*index, 0.0])[None]
        got = float(_chords(camera.source, pixel, implant.start, implant.end, implant)[0])
        assert got == pytest.approx(dense_chord(camera, tuple(index), implant), abs=0.06)
        lengths.append(got)
    assert max(lengths) > 2.0


def test_a_thin_wire_is_as_faint_as_it_is_wherever_it_falls() -> None:
    """A wire of 1.2 mm on pixels of 2 mm: its summed absorption does not depend on where the pixels lie."""
    air = patient_slab(100.0, -1000.0)
    losses = []
    for shift in np.linspace(0, 1.2, 7):
        wire = Cylinder(np.array([-15.0, 0, shift]), np.array([15.0, 0, shift]), 0.6, "steel")
        image, _ = xray(air, [c_arm()], np.random.default_rng(0), WORLD, CLEAN, [wire])
        losses.append(float((1 - np.exp(-image.array)).sum()))
    assert min(losses) > 5
    assert np.ptp(losses) < 0.12 * np.mean(losses)


def test_implants_move_with_the_patient() -> None:
    camera, pose = c_arm(), tilted((10, -6, 4, 0, 0, 15)) @ WORLD
    screw = Cylinder(np.array([-20.0, 5, 3]), np.array([15.0, -5, 12]), 3.0)
    image, _ = xray(patient_slab(100.0), [camera], np.random.default_rng(0), pose, CLEAN, [screw])
    without, _ = xray(patient_slab(100.0), [camera], np.random.default_rng(0), pose, CLEAN)
    ends = camera.pixels(transform_points(np.linalg.inv(pose), np.stack([screw.start, screw.end])))
    y, x = np.nonzero(image.array[0] - without.array[0] > 0.5)
    assert len(x) > 40
    np.testing.assert_allclose([x.mean(), y.mean()], ends.mean(axis=0), atol=1.0)
    assert np.hypot(np.ptp(x), np.ptp(y)) == pytest.approx(np.linalg.norm(ends[1] - ends[0]), abs=6)


def test_collimation() -> None:
    camera = c_arm()
    half = field_of_exposure(camera, XRay(collimation="rectangle", field=(0.5, 0.8)))
    assert half.mean() == pytest.approx(0.4, abs=0.02)
    assert field_of_exposure(camera, XRay(collimation="circle")).mean() == pytest.approx(np.pi / 4, abs=0.02)
    settings = replace(CLEAN, collimation="rectangle", field=(0.5, 0.8))
    image, field = xray(patient_slab(200.0), [camera], np.random.default_rng(0), WORLD, settings)
    assert not image.array[~field].any() and image.array[field].min() > 2.5
    with pytest.raises(ValueError, match="collimation"):
        field_of_exposure(camera, XRay(collimation="square"))


def test_same_seed_same_bytes_and_bad_arguments() -> None:
    cameras = [c_arm(), c_arm()]
    first, field = xray(patient_slab(200.0), cameras, np.random.default_rng(5), WORLD)
    again, _ = xray(patient_slab(200.0), cameras, np.random.default_rng(5), WORLD)
    np.testing.assert_array_equal(first.array, again.array)
    assert first.array.shape == field.shape == (2, 64, 64) and first.grid.size == (64, 64, 2)
    assert (first.array[0] != first.array[1]).any()
    assert first.array.min() >= 0 and first.array.max() < 12
    with pytest.raises(ValueError, match="one size"):
        xray(patient_slab(100.0), [c_arm(), c_arm(32)], np.random.default_rng(0))
    with pytest.raises(ValueError, match="one or more"):
        xray(patient_slab(100.0), [], np.random.default_rng(0))
    with pytest.raises(ValueError, match="3-D"):
        xray(Image(np.zeros((4, 4), np.float32), Grid.centred((4, 4), (1.0, 1.0))), cameras, np.random.default_rng(0))
    drawn = [draw_xray(np.random.default_rng(i)) for i in range(40)]
    assert {d.collimation for d in drawn} == {"none", "rectangle", "circle"}
