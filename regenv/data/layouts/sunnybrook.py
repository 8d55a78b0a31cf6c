"""Sunnybrook Cardiac Data: short-axis cine MR of 45 hearts, the left ventricle outlined at end of diastole and systole.

``scd_patientdata.csv`` joins the folder of images (``PatientID`` SCD0000101) with that of contours (``OriginalID``
SC-HF-I-1, whose folder has two digits, SC-HF-I-01). A contour ``IM-0001-0059-icontour-manual.txt`` (i inner, o outer)
belongs to the image ``IM-*-0059.dcm`` of the series ``CINESAX_*``; its rows are x, y in pixels, taken here as pixel
centres counted from 0 (not stated by the set: half a pixel of doubt). Of the two outlined phases of a slice the one
with the larger cavity is the end of diastole, where alone the wall is outlined as a rule. (Layout and phases: code
that reads the distributed files.) The longest run of neighbouring slices that are outlined in both phases serves.

Splits are those of the challenge of 2009: training, validation, online (test).

P. Radau et al., "Evaluation framework for algorithms segmenting short axis cardiac MRI", MIDAS Journal (2009).
"""

from __future__ import annotations

import csv
import re
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regenv.core.geometry import FloatArray
from regenv.core.image import Image
from regenv.data.layouts._base import Layout, NotThisLayoutError, PairFiles, Request
from regenv.data.layouts._scans import make_truth, read_rows, read_text
from regenv.data.pair import ImagePair
from regenv.errors import DataError

LABELS = {1: "left ventricle cavity", 2: "left ventricle wall"}

TRAINING = [
    "HF-I-1",
    "HF-I-2",
    "HF-I-4",
    "HF-I-40",
    "HF-NI-3",
    "HF-NI-4",
    "HF-NI-34",
    "HF-NI-36",
    "HYP-1",
    "HYP-3",
    "HYP-38",
    "HYP-40",
    "N-2",
    "N-3",
    "N-40",
]
VALIDATION = [
    "HF-I-5",
    "HF-I-6",
    "HF-I-7",
    "HF-I-8",
    "HF-NI-7",
    "HF-NI-11",
    "HF-NI-31",
    "HF-NI-33",
    "HYP-6",
    "HYP-7",
    "HYP-8",
    "HYP-37",
    "N-5",
    "N-6",
    "N-7",
]

CONTOURS = Path("contours-manual") / "IRCCI-expert"

TREE = """PATH/
  scd_patientdata.csv                    (columns PatientID, OriginalID, ...)
  SCD_IMAGES_01/ ... SCD_IMAGES_05/      (or the folders in them)
    SCD0000101/CINESAX_300/IM-0003-0059.dcm, ...
  SCD_ManualContours/
    SC-HF-I-01/contours-manual/IRCCI-expert/IM-0001-0059-icontour-manual.txt, IM-0001-0059-ocontour-manual.txt, ..."""


def find(request: Request) -> list[PairFiles]:
    """End of systole (fixed) and of diastole (moving) of every patient whose images and contours are there."""
    table = next(iter(sorted(request.root.rglob("scd_patientdata.csv"))), None)
    contours = next((p for p in sorted(request.root.rglob("SC-*-*")) if p.is_dir()), None)
    if table is None or contours is None:
        raise NotThisLayoutError(
            f"has no {'scd_patientdata.csv' if table is None else 'folder SCD_ManualContours/SC-HF-I-01'}"
        )
    folders = {p.name: p for p in request.root.rglob("SCD???????") if p.is_dir()}
    modality = request.modality(0, ("mr", "cine"))
    cases = []
    for row in csv.DictReader(read_text(table).splitlines()):
        patient, original = (row.get("PatientID") or "").strip(), (row.get("OriginalID") or "").strip()
        outlines = contours.parent / re.sub(r"\d+$", lambda m: m[0].zfill(2), original) / CONTOURS
        if patient not in folders or not outlines.is_dir():
            continue  # unpacked in part: what is there serves
        slices = _outlined(folders[patient], outlines)
        files = tuple(path for inner, outer, image in slices for path in (inner, outer, image) if path is not None)
        load = partial(load_patient, tuple(slices), modality)
        cases.append(PairFiles(original, patient, _split(original), files, load))
    if not cases:
        outlined = sum(p.is_dir() for p in contours.parent.glob("SC-*-*"))
        raise NotThisLayoutError(
            f"has no patient of whom {table.name} names images (PatientID; {len(folders)} folders are there) and "
            f"contours (OriginalID; {outlined} folders)"
        )
    return cases


