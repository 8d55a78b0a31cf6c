"""Procedural patients scanned twice: the embedded data set ``"phantom"``.

A subject is an anatomy drawn from a seed; its scans are made by the physics of each modality. Splits are disjoint
subjects. A case shows one subject in a physical frame and crops of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regenv.core.geometry import Grid
from regenv.core.image import Image
from regenv.core.lanes import get_num_threads
from regenv.data.cache import MemoryCache, cached, digest, is_cached, progress
from regenv.data.frames import case_generator, with_random_frame
from regenv.data.pair import ImagePair, Truth
from regenv.errors import check_option

VERSION = 8
"""Part of every cache key: raised whenever the same seed gives other images."""

SUBJECTS = {"train": 24, "validation": 8, "test": 40}
CASES = {"train": 48, "validation": 16, "test": 200}
_FIRST_SEED = {"train": 0, "validation": 10_000, "test": 20_000}
_MODALITIES = ("ct", "cbct")
_ANATOMY_MM = {"torso": 2.4, "spine": 2.0, "heart": 2.0, "head_and_neck": 2.0}
_TILT_DEG = 10.0
"""How differently the patient may lie in the second scan: or the headers' axes alone would tell the rotation."""

# what a cone-beam scan of each field of view is centred on: range of z in mm of the subject, radius and height range
_CONE = {
    "torso": ((-110.0, 60.0), None, (170.0, 215.0)),
    "spine": ((-150.0, -70.0), (88.0, 120.0), (150.0, 190.0)),
    "heart": ((-25.0, 5.0), (95.0, 125.0), (140.0, 180.0)),
    "head_and_neck": ((240.0, 305.0), (105.0, 128.0), (180.0, 215.0)),
}


class PhantomDataset:
    """Procedural CT and cone-beam CT of the same patient.

    In CT-CBCT registration the fixed image is the CBCT, taken on the table, and the moving one is the CT, taken for
    planning: ``modalities=("cbct", "ct")``. Any other order or choice of the two works as well; two scans of one
    modality differ in noise, contrast medium, grid and pose. The patient lies differently in the second scan (up to
    10 degrees about each axis), but is rigid: the true transform is exact.

    The fixed mask is the patient within the scanner's field of view, so that TRE is measured where the fixed image
    shows something.

    Args:
        split: ``"train"``, ``"validation"`` or ``"test"``.
        modalities: Of the fixed and of the moving image, each ``"ct"`` or ``"cbct"``.
        field_of_view: ``"torso"``, ``"spine"``, ``"heart"`` or ``"head_and_neck"``.

    Raises:
        OptionError: On an unknown option.
    """

    name = "phantom"
    ndim = 3

    def __init__(
        self, split: str = "train", modalities: Sequence[str] = ("cbct", "ct"), field_of_view: str = "torso"
    ) -> None:
        check_option("split", split, tuple(SUBJECTS))
        check_option("field_of_view", field_of_view, tuple(_CONE))
        for modality in modalities:
            check_option("modality", modality, _MODALITIES)
        self.split = split
        self.modalities = (str(modalities[0]), str(modalities[1]))
        self.field_of_view = field_of_view
        n = SUBJECTS[split]
        cases = range(CASES[split])
        self.ids = tuple(f"phantom-{field_of_view}-{split}-{i:04d}" for i in cases)
        self.subjects = tuple(f"phantom-{split}-{i % n:02d}" for i in cases)
        self._held: MemoryCache[ImagePair] = MemoryCache(256 * 2**20)

    def load(self, index: int) -> ImagePair:
        """Case ``index``: subject ``index % n``, in a frame and with crops that ``split`` and ``index`` decide."""
        if not 0 <= index < len(self.ids):
            raise IndexError(f"pair {index} of {len(self.ids)} in {self.name} ({self.split})")
        number = index % SUBJECTS[self.split]
        whole = self._held.get(number, lambda: self._subject(number), _bytes)
        rng = case_generator("phantom", self.field_of_view, self.split, index)
        moved = with_random_frame(whole, rng)
        return replace(moved, id=self.ids[index], subject=self.subjects[index])

    def prepare(self) -> None:
        """Makes the subjects that the cache has not got yet, with a progress bar, so that no reset has to.

        The test split has many subjects of which a run may want a few: they are made when they are asked for.
        """
        missing = [n for n in range(SUBJECTS[self.split]) if not is_cached(self._key(n))]
        if self.split == "test" or not missing:
            return
        what = f"making {len(missing)} {self.field_of_view} phantoms ({self.split}), once"
        with progress(what, len(missing)) as advance, ThreadPoolExecutor(get_num_threads()) as pool:
            for _ in pool.map(self._kept, missing):
                advance()

    def _subject(self, number: int) -> ImagePair:
        """Both scans of one subject in its own space, from the cache or made."""
        return _unpack(self._kept(number), self.modalities)

    def _kept(self, number: int) -> dict[str, NDArray[Any]]:
        """A subject's arrays, from the cache or made."""
        return cached(
            self._key(number),
            lambda: make_subject(_FIRST_SEED[self.split] + number, self.modalities, self.field_of_view),
            what=f"phantom {self.field_of_view} {self.split} {number}",
        )

    def _key(self, number: int) -> str:
        from regenv.data.modality import cbct

        return digest(
            "phantom",
            VERSION,
            physics=cbct.VERSION,
            seed=_FIRST_SEED[self.split] + number,
            modalities=self.modalities,
            field_of_view=self.field_of_view,
        )


