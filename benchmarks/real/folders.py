"""Folders of real pairs, one for each environment that they serve, from a folder of public images.

    python -m benchmarks.real.folders DATA OUT

Each is a manifest as any user would write it (``dataset="folder:OUT/brain"``). Pairs are of the split ``validation``:
the oracle of the table is told the truth. What is done to the images:

- lung: the scans show the right lung alone, the population model both. The fixed image is padded with air on the
  left until the middle of the body, x = 0 of the scanner, is in the middle of the view.
- heart: the slices that are outlined at both phases, thirds of the way through them, cut to 128 mm about the left
  ventricle at end-diastole, which lies 8 mm right of the middle as in training; in the slice's own plane.
- brain, mni: as they are; a mask of the head is made by a threshold.
- knee: axes are put into the order and direction of a sagittal stack (back, down, right).
- rat: as they are, with a spacing of 1 mm that the files give and no rat has.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.real.classical import affine_registration, spread_mm
from benchmarks.real_pairs import KNEE_REFERENCE, body_mask
from regenv.core.deformation_fit import sample_points
from regenv.data.manifest import COLUMNS
from regenv.errors import DataError
from regenv.poses.deformation import StatisticalDeformation

CASES = 10
"""Cases of a pair whose files lie in one frame, each with a random frame and start."""

Rows = list[dict[str, str]]
HEART_MM, HEART_RIGHT_MM, HEART_MASK_MM = 128.0, 8.0, 50.0
RAT_EXTENT_MM = 96 * 1.4
_BRAIN = "ubermuda_brain_mr/"
_MNI = "nilearn_mni152/mni_icbm152_{}_tal_nlin_sym_09a_converted.nii.gz"


def write_folders(data: Path, out: Path, only: Sequence[str] = ()) -> dict[str, Path]:
    """Writes the folders; gives them by name.

    Args:
        data: Holds the public images.
        out: Is made where it does not exist.
        only: Names of folders; default all.

    Raises:
        DataError: If the images are not there.
    """
    if not (data / "MANIFEST.csv").is_file():
        raise DataError(f"{data} has no MANIFEST.csv; give the folder that holds the public images")
    makers = {"lung": lung, "heart": heart, "brain": brain, "mni": mni, "knee": knee, "rat": rat}
    written = {}
    for name, make in makers.items():
        if only and name not in only:
            continue
        folder = out / name
        folder.mkdir(parents=True, exist_ok=True)
        rows = make(data, folder)
        columns = [column for column in COLUMNS if any(column in row for row in rows)]
        with (folder / "pairs.csv").open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, [*columns, "split"], restval="", lineterminator="\n")
            writer.writeheader()
            writer.writerows([row | {"split": "validation"} for row in rows])
        written[name] = folder
    return written


def lung(data: Path, folder: Path) -> Rows:
    """Baseline and follow-up of a right lung, with the files' own frames and after SimpleITK's affine registration."""
    import SimpleITK as sitk

    source = data / "elastix_lung"
    fixed = sitk.ReadImage(str(source / "3DCT_lung_baseline.mha"), sitk.sitkFloat32)
    mask = sitk.ReadImage(str(source / "3DCT_lung_baseline_mask.mha"), sitk.sitkUInt8)
    moving = sitk.ReadImage(str(source / "3DCT_lung_followup.mha"), sitk.sitkFloat32)
    left = -fixed.GetOrigin()[0] / fixed.GetSpacing()[0]  # voxels from the first to x = 0
    pad = (round(2 * left) + 1 - fixed.GetSize()[0], 0, 0)
    margin = [max(1, round(6.0 / spacing)) for spacing in mask.GetSpacing()]
    fixed, moving = sitk.Clamp(fixed, lowerBound=-1000), sitk.Clamp(moving, lowerBound=-1000)
    sitk.WriteImage(sitk.ConstantPad(fixed, (0, 0, 0), pad, -1000), str(folder / "baseline.mha"), True)
    mask = sitk.BinaryDilate(mask, margin, sitk.sitkBall)
    sitk.WriteImage(sitk.ConstantPad(mask, (0, 0, 0), pad, 0), str(folder / "baseline_mask.nrrd"), True)
    sitk.WriteImage(moving, str(folder / "followup.mha"), True)
    aligned = affine_registration(fixed, moving, sitk.AffineTransform(3), "ncc")
    sitk.WriteTransform(aligned, str(folder / "affine.tfm"))
    points = {side: f"{source}/{side}_landmarks_51_in_fov.txt" for side in ("baseline", "followup")}
    shared = {
        **{"fixed": "baseline.mha", "moving": "followup.mha", "fixed_mask": "baseline_mask.nrrd"},
        **{"fixed_modality": "ct", "moving_modality": "ct", "subject": "lung"},
        **{"fixed_landmarks": points["baseline"], "moving_landmarks": points["followup"]},
    }
    return [
        {"id": "own_frames", "alignment": "identity"} | shared,
        {"id": "sitk_affine", "alignment": "affine.tfm"} | shared,
    ]


def heart(data: Path, folder: Path) -> Rows:
    """Three slices of each of three hearts, end-diastole (moving) to end-systole (fixed)."""
    rows = []
    for patient in ("101", "201", "301"):
        stem = data / "sunnybrook_scd" / f"SCD0000{patient}"
        images = {f"{p}{k}": _read(f"{stem}_{p}{k}.nii.gz") for p in ("ED", "ES") for k in ("", "_lv_endo")}
        drawn = [
            z
            for z in range(images["ED"][0].shape[0])
            if images["ED_lv_endo"][0][z].any() and images["ES_lv_endo"][0][z].any()
        ]
        spacing = images["ED"][1][:2]
        for share in (1 / 3, 1 / 2, 2 / 3):
            z = drawn[round(share * (len(drawn) - 1))]
            y, x = (float(i.mean()) for i in np.nonzero(images["ED_lv_endo"][0][z]))
            n = int(HEART_MM / spacing[0])
            first = (round(y - n / 2), round(x - HEART_RIGHT_MM / spacing[0] - n / 2))
            part = (z, slice(first[0], first[0] + n), slice(first[1], first[1] + n))
            name = f"{patient}_{z}"
            for key, (array, _) in images.items():
                _write(array[part], spacing, folder / f"{name}_{key}.nrrd")
            y, x = (np.indices((n, n)) - (n - 1) / 2) * spacing[0]
            _write((np.hypot(x, y) < HEART_MASK_MM).astype(np.uint8), spacing, folder / f"{name}_mask.nrrd")
            rows.append(
                {"id": f"scd{patient}_slice{z}", "subject": patient, "fixed_modality": "mr", "moving_modality": "mr"}
                | {"fixed": f"{name}_ES.nrrd", "moving": f"{name}_ED.nrrd", "fixed_mask": f"{name}_mask.nrrd"}
                | {"fixed_labels": f"{name}_ES_lv_endo.nrrd", "moving_labels": f"{name}_ED_lv_endo.nrrd"}
            )
    return rows


def brain(data: Path, folder: Path) -> Rows:
    """Pairs of contrasts of one head and session; the scanner's frame is the truth, good to about 2 mm."""
    files = {"t1": "T1_SE_sagittal", "flair": "FLAIR_axial", "b0": "DWI_trace_b0", "adc": "ADC_axial"}
    for modality, threshold in (("t1", 70.0), ("flair", 40.0)):
        _write_mask(data / f"{_BRAIN}{files[modality]}.nii.gz", threshold, folder / f"{modality}_head.nrrd")
    return [
        {"id": f"{fixed}_{moving}", "subject": "brain", "aligned": "true", "cases": str(CASES)}
        | {"fixed_modality": fixed, "moving_modality": moving, "fixed_mask": f"{fixed}_head.nrrd"}
        | {"fixed": f"{data}/{_BRAIN}{files[fixed]}.nii.gz", "moving": f"{data}/{_BRAIN}{files[moving]}.nii.gz"}
        for fixed, moving in (("t1", "flair"), ("t1", "b0"), ("t1", "adc"), ("flair", "b0"), ("flair", "adc"))
    ]