def load_patient(slices: tuple[tuple[Path, Path | None, Path], ...], modality: str) -> ImagePair:
    """Reads the outlined slices of a patient as two volumes with labels."""
    from regenv.data.dicom import series_grid

    by_place: dict[float, list[tuple[float, Path, NDArray[np.float32], NDArray[np.int32]]]] = {}
    for inner, outer, path in slices:
        array, place = _read_slice(path)
        labels = np.zeros(array.shape, dtype=np.int32)
        if outer is not None:
            labels[inside_polygon(read_rows(outer, 2), array.shape)] = 2
        cavity = inside_polygon(read_rows(inner, 2), array.shape)
        labels[cavity] = 1
        by_place.setdefault(round(place, 1), []).append((float(cavity.sum()), path, array, labels))
    both = {place: sorted(found, key=lambda f: f[0]) for place, found in sorted(by_place.items()) if len(found) > 1}
    run = longest_run(list(both))
    if len(run) < 2:
        raise DataError(f"has {len(run)} neighbouring slices outlined in two phases; copy images and contours again")
    images, maps = [], []
    for pick in (0, -1):  # the smaller cavity is the end of systole, which is fixed
        phase = [both[place][pick] for place in run]
        grid = series_grid(str(phase[0][1].parent), tuple(str(f[1]) for f in phase))
        images.append(Image(np.stack([f[2] for f in phase]), grid, modality))
        maps.append(np.stack([f[3] for f in phase]))
    return ImagePair("", "", images[0], images[1], truth=make_truth(labels=maps, label_names=LABELS))


def longest_run(places: list[float]) -> list[float]:
    """The longest run of ascending places that are one step, the smallest there is, apart."""
    if len(places) < 2:
        return places
    step = min(np.diff(places))
    ends = [i for i, gap in enumerate(np.diff(places)) if gap > 1.2 * step]
    bounds = [0, *(i + 1 for i in ends), len(places)]
    return max((places[i:j] for i, j in pairwise(bounds)), key=len)


def inside_polygon(points: FloatArray, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Pixels ``[y, x]`` whose centres lie inside a closed polygon of ``(N, 2)`` points x, y, by the even-odd rule."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float64)
    inside = np.zeros(shape, dtype=np.bool_)
    for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0), strict=True):
        if y0 != y1:
            inside ^= ((y0 > y) != (y1 > y)) & (x < (x1 - x0) * (y - y0) / (y1 - y0) + x0)
    return inside


def _outlined(patient: Path, outlines: Path) -> list[tuple[Path, Path | None, Path]]:
    """Inner contour, outer contour (or None) and image of every outlined slice; of several series the one that fits."""
    series = sorted(p for p in patient.glob("CINESAX*") if p.is_dir()) or [patient / "CINESAX_300"]
    names = {path: {p.stem.rpartition("-")[2]: p for p in path.glob("*.dcm")} for path in series}
    inner = sorted(outlines.glob("IM-*-icontour-manual.txt"))
    numbers = [path.name.split("-")[2] for path in inner]
    best = max(series, key=lambda path: sum(number in names[path] for number in numbers))
    slices = []
    for path, number in zip(inner, numbers, strict=True):
        outer = path.with_name(path.name.replace("icontour", "ocontour"))
        image = names[best].get(number, best / f"IM-0001-{number}.dcm")
        slices.append((path, outer if outer.exists() else None, image))
    return slices


def _read_slice(path: Path) -> tuple[NDArray[np.float32], float]:
    """Pixels of a DICOM slice, and where it lies along its normal."""
    import SimpleITK as sitk

    try:
        image = sitk.ReadImage(str(path), sitk.sitkFloat32)
        rows = np.array([float(v) for v in image.GetMetaData("0020|0037").split("\\")]).reshape(2, 3)
        position = np.array([float(v) for v in image.GetMetaData("0020|0032").split("\\")])
    except RuntimeError as error:
        raise DataError(f"{path} is no DICOM slice with a position; copy it again") from error
    array = sitk.GetArrayFromImage(image)
    return array.reshape(array.shape[-2:]), float(position @ np.cross(rows[0], rows[1]))


def _split(original: str) -> str:
    name = original.removeprefix("SC-")
    return "train" if name in TRAINING else "validation" if name in VALIDATION else "test"


LAYOUT = Layout("sunnybrook", "Sunnybrook Cardiac Data", TREE, find, slices=(0.3, 0.5, 0.7))