def make_subject(seed: int, modalities: tuple[str, str], field_of_view: str) -> dict[str, NDArray[Any]]:
    """Builds an anatomy and scans it twice.

    Args:
        seed: The subject.
        modalities: Of the fixed and the moving scan.
        field_of_view: As in :class:`PhantomDataset`.

    Returns:
        Arrays by name, as they are cached: per role ``fixed`` and ``moving`` the image (int16), its grid, body mask and
        organ labels; the landmarks.
    """
    anatomy = _anatomy(seed, field_of_view)
    arrays: dict[str, NDArray[Any]] = {
        "landmarks": np.array(list(anatomy.landmarks.values())).reshape(-1, 3),
        "landmark_names": np.array(list(anatomy.landmarks), dtype="U40"),
    }
    from regenv.core.resample import label_resample

    for role, modality in zip(("fixed", "moving"), modalities, strict=True):
        rng = case_generator("phantom-scan", seed, field_of_view, role, modality)
        image = _scan(anatomy, modality, field_of_view, rng)
        grid = image.grid
        # the body rides on the labels' highest bit: one look-up for both
        both = label_resample(anatomy.organ | (anatomy.body.astype(np.uint8) << 7), anatomy.grid, grid)
        body = both >= 128
        if modality == "cbct":
            body &= image.array > image.background
        arrays[f"{role}_image"] = image.array.astype(np.int16)
        arrays[f"{role}_mask"] = body
        arrays[f"{role}_labels"] = (both & 127).astype(np.uint8)
        arrays[f"{role}_grid"] = np.vstack([grid.direction, grid.origin, grid.spacing])
    return arrays


def _anatomy(seed: int, field_of_view: str):  # type: ignore[no-untyped-def]
    """The subject's anatomy on the grid that its scans are made from."""
    from regenv.data.anatomy.torso import torso

    return torso(seed, _ANATOMY_MM[field_of_view], field_of_view)


def _scan(anatomy, modality: str, field_of_view: str, rng: np.random.Generator) -> Image:  # type: ignore[no-untyped-def]
    """One scan of an anatomy."""
    if modality == "ct":
        from regenv.data.modality.ct import ct

        return ct(anatomy, rng)
    return _cone_beam_scan(anatomy, field_of_view, rng)


def _cone_beam_scan(anatomy, field_of_view: str, rng: np.random.Generator) -> Image:  # type: ignore[no-untyped-def]
    """A CBCT about what the field of view names, with the patient lying a few degrees differently."""
    from regenv.core.resample import resample
    from regenv.data.anatomy.shapes import rotation
    from regenv.data.modality.cbct import cbct_from_attenuation, draw_scanner
    from regenv.data.modality.common import add_table, hounsfield

    levels, radii, heights = _CONE[field_of_view]
    scanner = replace(draw_scanner(rng), height_mm=float(rng.uniform(*heights)))
    if radii is not None:
        scanner = replace(scanner, radius_mm=float(rng.uniform(*radii)), pixel_mm=float(rng.uniform(2.0, 2.4)))
    contrast = float(rng.uniform(40, 200)) if rng.random() < 0.25 else 0.0
    hu = hounsfield(anatomy, contrast, venous=float(rng.uniform(0.4, 1.2)))
    isocentre = _isocentre(anatomy, field_of_view, float(rng.uniform(*levels)), scanner.height_mm)
    isocentre = isocentre + rng.normal(0, 5, 3)
    # the patient in this scanner's axes
    axes = rotation(*rng.uniform(-_TILT_DEG, _TILT_DEG, 3))
    extent = np.array([400.0, 330.0, scanner.height_mm * 1.1])
    centre = isocentre + axes @ np.array([0.0, 20.0, 0.0])
    spacing = 2.4 if scanner.radius_mm < 150 else 2.8
    grid = Grid.centred([int(n) for n in extent / spacing], (spacing,) * 3, centre, axes)
    turned, _ = resample(hu, grid)
    volume = add_table(Image(turned, grid, "ct", hu.background), rng, curved=False)
    return cbct_from_attenuation(volume, rng, scanner=scanner, isocentre=isocentre)


