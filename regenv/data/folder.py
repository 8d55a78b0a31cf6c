"""A folder of real pairs as a data set: ``dataset="folder:PATH"``."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regenv.core.geometry import FloatArray, Grid
from regenv.core.image import Image
from regenv.core.labels import label_resample
from regenv.data import manifest
from regenv.data.cache import MemoryCache
from regenv.data.frames import case_generator, tilt_moving, with_random_frame
from regenv.data.image_io import check_same_grid, read_header, read_image, read_labels
from regenv.data.landmark_files import check_inside, read_landmarks
from regenv.data.manifest import Row
from regenv.data.packing import bytes_held
from regenv.data.pair import ImagePair, Truth
from regenv.data.transform_files import overlap, read_transform
from regenv.errors import DataError
from regenv.poses import pose_model

Simulate = Callable[[Image, str], Image]
"""Makes a CBCT from a CT and a name."""


class FolderDataset:
    """Pairs of image files that a manifest, ``pairs.csv``, lists.

    The manifest has a row per pair and the columns of :data:`regenv.data.manifest.COLUMNS`; ``fixed`` and ``moving``
    suffice. Paths are relative to the manifest. A folder without a manifest may hold exactly two images, ``fixed.*``
    and ``moving.*``.

    What is known of the truth decides what can be measured: ``transform`` (TRE over the body), ``aligned`` (the files
    lie in one frame, so that the truth is exact: each case moves the moving subject into a random physical frame, by
    its header alone, and crops both images), landmarks (TRE over them), labels (overlap). ``simulate=cbct`` makes the
    missing image from the given CT, so that CTs alone give pairs with an exact truth.

    Environments of a deformable model are given ``alignment`` and find what is left; their pairs get a random frame
    where asked for, but are neither turned nor cropped, since the model lies about the middle of the fixed image.

    All rows are checked when the data set is made: files, headers, geometry, landmarks, transforms. Voxels are read
    when a pair is loaded. Nothing is skipped: a row that cannot be used is an error.

    Args:
        path: The folder, or the manifest in it.
        split: Which rows serve; without a ``split`` column all rows are ``"test"``.
        modalities: Of fixed and moving image, for rows that do not say.
        model: Transform model that the true transforms must belong to.
        ndim: 2 or 3; images of another dimension are refused.
        single_slice: Whether the fixed image may be a volume of one slice.
        simulate: Makes a CBCT from a CT and the row's id, for rows that ask for it;
            :func:`regenv.datasets.make_dataset` gives one.

    Attributes:
        name: ``"folder:PATH"``.
        split: As given.
        ndim: As given.
        ids: One per case: the row's id, followed by ``#k`` where the row makes several cases.
        subjects: One per case.

    Raises:
        DataError: If anything cannot be used; the message names manifest, line, file and mend.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        split: str = "test",
        modalities: Sequence[str] = ("cbct", "ct"),
        model: str = "rigid",
        ndim: int = 3,
        single_slice: bool = False,
        simulate: Simulate | None = None,
    ) -> None:
        place = Path(path).expanduser().absolute()
        self.name = f"folder:{path}"
        self.split = split
        self.ndim = ndim
        self.model = model
        self._simulate = simulate
        self._manifest, rows = _find_rows(place, modalities)
        problems = []
        for row in rows:
            try:
                check_row(row, ndim, model, single_slice)
            except DataError as error:
                problems.append(f"line {row.line}: {error}")
        manifest.raise_problems(self._manifest, problems)
        self._cases = [(row, k) for row in rows if row.split == split for k in range(row.cases)]
        if not self._cases:
            raise DataError(_no_rows(self._manifest, split, rows))
        self.ids = tuple(row.id if row.cases == 1 else f"{row.id}#{k}" for row, k in self._cases)
        self.subjects = tuple(row.subject for row, _ in self._cases)
        self._memory: MemoryCache[ImagePair] = MemoryCache()

    def __len__(self) -> int:
        return len(self.ids)

    def load(self, index: int) -> ImagePair:
        """Pair ``index`` with its truth.

        Args:
            index: From 0 to ``len(ids) - 1``.

        Returns:
            The pair; its arrays must not be written to.

        Raises:
            DataError: If voxels cannot be used; the message names manifest, line, file and mend.
        """
        row, k = self._cases[index]
        if not row.random_frame:
            return self._memory.get(("row", row.line), lambda: self._load_row(row), bytes_held)

        def framed() -> ImagePair:
            base = self._memory.get(("row", row.line), lambda: self._load_row(row), bytes_held)
            rng = case_generator("folder", row.id, k)
            # Where landmarks are the only truth, a crop would cut some of it off.
            known = base.truth is not None and base.truth.transform is not None
            deformable = pose_model(self.model).takes_alignment
            base = base if deformable else tilt_moving(base, rng)
            pair = (
                with_random_frame(base, rng) if known and not deformable else with_random_frame(base, rng, max_crop=0.0)
            )
            return replace(pair, id=self.ids[index])

        return self._memory.get(("case", index), framed, bytes_held)

    def _load_row(self, row: Row) -> ImagePair:
        try:
            return load_row(row, self.ndim, self._simulate)
        except DataError as error:
            raise DataError(f"{self._manifest.name} line {row.line}: {error}") from error


