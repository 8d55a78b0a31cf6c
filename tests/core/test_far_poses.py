"""Overlap cannot be traded for similarity: of 1,000 far poses on real pairs, none beats the truth."""

from pathlib import Path

import numpy as np
import pytest

from regenv.core.geometry import Grid
from regenv.core.image import Image
from regenv.core.resample import array_addresses, index_matrices, orthogonal_planes, render, resample, volume_planes
from regenv.core.similarity import SIMILARITIES, get_similarity
from regenv.poses import get_model

POSES = 1000
T1, FLAIR, B0 = "T1_SE_sagittal.nii.gz", "FLAIR_axial.nii.gz", "DWI_trace_b0.nii.gz"
POINTWISE = ("ssd", "ncc", "mi", "nmi")


def _read(file: Path) -> Image:
    import SimpleITK as sitk

    from regenv.core.sitk import image_from_sitk

    image = image_from_sitk(sitk.ReadImage(str(file)))
    low, high = np.percentile(image.array, (0.5, 99.5))
    return Image(np.clip((image.array - low) / (high - low), 0, 1), image.grid)


def _far_poses(view: Grid, rng: np.random.Generator) -> np.ndarray:
    """The truth, then poses at least 20 mm or 20 degrees away, up to any rotation and to no overlap at all."""
    model = get_model("rigid", 3)
    reach = 0.9 * view.extent.max()
    s = np.concatenate([rng.uniform(-reach, reach, (4 * POSES, 3)), rng.uniform(-180, 180, (4 * POSES, 3))], axis=1)
    # Half of them keep more of the overlap than a uniform draw would.
    s[::2, :3] *= 0.3
    far = (np.linalg.norm(s[:, :3], axis=1) > 20) | (np.linalg.norm(s[:, 3:], axis=1) > 20)
    s = np.concatenate([np.zeros((1, 6)), s[far][:POSES]])
    return model.step(np.tile(model.origin, (len(s), 1, 1)), s, np.tile(view.frame, (len(s), 1, 1)))


def _render(images: list[Image], matrices: np.ndarray, planes: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    addresses, shapes = array_addresses([image.array for image in images])
    shape = (len(images), len(planes), size, size)
    out, valid = np.empty(shape, np.float32), np.empty(shape, np.uint8)
    render(addresses, shapes, matrices, planes, np.zeros(len(images), np.float32), out, valid)
    return out, valid


@pytest.mark.parametrize("masked", ["body", "whole"])
@pytest.mark.parametrize(
    ("fixed_name", "moving_name", "volumetric", "metrics"),
    [
        pytest.param(T1, FLAIR, True, POINTWISE, id="T1-FLAIR-volume"),
        pytest.param(FLAIR, T1, True, POINTWISE, id="FLAIR-T1-volume"),
        pytest.param(T1, FLAIR, False, tuple(SIMILARITIES), id="T1-FLAIR-slices"),
        # On b0 dark and bright are exchanged: only metrics for any modality can be expected to know the truth.
        pytest.param(T1, B0, True, ("mi", "nmi", "ngf"), id="T1-b0-volume"),
        pytest.param(FLAIR, B0, False, ("mi", "nmi", "ngf", "lncc", "mind"), id="FLAIR-b0-slices"),
    ],
)
def test_none_beats_the_truth(shared_data, fixed_name, moving_name, volumetric, metrics, masked):
    folder = shared_data / "ubermuda_brain_mr"
    fixed, moving = _read(folder / fixed_name), _read(folder / moving_name)
    size = 24 if volumetric else 48
    width = fixed.grid.extent.max() / size
    view = Grid.centred((size,) * 3, (width,) * 3, fixed.grid.centre, fixed.grid.direction)
    planes = volume_planes(view.size) if volumetric else orthogonal_planes(view.size)
    own, inside = _render([fixed], index_matrices(fixed.grid, np.eye(4)[None], view), planes, size)
    mask = (inside != 0) & (own > 0.05) if masked == "body" else inside != 0
    transforms = _far_poses(view, np.random.default_rng(0))
    lanes = len(transforms)
    assert lanes == POSES + 1
    moved, valid = _render([moving] * lanes, index_matrices(moving.grid, transforms, view), planes, size)
    share = (valid * mask).sum(axis=(1, 2, 3)) / mask.sum()
    assert share[0] > 0.5
    assert (share == 0).any()
    assert ((share > 0) & (share < 0.3)).sum() > 50  # slivers, on which the values over the valid region alone run wild
    assert (share > 0.5).sum() > 50
    fixed_lanes, mask_lanes = np.repeat(own, lanes, axis=0), np.repeat(mask.astype(np.uint8), lanes, axis=0)
    for name in metrics:
        similarity = get_similarity(name)
        state = np.repeat(similarity.prepare(own, mask.astype(np.uint8), volumetric), lanes, axis=0)
        values = similarity.evaluate(fixed_lanes, moved, mask_lanes, valid, volumetric, state)
        assert np.isfinite(values).all()
        beaten = np.flatnonzero(values[1:] >= values[0]) + 1
        assert len(beaten) == 0, f"{name}: {len(beaten)} poses beat the truth, overlaps {share[beaten][:5]}"


def test_without_the_rule_slivers_do_beat_the_truth(shared_data):
    """What the rule is for: over the valid region alone, SSD prefers poses of little overlap."""
    folder = shared_data / "ubermuda_brain_mr"
    fixed, moving = _read(folder / T1), _read(folder / FLAIR)
    view = Grid.centred((24,) * 3, (fixed.grid.extent.max() / 24,) * 3, fixed.grid.centre, fixed.grid.direction)
    own, inside = resample(fixed, view)
    mask = inside & (own > 0.05)
    transforms = _far_poses(view, np.random.default_rng(0))
    moved, valid = _render(
        [moving] * len(transforms), index_matrices(moving.grid, transforms, view), volume_planes(view.size), 24
    )
    both = (valid != 0) & mask
    alone = -(both * (moved - own) ** 2).sum(axis=(1, 2, 3)) / np.maximum(both.sum(axis=(1, 2, 3)), 1)
    assert ((alone > alone[0]) & both.any(axis=(1, 2, 3)))[1:].sum() > 0