def _isocentre(anatomy, field_of_view: str, z: float, height: float) -> NDArray[np.float64]:  # type: ignore[no-untyped-def]
    """Centre of the reconstruction in mm of the subject."""
    grid = anatomy.grid
    # the scan must not run out of the patient that was built
    low = grid.origin[2] + height / 2 + 15
    high = grid.origin[2] + grid.extent[2] - height / 2 - 15
    z = float(np.clip(z, min(low, high), max(low, high)))
    row = int(np.clip((z - grid.origin[2]) / grid.spacing[2], 0, grid.size[2] - 1))
    rows, columns = np.nonzero(anatomy.body[row])
    middle = np.array([columns.mean() * grid.spacing[0], rows.mean() * grid.spacing[1]]) + np.asarray(grid.origin[:2])
    if field_of_view == "spine":
        bodies = np.array([p for name, p in anatomy.landmarks.items() if name.endswith("_body")])
        nearest = bodies[np.argmin(np.abs(bodies[:, 2] - z))]
        return np.array([nearest[0], nearest[1] - 8.0, z])
    if field_of_view == "heart" and "heart_centre" in anatomy.landmarks:
        return np.array([*(0.75 * anatomy.landmarks["heart_centre"][:2] + 0.25 * middle), z])
    return np.array([middle[0], middle[1], z])


def _unpack(kept: Mapping[str, NDArray[Any]], modalities: tuple[str, str]) -> ImagePair:
    """The cached arrays as a pair in the subject's own space."""
    from regenv.data.anatomy.tissues import ORGAN_NAMES

    images, masks, labels = [], [], []
    for role, modality in zip(("fixed", "moving"), modalities, strict=True):
        array = kept[f"{role}_image"].astype(np.float32)
        frame = kept[f"{role}_grid"]
        grid = Grid(array.shape[::-1], tuple(frame[4]), tuple(frame[3]), frame[:3])
        images.append(Image(array, grid, modality, -1000.0))
        masks.append(kept[f"{role}_mask"])
        labels.append(kept[f"{role}_labels"])
    points, names = kept["landmarks"], [str(n) for n in kept["landmark_names"]]
    seen = [_in_mask(masks[0], images[0].grid, p) and _in_mask(masks[1], images[1].grid, p) for p in points]
    points = points[seen]
    truth = Truth(
        transform=np.eye(4),
        landmarks_fixed=points,
        landmarks_moving=points.copy(),
        landmark_names=tuple(n for n, s in zip(names, seen, strict=True) if s),
        labels_fixed=labels[0],
        labels_moving=labels[1],
        label_names=ORGAN_NAMES,
    )
    return ImagePair("", "", images[0], images[1], masks[0], masks[1], truth)


def _in_mask(mask: NDArray[np.bool_], grid: Grid, point: NDArray[np.float64]) -> bool:
    """Whether the voxel nearest to a physical point is in a mask."""
    index = np.rint(grid.physical_to_index[:3, :3] @ point + grid.physical_to_index[:3, 3]).astype(int)
    if np.any(index < 0) or np.any(index >= grid.size):
        return False
    return bool(mask[tuple(index[::-1])])


def _bytes(pair: ImagePair) -> int:
    """Memory that a pair takes."""
    arrays: list[NDArray[Any] | None] = [pair.fixed.array, pair.moving.array, pair.fixed_mask, pair.moving_mask]
    if pair.truth is not None:
        arrays += [pair.truth.labels_fixed, pair.truth.labels_moving]
    return sum(a.nbytes for a in arrays if a is not None)