def check_row(row: Row, ndim: int, model: str, single_slice: bool = False) -> None:
    """Checks all that a row names, short of reading voxels.

    Args:
        row: The row.
        ndim: 2 or 3.
        model: Name of the transform model.
        single_slice: Whether the fixed image may be a volume of one slice.

    Raises:
        DataError: What is wrong and how to mend it, without the manifest's name and line.
    """
    if row.simulate and ndim != 3:
        raise DataError(
            f"simulate needs a volume, and this environment registers {ndim}-D images; use a 3-D environment"
        )
    fixed = read_header(row.fixed, ndim=ndim, single_slice=single_slice).grid
    moving = fixed if row.moving == row.fixed else read_header(row.moving, ndim=ndim).grid
    for side, grid in (("fixed", fixed), ("moving", moving)):
        for what in ("mask", "labels"):
            path = getattr(row, f"{side}_{what}")
            if path is not None:
                check_same_grid(read_header(path, ndim=ndim, single_slice=min(grid.size) == 1), grid)
    landmarks = _read_landmark_pair(row, fixed, moving)
    if landmarks is not None and not row.aligned and row.transform is None:
        _check_enough(landmarks[0], Path(row.fixed_landmarks or "").name)
    transform = np.eye(ndim + 1) if row.aligned else None
    if row.transform is not None:
        transform = read_transform(Path(row.transform), ndim, model)
    if transform is not None and overlap(fixed, moving, transform) == 0:
        given = "the files' own frames" if row.aligned else f"transform {Path(row.transform or '').name}"
        raise DataError(
            f"{Path(row.fixed).name} and {Path(row.moving).name} do not overlap under {given}; the transform must map "
            "fixed points to moving points (what ITK resamples with), in LPS mm"
        )
    _check_alignment(row, fixed, moving, model)


def _check_alignment(row: Row, fixed: Grid, moving: Grid, model: str) -> None:
    """Raises where the alignment cannot be read, or a deformable environment would begin beside the moving image."""
    alignment = read_alignment(row, fixed, moving)
    if (row.alignment is None and not pose_model(model).takes_alignment) or overlap(
        fixed, moving, np.eye(fixed.ndim + 1) if alignment is None else alignment
    ) > 0:
        return
    file = row.alignment is not None and row.alignment not in manifest.ALIGNMENTS
    given = f"alignment {Path(row.alignment or '').name}" if file else "the files' own frames"
    raise DataError(
        f"{Path(row.fixed).name} and {Path(row.moving).name} do not overlap under {given}; give a linear transform "
        "from fixed to moving points, or 'centres', as alignment"
    )


def read_alignment(row: Row, fixed: Grid, moving: Grid) -> FloatArray | None:
    """The linear transform that a deformable environment is given, fixed to moving; None where nothing is known.

    Args:
        row: The row.
        fixed: Grid of the fixed image.
        moving: Grid of the moving image.

    Raises:
        DataError: If its file cannot be used.
    """
    d = fixed.ndim
    matrix = np.eye(d + 1)
    if row.alignment == "centres":
        matrix[:d, d] = moving.centre - fixed.centre
        return matrix
    if row.alignment is not None and row.alignment != "identity":
        if not Path(row.alignment).is_file():
            raise DataError(
                f"alignment {row.alignment} is no file, and neither 'identity' nor 'centres'; give one of them"
            )
        return read_transform(Path(row.alignment), d, "affine")
    if row.alignment is None and row.transform is not None:
        return read_transform(Path(row.transform), d, "affine")
    known = row.aligned or row.fixed_landmarks is not None or row.fixed_labels is not None
    return matrix if known or row.alignment == "identity" else None