def mni(data: Path, folder: Path) -> Rows:
    """The T1 template (fixed) and the maps of grey and white matter: aligned by construction."""
    _write_mask(data / _MNI.format("t1"), 20.0, folder / "brain.nrrd")
    return [
        {"id": f"t1_{tissue}", "subject": "mni", "aligned": "true", "cases": str(CASES)}
        | {"fixed_modality": "t1", "moving_modality": "other", "fixed_mask": "brain.nrrd"}
        | {"fixed": str(data / _MNI.format("t1")), "moving": str(data / _MNI.format(tissue))}
        for tissue in ("gm", "wm")
    ]


def knee(data: Path, folder: Path) -> Rows:
    """A knee straight and bent. Nothing is known but what SimpleITK finds from five starts."""
    import SimpleITK as sitk

    def sagittal(name: str) -> sitk.Image:
        image = sitk.ReadImage(str(data / "fair" / name), sitk.sitkFloat32)
        return sitk.Flip(sitk.PermuteAxes(image, (0, 2, 1)), (True, False, False))

    fixed, moving = sagittal("knee3D_R.nii.gz"), sagittal("knee3D_T.nii.gz")
    for name, image in (("straight", fixed), ("bent", moving)):
        sitk.WriteImage(image, str(folder / f"{name}.nrrd"), True)
    _write_mask(folder / "straight.nrrd", 20.0, folder / "straight_leg.nrrd")
    centre = fixed.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in fixed.GetSize()])
    rng = np.random.default_rng(0)
    found = []
    for k in range(5):
        start = sitk.Euler3DTransform(centre)
        off = np.zeros(6) if k == 0 else rng.uniform(-1, 1, 6) * [0.1, 0.1, 0.1, 6, 6, 6]
        start.SetParameters((np.array(KNEE_REFERENCE) + off).tolist())
        found.append(affine_registration(fixed, moving, start, "ncc"))
    sitk.WriteTransform(found[0], str(folder / "affine.tfm"))
    (folder / "spread_mm.txt").write_text(f"{spread_mm(fixed, found):.2f}\n")
    shared = {"fixed": "straight.nrrd", "moving": "bent.nrrd", "fixed_mask": "straight_leg.nrrd", "subject": "knee"}
    shared |= {"fixed_modality": "mr", "moving_modality": "mr"}
    return [
        {"id": "to_sitk_affine", "transform": "affine.tfm"} | shared,
        {"id": "rest", "alignment": "affine.tfm"} | shared,
    ]


