"""Learn2Reg: every task of the challenge, by its ``NAME_dataset.json``.

The JSON lists images with what belongs to them (``training``, ``test``) and pairs (``training_paired_images``,
``registration_val``, ``registration_test``); a fixed or moving image ``NAME_0011_0001.nii.gz`` is scan 0001 of
subject 0011. Landmarks and keypoints are rows ``i,j,k`` of voxels from 0 in a CSV of the image's name (the JSON of
some tasks writes ``.nii.gz``), in the folders ``landmarks*`` and ``keypoints*``; displacements of the challenge are
in the same voxels (layout and conventions: the organisers' evaluation code, github.com/MDL-UzL/L2R, and the JSON of
LungCT, NLST, ThoraxCBCT, OASIS). Keypoints were found by an algorithm and are used where there are no landmarks set
by hand.

Splits are those of the JSON: training pairs without the subjects of the validation pairs, which the lists of several
tasks hold too; validation pairs; test pairs, whose truth is not published. Where no training pairs are listed, scans
0 and 1 of a subject make one, or each image is paired with the next :data:`HOPS`. All tasks bring images together
before they are published, so the images of a pair lie in one frame.

A. Hering et al., "Learn2Reg: comprehensive multi-task medical image registration challenge", IEEE TMI 42 (2023).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from regenv.core.geometry import FloatArray, Grid, transform_points
from regenv.data.layouts._base import Layout, NotThisLayoutError, PairFiles, Request
from regenv.data.layouts._scans import ScanFiles, load_scans, read_rows
from regenv.errors import DataError
from regenv.modality import get_modality

HOPS = 4
"""Moving images that each fixed image gets where a task lists no training pairs."""

POINTS = ("landmarks", "keypoints", "keypoints01", "keypoints02", "keypoints12")
"""Keys of an image's points, the best first; those of a pair are the first that both images have. A number says between
which scans an algorithm found them."""

PAIR_LISTS = ("training_paired_images", "registration_val", "registration_test", "test_paired_images")
"""Keys of lists of pairs."""

KINDS = {"ct": "ct", "fbct": "ct", "cbct": "cbct", "mr": "mr", "mri": "mr", "t1w": "t1", "t2w": "t2", "us": "us"}
"""Modalities as the JSON files write them, in lower case; any other is ``"other"``."""

TREE = """PATH/
  NAME_dataset.json
  imagesTr/NAME_0001_0000.nii.gz, ...
  labelsTr/, masksTr/, landmarksTr/, keypointsTr/   (those that the JSON names; landmarks and keypoints are .csv)
  imagesTs/, ..."""


def find(request: Request) -> list[PairFiles]:
    """All pairs of all splits."""
    path = json_path(request.root)
    return cases_of(path, read_json(path), request)


def json_path(root: Path) -> Path:
    """The one ``*_dataset.json`` of the folder, or the one named after the folder."""
    found = sorted(root.glob("*_dataset.json"))
    if not found:
        raise NotThisLayoutError("has no file NAME_dataset.json")
    named = root / f"{root.name}_dataset.json"
    if len(found) > 1 and named not in found:
        raise DataError(
            f"{root} has {len(found)} files *_dataset.json ({', '.join(p.name for p in found)}); keep one per folder"
        )
    return named if named in found else found[0]


def read_json(path: Path) -> dict[str, Any]:
    """The task's description.

    Raises:
        DataError: If it is no JSON or lists no images.
    """
    try:
        task = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as JSON ({error}); copy it again") from error
    if not isinstance(task, dict) or not isinstance(task.get("training"), list):
        raise DataError(f"{path} has no list 'training'; it is not a task of Learn2Reg")
    lists: dict[str, tuple[str, ...]] = {"training": ("image",), "test": ("image",)}
    for key, wanted in (lists | dict.fromkeys(PAIR_LISTS, ("fixed", "moving"))).items():
        for number, entry in enumerate(task.get(key) or [], 1):
            if isinstance(entry, str) and wanted == ("image",):
                continue
            if not isinstance(entry, dict) or not all(isinstance(entry.get(name), str) for name in wanted):
                raise DataError(
                    f"{path}: entry {number} of {key!r} does not name its {' and '.join(wanted)}, got "
                    f"{entry!r}; copy the file again"
                )
    return task


def cases_of(path: Path, task: Mapping[str, Any], request: Request) -> list[PairFiles]:
    """The cases of a task's JSON file."""
    root = path.parent
    listed = {_clean(entry["image"]): entry for key in ("training", "test") for entry in _entries(task, key)}
    validation = _pairs(task, "registration_val")
    test = _pairs(task, "registration_test") or _pairs(task, "test_paired_images")
    held = {subject_of(image) for pair in (*validation, *test) for image in pair}
    training = [pair for pair in _pairs(task, "training_paired_images") if not held & {subject_of(i) for i in pair}]
    if not training:
        images = [_clean(entry["image"]) for entry in _entries(task, "training")]
        training = _unpaired([image for image in images if subject_of(image) not in held], validation)
    names = _label_names(task)
    cases = []
    for split, pairs in (("train", training), ("validation", validation), ("test", test)):
        for pair in dict.fromkeys(pairs):
            entries = [listed.get(image, {}) for image in pair]
            points = next((key for key in POINTS if all(entry.get(key) for entry in entries)), None)
            scans = [
                _scan(root, image, entry, points, _modality(image, task, request))
                for image, entry in zip(pair, entries, strict=True)
            ]
            name = "-".join(_stem(image) for image in pair)
            load = partial(load_scans, *scans, points=read_points, label_names=names)
            files = (*scans[0].files, *scans[1].files)
            cases.append(PairFiles(name, subject_of(pair[0]), split, files, load))
    return cases