def load_row(row: Row, ndim: int, simulate: Simulate | None = None) -> ImagePair:
    """Reads the images, masks, labels and truth of a row, in the frames of the files.

    Args:
        row: A checked row.
        ndim: 2 or 3.
        simulate: Makes the CBCT of a row that asks for it.

    Returns:
        The pair.

    Raises:
        DataError: What is wrong and how to mend it, without the manifest's name and line.
    """
    if row.simulate:
        return _load_simulated(row, ndim, simulate)
    fixed = read_image(row.fixed, row.fixed_modality, ndim=ndim, single_slice=True)  # as check_row has let through
    same = row.moving == row.fixed
    moving = (
        replace(fixed, modality=row.moving_modality)
        if same and row.moving_modality == row.fixed_modality
        else read_image(row.moving, row.moving_modality, ndim=ndim)
    )
    transform = np.eye(ndim + 1) if row.aligned else None
    if row.transform is not None:
        transform = read_transform(Path(row.transform), ndim, "affine")
    landmarks = _read_landmark_pair(row, fixed.grid, moving.grid)
    truth = Truth(
        transform=transform,
        landmarks_fixed=landmarks[0] if landmarks else None,
        landmarks_moving=landmarks[1] if landmarks else None,
        landmark_names=landmarks[2] if landmarks else (),
        labels_fixed=_read_labels(row.fixed_labels, fixed.grid),
        labels_moving=_read_labels(row.moving_labels, moving.grid),
    )
    known = any(v is not None for v in (truth.transform, truth.landmarks_fixed, truth.labels_fixed))
    return ImagePair(
        row.id,
        row.subject,
        fixed,
        moving,
        _read_mask(row.fixed_mask, fixed.grid),
        _read_mask(row.moving_mask, moving.grid),
        truth if known else None,
        read_alignment(row, fixed.grid, moving.grid),
        slice_mm=row.slice_mm,
    )


def _find_rows(place: Path, modalities: Sequence[str]) -> tuple[Path, tuple[Row, ...]]:
    """The manifest's path and rows; without a manifest, of the two images ``fixed.*`` and ``moving.*``."""
    if place.is_file():
        return place, manifest.read_manifest(place, modalities)
    if not place.is_dir():
        raise DataError(f"{place} does not exist; a folder of pairs looks like this:\n{manifest.expected_tree(place)}")
    path = place / manifest.NAME
    if path.is_file():
        return path, manifest.read_manifest(path, modalities)
    found = {
        side: [p for p in place.glob(f"{side}.*") if p.suffix not in (".raw", ".zraw", ".img")]
        for side in ("fixed", "moving")
    }
    if len(found["fixed"]) == 1 and len(found["moving"]) == 1:
        row = Row(
            1,
            place.name,
            place.name,
            "test",
            str(found["fixed"][0]),
            str(found["moving"][0]),
            modalities[0],
            modalities[1],
        )
        return path, (row,)
    near = [p.name for p in sorted(place.glob("*.csv"))]
    seen = f" (it has {', '.join(near)}: rename the manifest to {manifest.NAME})" if near else ""
    raise DataError(f"{place} has no {manifest.NAME}{seen}; it should look like this:\n{manifest.expected_tree(place)}")


def _no_rows(path: Path, split: str, rows: Sequence[Row]) -> str:
    counts = {name: sum(row.split == name for row in rows) for name in ("train", "validation", "test")}
    has = ", ".join(f"{name}: {n}" for name, n in counts.items() if n)
    other = next(name for name, n in counts.items() if n)
    return (
        f"{path.name} has no row of split {split!r} (it has {has}); make the environment with split={other!r}, or fill "
        f"the column 'split' of {path}"
    )