def rat(data: Path, folder: Path) -> Rows:
    """Two slices of one rat's chest, breathing, and a generic model: smooth random displacements of a few pixels."""
    smooth_population(RAT_EXTENT_MM).save(folder / "smooth.npz")
    return [
        {"id": "breath", "fixed_modality": "mr", "moving_modality": "mr", "alignment": "identity"}
        | {side: f"{data}/itk_ratlung2d/RatLungSlice{k}.mha" for side, k in (("fixed", 1), ("moving", 2))}
    ]


def smooth_population(
    extent_mm: float, cells: int = 12, modes: int = 16, subjects: int = 200
) -> StatisticalDeformation:
    """Displacements that are Gaussian random fields of 3 mm, smooth over a quarter of the view."""
    points = sample_points(2, extent_mm, 2 * (cells + 1) + 1)
    rng = np.random.default_rng(0)
    n = points.shape[0]
    noise = rng.standard_normal((subjects, 3 * n, 3 * n, 2))
    fields = ndimage.gaussian_filter(noise, (0, n / 6, n / 6, 0))[:, n : 2 * n, n : 2 * n]
    return StatisticalDeformation.fit(
        3.0 * fields / fields.std(), extent_mm, cells, modes, source="smooth random fields"
    )


def _read(path: str) -> tuple[NDArray[Any], tuple[float, ...]]:
    import SimpleITK as sitk

    image = sitk.ReadImage(path)
    return sitk.GetArrayFromImage(image), image.GetSpacing()


def _write(array: NDArray[Any], spacing: Sequence[float], path: Path) -> None:
    """A slice in its own plane."""
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(np.ascontiguousarray(array))
    image.SetSpacing([float(s) for s in spacing])
    sitk.WriteImage(image, str(path), True)


def _write_mask(source: Path, threshold: float, path: Path) -> None:
    import SimpleITK as sitk

    image = sitk.ReadImage(str(source))
    mask = sitk.GetImageFromArray(
        body_mask(sitk.GetArrayFromImage(image).astype(np.float32), threshold).astype(np.uint8)
    )
    mask.CopyInformation(image)
    sitk.WriteImage(mask, str(path), True)


def main(argv: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder that holds the public images")
    parser.add_argument("out", type=Path, help="folder to write")
    given = parser.parse_args(argv)
    for name, folder in write_folders(given.data, given.out).items():
        print(f"{name}: dataset='folder:{folder}'")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