def read_points(path: Path, grid: Grid) -> FloatArray:
    """Landmarks in voxels from 0, separated by commas, as physical points."""
    return transform_points(grid.index_to_physical, read_rows(path, 3, delimiter=","))


def subject_of(image: str) -> str:
    """``"NAME_0011"`` of ``"imagesTr/NAME_0011_0001.nii.gz"``."""
    return _stem(image).rpartition("_")[0] or _stem(image)


def _clean(image: str) -> str:
    return image.removeprefix("./")


def _stem(image: str) -> str:
    return Path(image).name.removesuffix(".gz").removesuffix(".nii")


def _entries(task: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    """A list of images with their files; some tasks list the test images by name alone."""
    return [{"image": entry} if isinstance(entry, str) else entry for entry in task.get(key) or []]


def _pairs(task: Mapping[str, Any], key: str) -> list[tuple[str, str]]:
    return [(_clean(pair["fixed"]), _clean(pair["moving"])) for pair in task.get(key) or []]


def _unpaired(images: list[str], validation: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Pairs of images where a task lists none: scans 0 and 1 of a subject, else each image with the next subjects'."""
    kinds = sorted({_stem(image).rpartition("_")[2] for image in images})
    wanted = [_stem(image).rpartition("_")[2] for image in validation[0]] if validation else kinds[:2]
    fixed = [image for image in images if _stem(image).endswith(wanted[0])]
    moving = [image for image in images if _stem(image).endswith(wanted[-1])]
    own = {subject_of(image): image for image in moving}
    if wanted[0] != wanted[-1] and (not validation or subject_of(validation[0][0]) == subject_of(validation[0][1])):
        return [(image, own[subject_of(image)]) for image in fixed if subject_of(image) in own]
    pairs = []
    for i, image in enumerate(fixed):
        others = [m for m in (*moving[i + 1 :], *moving[: i + 1]) if subject_of(m) != subject_of(image)]
        pairs += [(image, other) for other in others[:HOPS]]
    return pairs


def _scan(root: Path, image: str, entry: Mapping[str, Any], points: str | None, modality: str) -> ScanFiles:
    """An image with the files that the JSON names for it."""
    named = {key: root / _clean(str(entry[key])) for key in ("label", "mask") if entry.get(key)}
    return ScanFiles(
        root / image,
        modality,
        labels=named.get("label"),
        mask=named.get("mask"),
        landmarks=None if points is None else (root / _clean(str(entry[points]))).with_name(f"{_stem(image)}.csv"),
    )


def _modality(image: str, task: Mapping[str, Any], request: Request) -> str:
    """By the number at the end of the name; a task of one modality lists it once."""
    kinds = task.get("modality") or {}
    number = str(int(_stem(image).rpartition("_")[2])) if _stem(image).rpartition("_")[2].isdigit() else "0"
    name = str(kinds.get(number, kinds.get("0", ""))).lower() if isinstance(kinds, Mapping) else str(kinds).lower()
    known = KINDS.get(name, "other")
    asked = {m for m in request.modalities if get_modality(m).mr}
    return asked.pop() if known == "mr" and len(asked) == 1 else known


def _label_names(task: Mapping[str, Any]) -> dict[int, str]:
    """Names of the labels, where the JSON gives them, for one modality or all."""
    labels = task.get("labels") or {}
    if labels and all(isinstance(value, Mapping) for value in labels.values()):
        labels = next(iter(labels.values()))
    return {int(k): str(v) for k, v in labels.items() if str(k).isdigit() and int(k) != 0}


LAYOUT = Layout("learn2reg", "a Learn2Reg task", TREE, find)