def _read_landmark_pair(row: Row, fixed: Grid, moving: Grid) -> tuple[FloatArray, FloatArray, tuple[str, ...]] | None:
    """Both sides' landmarks, checked; a simulated image shares those of its CT."""
    sides = {"fixed": (row.fixed_landmarks, fixed, row.fixed), "moving": (row.moving_landmarks, moving, row.moving)}
    if row.simulate:
        given = row.fixed_landmarks or row.moving_landmarks
        sides = {"fixed": (given, fixed, row.fixed), "moving": (given, moving, row.moving)}
    if sides["fixed"][0] is None:
        return None
    read = {}
    for side, (path, grid, image) in sides.items():
        points, names = read_landmarks(Path(path or ""), grid)
        check_inside(Path(path or ""), points, grid, Path(image).name)
        read[side] = (points, names)
    n_fixed, n_moving = len(read["fixed"][0]), len(read["moving"][0])
    if n_fixed != n_moving:
        raise DataError(
            f"landmarks {Path(sides['moving'][0] or '').name} has {n_moving} points, "
            f"{Path(sides['fixed'][0] or '').name} has {n_fixed}"
        )
    names_fixed, names_moving = read["fixed"][1], read["moving"][1]
    if names_fixed and names_moving and names_fixed != names_moving:
        first = next(i for i, (a, b) in enumerate(zip(names_fixed, names_moving, strict=True)) if a != b)
        raise DataError(
            f"landmarks {Path(sides['moving'][0] or '').name}: point {first + 1} is {names_moving[first]!r} and in "
            f"{Path(sides['fixed'][0] or '').name} {names_fixed[first]!r}; list both in the same order"
        )
    return read["fixed"][0], read["moving"][0], names_fixed or names_moving


def _check_enough(points: FloatArray, name: str) -> None:
    """Raises unless the points fix a rotation: as many as dimensions, and not on one line."""
    d = points.shape[1]
    spread = np.linalg.svd(points - points.mean(axis=0), compute_uv=False)
    if len(points) < d or spread[d - 2] < 1.0:
        why = f"{len(points)} points" if len(points) < d else "points on one line"
        raise DataError(
            f"landmarks {name} has {why}: they do not tell how the images lie to each other; give {d} or more that do, "
            "or a transform"
        )


def _read_mask(path: str | None, grid: Grid) -> NDArray[np.bool_] | None:
    if path is None:
        return None
    mask = read_labels(path, grid) != 0
    if not mask.any():
        raise DataError(f"mask {Path(path).name} is empty; give a mask that is not 0 inside the body, or none")
    return mask


def _read_labels(path: str | None, grid: Grid) -> NDArray[np.int32] | None:
    if path is None:
        return None
    labels = read_labels(path, grid)
    if not labels.any():
        raise DataError(f"labels {Path(path).name} are 0 everywhere; give a label map with structures, or none")
    return labels


def _load_simulated(row: Row, ndim: int, simulate: Simulate | None) -> ImagePair:
    """A CT and the CBCT made from it, which lie in one frame."""
    if simulate is None:
        raise DataError("an image is to be simulated, and no simulator was given; use regenv.datasets.make_dataset")
    ct_side = "moving" if row.simulate == "fixed" else "fixed"
    ct = read_image(row.moving, "ct", ndim=ndim)
    cbct = simulate(ct, row.id)
    mask = _read_mask(getattr(row, f"{ct_side}_mask"), ct.grid)
    labels = _read_labels(getattr(row, f"{ct_side}_labels"), ct.grid)
    landmarks = _read_landmark_pair(row, ct.grid, ct.grid)
    images: dict[str, Image] = {ct_side: ct, str(row.simulate): cbct}
    masks: dict[str, Any] = {side: _on_grid(mask, ct.grid, image.grid) for side, image in images.items()}
    seen = cbct.array != cbct.background  # outside its cylinder a cone-beam image shows nothing
    masks[str(row.simulate)] = seen if mask is None else seen & masks[str(row.simulate)]
    maps: dict[str, Any] = {side: _on_grid(labels, ct.grid, image.grid) for side, image in images.items()}
    truth = Truth(
        transform=np.eye(ndim + 1),
        landmarks_fixed=landmarks[0] if landmarks else None,
        landmarks_moving=landmarks[1] if landmarks else None,
        landmark_names=landmarks[2] if landmarks else (),
        labels_fixed=maps["fixed"],
        labels_moving=maps["moving"],
    )
    return ImagePair(
        *(row.id, row.subject, images["fixed"], images["moving"], masks["fixed"], masks["moving"], truth),
        alignment=np.eye(ndim + 1),
    )


def _on_grid(array: NDArray[Any] | None, grid: Grid, target: Grid) -> NDArray[Any] | None:
    """Labels of one grid at the voxel centres of another in the same frame, nearest neighbour, 0 outside."""
    if array is None or (grid.size == target.size and np.allclose(grid.index_to_physical, target.index_to_physical)):
        return array
    return label_resample(array, grid, target)
