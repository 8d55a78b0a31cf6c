"""The embedded data set ``"shapes"``."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from regenv.core.geometry import Grid
from regenv.core.image import Image
from regenv.data.cache import digest
from regenv.data.frames import MAX_CROP, case_generator
from regenv.data.pair import ImagePair, Truth
from regenv.synthesis.procedural import Procedural, Whole, subject_seed
from regenv.synthesis.shapes import variants
from regenv.synthesis.shapes.acquisition import Acquisition, acquire, draw_contrasts, make_pools
from regenv.synthesis.shapes.anatomy import SIZE, TABLE, VERSION, Anatomy, make_anatomy

CASES = {"validation": 64, "test": 200}
_FIRST_SEED = 100_000
_VOXELS_OF_EXTENT = (1.0 / 96, 1.6 / 96)
"""Size of a voxel as a share of the view's width."""


class ShapesDataset(Procedural):
    """Random shapes, each seen in two random contrasts.

    Fixed and moving are two pictures of one anatomy, with intensities that may be related by a curve or not at all, and
    with their own blur, slices, noise, artefacts and field of view. The anatomy is rigid, so that the true transform is
    exact, unless ``population`` is given: then the fixed image is deformed by that model's modes, and a quarter as much
    by what they do not span.

    Args:
        split: ``"train"``, ``"validation"`` or ``"test"``; splits share no anatomy.
        ndim: 3, or 2 for slices.
        slabs: How many thick, oblique slices the fixed image is made of; 0 for a volume.
        extent_mm: Width of the view; a voxel is a 96th of it or a little more.
        population: Recipe and field of view whose population model deforms the fixed image; None for rigid pairs.
        subjects: How many anatomies to train on, each varied without end; None for no end.

    Raises:
        OptionError: On an unknown split.
    """

    name = "shapes"

    def __init__(
        self,
        split: str = "train",
        ndim: int = 3,
        slabs: int = 0,
        extent_mm: float = 192.0,
        population: tuple[str, str] | None = None,
        subjects: int | None = None,
    ) -> None:
        spec = {"ndim": ndim, "slabs": slabs, "extent_mm": extent_mm, "population": population}
        super().__init__(split, self.name, self.name, CASES, subjects, {"name": self.name, **spec})
        self.ndim = ndim
        self.mirrors = population is None
        self._slabs = slabs
        self._voxel_mm = (extent_mm * _VOXELS_OF_EXTENT[0], extent_mm * _VOXELS_OF_EXTENT[1])
        self._population = population

    @property
    def max_crop(self) -> tuple[float, float]:
        """See :class:`regenv.synthesis.procedural.Procedural`; where it is sliced or deformed, of the moving image."""
        plain = self.ndim == 3 and self._slabs == 0 and self._population is None
        return (MAX_CROP if plain else 0.0), MAX_CROP

    def whole(self, number: int) -> Whole:
        """See :class:`regenv.synthesis.procedural.Procedural`."""
        return Whole(self._variant(self._subject(number), number))

    def _variant(self, whole: ImagePair, number: int) -> ImagePair:
        """The subject as this kind of environment needs it; the same for all of its cases."""
        rng = case_generator("shapes-variant", self.split, number, self._population)
        if self.ndim == 2:
            whole = variants.flat(whole)
        if self._slabs:
            whole = variants.sliced(whole, rng, self._slabs)
        if self._population is not None:
            from regenv.synthesis.population import load_population

            whole = variants.deformed(whole, rng, load_population(*self._population))
        return whole

    def _generator(self, *case: object) -> np.random.Generator:
        return case_generator("shapes", self.split, *case)

    def _make(self, number: int) -> dict[str, NDArray[Any]]:
        return make_subject(_FIRST_SEED + subject_seed(self.split, number), self._voxel_mm)

    def _what(self, number: int) -> str:
        return f"shapes {self.split} {number}"

    def _key(self, number: int) -> str:
        seed = _FIRST_SEED + subject_seed(self.split, number)
        return digest("shapes", VERSION, seed=seed, voxel_mm=self._voxel_mm)

    def _subject(self, number: int) -> ImagePair:
        kept = self._kept(number)
        images = [
            Image(kept[role], _unpacked(kept[f"{role}_grid"], kept[role].shape), "shapes", float(kept["background"][i]))
            for i, role in enumerate(("fixed", "moving"))
        ]
        masks = kept["fixed_mask"].astype(bool), kept["moving_mask"].astype(bool)
        return ImagePair("", "", images[0], images[1], masks[0], masks[1], Truth(transform=np.eye(4)))


def make_subject(seed: int, voxel_mm: tuple[float, float] = (2.0, 3.2)) -> dict[str, NDArray[Any]]:
    """An anatomy and two pictures of it, as arrays to be cached; ``voxel_mm`` is the range of the voxels' size."""
    rng = case_generator("shapes-scan", seed)
    anatomy = make_anatomy(seed)
    pools = make_pools(seed)
    voxel = float(rng.uniform(*voxel_mm))
    tables, gains = draw_contrasts(rng)
    arrays: dict[str, NDArray[Any]] = {}
    backgrounds = []
    for i, role in enumerate(("fixed", "moving")):
        picture = acquire(anatomy, tables[i], gains[i], rng, pools, voxel)
        image, mask = as_image(picture, anatomy, voxel)
        arrays[role], arrays[f"{role}_mask"] = image.array, mask.astype(np.uint8)
        arrays[f"{role}_grid"] = np.vstack([image.grid.direction, image.grid.origin, image.grid.spacing])
        backgrounds.append(image.background)
    arrays["background"] = np.array(backgrounds)
    return arrays


def as_image(picture: Acquisition, anatomy: Anatomy, voxel_mm: float) -> tuple[Image, NDArray[np.bool_]]:
    """A picture as an image in the anatomy's frame (mm from its centre), and the mask of the body that it shows."""
    from regenv.core.labels import label_resample

    spacing = voxel_mm / picture.scale
    whole = Grid(
        picture.array.shape[::-1],
        tuple(spacing),
        tuple(-picture.shift * spacing - voxel_mm * (SIZE - 1) / 2),
        np.eye(3),
    )
    index = [picture.scale * edge + picture.shift for edge in (picture.low, picture.high)]
    first = np.maximum(np.ceil(index[0] - 1e-6), 0).astype(int)
    last = np.minimum(np.floor(index[1] + 1e-6), np.array(whole.size) - 1).astype(int)
    array = picture.array[first[2] : last[2] + 1, first[1] : last[1] + 1, first[0] : last[0] + 1].copy()
    grid = whole.crop(first, last - first + 1)
    position = (grid.points() / voxel_mm + (SIZE - 1) / 2).reshape(-1, 3)
    outside = ~picture.shows(position).reshape(array.shape)
    array[outside] = picture.background
    body = ((anatomy.labels != 0) & (anatomy.labels != TABLE)).astype(np.uint8)
    labels_grid = Grid.centred((SIZE,) * 3, (voxel_mm,) * 3)
    mask = label_resample(body, labels_grid, grid).astype(bool) & ~outside
    return Image(array, grid, "shapes", picture.background), mask


def _unpacked(packed: NDArray[np.float64], shape: tuple[int, ...]) -> Grid:
    return Grid(shape[::-1], tuple(packed[4]), tuple(packed[3]), packed[:3])
