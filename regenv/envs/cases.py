"""Cases: pairs made ready for rendering, with what is privileged kept apart and, on the test split, never kept."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from regenv.core.camera import Camera
from regenv.core.geometry import FloatArray, Grid, transform_points
from regenv.core.models import MatrixModel, TransformModel, get_model
from regenv.core.tre import lattice_points
from regenv.data.cache import MemoryCache
from regenv.data.dataset import Dataset
from regenv.data.pair import ImagePair, Truth
from regenv.envs.fits import fit_points
from regenv.envs.starts import draw_start
from regenv.envs.windows import RENDERED_HEADROOM, moving_values, windowed
from regenv.errors import DataError, WithheldError, near_miss
from regenv.task import PROJECTIONS

PREPARED_BYTES = 2**30
"""Memory that one environment keeps its prepared cases in, so that a later reset need not window them again."""


@dataclass(frozen=True, eq=False)
class Privileged:
    """What the truth says of one case; train and validation only.

    Attributes:
        transform: The true transform, or the nearest that the environment's model can say (least squares over the
            points): ``(d + 1, d + 1)``, or ``(K,)`` coefficients of a statistical deformation model.
        points: ``(N, d)`` fixed points on which the TRE is measured.
        true_points: ``(N, d)`` where they belong in the moving image.
        truth: All that is known.
    """

    transform: NDArray[np.float64]
    points: NDArray[np.float64]
    true_points: NDArray[np.float64]
    truth: Truth


@dataclass(frozen=True, eq=False)
class Case:
    """One pair, windowed to [0, 1] and ready to render.

    Attributes:
        id: The pair's id.
        modality: Of the fixed image.
        fixed: ``[z, y, x]`` float32 in [0, 1].
        fixed_background: Windowed value outside the fixed image.
        moving: ``[z, y, x]`` float32: in [0, 1], or in projection what rays are cast through (attenuation per mm, or CT
            numbers whose surface is seen).
        moving_background: Windowed value outside the moving image.
        window: Intensities that are shown as 0 and 1, of the fixed image; in projection of the rendered one as well.
        mask: float32 body mask on the fixed grid, or None for the whole image.
        fixed_grid: Where the fixed voxels lie.
        moving_grid: Where the moving voxels lie.
        frame: ``(d + 1, d + 1)``, the frame of the steps: mm along the fixed grid's axes about its centre (in
            projection along the first detector's, about the isocentre), to physical.
        alignment: ``(d + 1, d + 1)`` linear transform that a deformable environment is given.
        cameras: That took the fixed image.
        slice_mm: How thick the fixed image's slices are.
        privileged: What the truth says of poses; None where it is withheld or unknown.
        truth: All that is known, labels without points too; None where it is withheld.
    """

    id: str
    modality: str
    fixed: NDArray[np.float32]
    fixed_background: float
    moving: NDArray[np.float32]
    moving_background: float
    window: tuple[float, float]
    mask: NDArray[np.float32] | None
    fixed_grid: Grid
    moving_grid: Grid
    frame: FloatArray
    alignment: FloatArray
    cameras: tuple[Camera, ...]
    slice_mm: float
    privileged: Privileged | None
    truth: Truth | None = None

    @property
    def projects(self) -> bool:
        """Whether one X-ray camera sees it, so that errors along its normal are not counted."""
        return len(self.cameras) == 1 and self.modality == "xray"

    def bytes_held(self) -> int:
        """Memory of its images."""
        return self.fixed.nbytes + self.moving.nbytes + (0 if self.mask is None else self.mask.nbytes)


def privileged_of(pair: ImagePair, model: TransformModel | None = None) -> Privileged | None:
    """What the pair's truth says of a pose, or None where neither a transform nor enough points are known.

    Args:
        pair: The pair, with its truth.
        model: Of the environment; default rigid.
    """
    truth = pair.truth
    if truth is None:
        return None
    fixed, moving = truth.points_fixed, truth.points_moving
    if fixed is None and truth.transform is not None:
        fixed = lattice_points(pair.fixed_mask, pair.fixed.grid)
    if fixed is None:
        fixed, moving = truth.landmarks_fixed, truth.landmarks_moving
    if fixed is not None and moving is None and truth.transform is not None:
        moving = transform_points(truth.transform, fixed)
    if fixed is None or moving is None or (truth.transform is None and len(fixed) < pair.ndim):
        return None
    model = model or get_model("rigid", pair.ndim)
    if truth.transform is not None and isinstance(model, MatrixModel) and model.contains(truth.transform):
        return Privileged(truth.transform, fixed, moving, truth)
    return Privileged(fit_points(model, pair, fixed, moving), fixed, moving, truth)


class CaseSource:
    """Draws and prepares the cases of a data set.

    On the test split a prepared case carries no truth, ids are opaque indices, and neither the data set nor a true
    transform is an attribute of anything: a start is drawn where the truth is read, and only the start comes back. The
    draw is salted with the truth, so that who knows the generator's state cannot take the misalignment off the start.

    Args:
        dataset: Where pairs come from.
        model: Transform model of the environment.
        widths: ``(K,)`` half widths of the misalignment.
        imaging: How the moved image comes about, see :data:`regenv.task.IMAGINGS`.

    Attributes:
        name: Of the data set.
        split: Of the data set.
        withheld: Whether the truth is withheld.
        ids: Ids of the pairs.
    """

    def __init__(
        self, dataset: Dataset, model: TransformModel, widths: NDArray[np.float64], imaging: str = "volume"
    ) -> None:
        if len(dataset.ids) == 0:
            raise DataError(f"data set {dataset.name!r} has no pair in its {dataset.split!r} split; try another split")
        if dataset.ndim != model.ndim:
            raise DataError(f"data set {dataset.name!r} is {dataset.ndim}-D, the environment is {model.ndim}-D")
        self.name, self.split = dataset.name, dataset.split
        self.withheld = dataset.split == "test"
        self.ids = tuple(str(i) for i in range(len(dataset.ids))) if self.withheld else tuple(dataset.ids)
        self._index = {pair_id: i for i, pair_id in enumerate(self.ids)}
        self._prepared: MemoryCache[Case] = MemoryCache(PREPARED_BYTES)
        self._prepare, self._start = _readers(dataset, self.ids, self.withheld, model, widths, imaging)

    def __len__(self) -> int:
        return len(self.ids)

    def index(self, pair_id: object) -> int:
        """Number of a pair.

        Raises:
            ValueError: If there is none of that id; the message names the nearest.
        """
        if str(pair_id) not in self._index:
            raise ValueError(
                f"no pair {pair_id!r} in the {self.split} split of {self.name!r} ({len(self.ids)} pairs); "
                f"{near_miss(pair_id, self.ids[:10])}"
            )
        return self._index[str(pair_id)]

    def case(self, index: int) -> Case:
        """The prepared case; those used last are kept in memory."""
        return self._prepared.get(index, lambda: self._prepare(index), Case.bytes_held)

    def draw_start(self, index: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """A start for a pair: its true transform composed with a misalignment drawn from ``rng``.

        Raises:
            DataError: If the pair comes with neither a transform nor landmarks.
        """
        return self._start(self.case(index), index, rng)


def _readers(
    dataset: Dataset,
    ids: tuple[str, ...],
    withheld: bool,
    model: TransformModel,
    widths: NDArray[np.float64],
    imaging: str,
) -> tuple[Callable[[int], Case], Callable[[Case, int, np.random.Generator], NDArray[np.float64]]]:
    """The two functions that read pairs: one prepares a case, one draws a start. Only they know the data set."""

    def prepare(index: int) -> Case:
        pair = dataset.load(index)
        if model.name != "sdm":  # only a deformable environment is given it; to others it would tell the truth
            pair = replace(pair, alignment=None)
        if withheld:
            return make_case(replace(pair, truth=None), ids[index], imaging, None)
        return make_case(pair, ids[index], imaging, privileged_of(pair, model))

    def start(case: Case, index: int, rng: np.random.Generator) -> NDArray[np.float64]:
        if model.name == "sdm":
            return draw_start(rng, widths, model)
        privileged = case.privileged or privileged_of(dataset.load(index), model)
        # where no truth is known, about how the files' own frames lie
        about = dataset.load(index).alignment if privileged is None else privileged.transform
        if about is None:
            raise DataError(
                f"pair {ids[index]!r} of {dataset.name!r} has no true transform, landmarks or alignment to draw a "
                "start about; fill the manifest's column 'alignment', or pass a start: "
                'reset(options={"pair": ..., "start": matrix})'
            )
        if withheld:
            salt = np.frombuffer(hashlib.sha256((np.round(about, 6) + 0.0).tobytes()).digest(), dtype="<u4")
            rng = np.random.default_rng([int(rng.integers(2**32)), *salt.tolist()])
        return draw_start(rng, widths, model, about, case.frame)

    return prepare, start


def make_case(pair: ImagePair, case_id: str, imaging: str, privileged: Privileged | None) -> Case:
    """A pair made ready.

    Raises:
        DataError: If the pair is not one of this kind of imaging.
    """
    if imaging not in PROJECTIONS and pair.cameras:
        raise DataError(f"pair {case_id!r} has cameras, as for XRayCT-Rigid-v0; this environment shows {imaging}s")
    if imaging in PROJECTIONS and (imaging == "depth") != (pair.fixed.modality == "depth"):
        raise DataError(f"pair {case_id!r}: this environment needs a {imaging} image, got {pair.fixed.modality}")
    if imaging in PROJECTIONS and len(pair.cameras) != pair.fixed.grid.size[2]:
        raise DataError(
            f"pair {case_id!r}: projection needs a camera for each of {pair.fixed.grid.size[2]} fixed images, got "
            f"{len(pair.cameras)}; take the embedded data, or a Dataset of your own whose pairs have cameras"
        )
    d = pair.ndim
    headroom = RENDERED_HEADROOM if imaging == "radiograph" else 0.0
    fixed, fixed_background, window = windowed(pair.fixed, headroom)
    moving, moving_background = moving_values(pair.moving, imaging)
    return Case(
        id=case_id,
        modality=pair.fixed.modality,
        fixed=fixed,
        fixed_background=fixed_background,
        moving=moving,
        moving_background=moving_background,
        window=window,
        mask=None if pair.fixed_mask is None else np.ascontiguousarray(pair.fixed_mask, dtype=np.float32),
        fixed_grid=pair.fixed.grid,
        moving_grid=pair.moving.grid,
        frame=pair.cameras[0].frame if pair.cameras else pair.fixed.grid.frame,
        alignment=np.eye(d + 1) if pair.alignment is None else pair.alignment,
        cameras=pair.cameras,
        slice_mm=pair.fixed.grid.spacing[-1] if pair.slice_mm is None else pair.slice_mm,
        privileged=privileged,
        truth=pair.truth,
    )


def require_privileged(case: Case, what: str, withheld: bool) -> Privileged:
    """The case's privileged part.

    Raises:
        WithheldError: On the test split.
        DataError: If the data set does not know the truth of this pair.
    """
    if withheld:
        raise WithheldError(
            f"{what} needs the truth, which the test split withholds; use split='train' or 'validation'"
        )
    if case.privileged is None:
        raise DataError(
            f"{what} needs the truth, and pair {case.id!r} comes with neither a transform nor landmarks; give them, or "
            "take an agent and a reward that need none"
        )
    return case.privileged
