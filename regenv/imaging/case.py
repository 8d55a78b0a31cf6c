"""Cases: pairs made ready for rendering, with the truth kept apart and, where it is withheld, not kept at all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regenv.core.geometry import transform_points
from regenv.core.points import lattice_points
from regenv.core.scene import Scene, Target
from regenv.data.pair import ImagePair, Truth
from regenv.errors import DataError, WithheldError
from regenv.imaging.base import Imaging
from regenv.imaging.windows import windowed
from regenv.poses.base import PoseModel


@dataclass(frozen=True, eq=False)
class Case:
    """One pair, windowed to [0, 1] and ready to render.

    Attributes:
        id: The pair's id.
        subject: Whose images they are.
        scene: Where they lie: all of a case that has no pixels.
        fixed: ``[z, y, x]`` float32 in [0, 1].
        fixed_background: Windowed value outside the fixed image.
        moving: ``[z, y, x]`` float32: in [0, 1], or in projection what rays are cast through (attenuation per mm, or CT
            numbers whose surface is seen).
        moving_background: Windowed value outside the moving image.
        window: Intensities that are shown as 0 and 1, of the fixed image; in projection of the rendered one as well.
        mask: float32 body mask on the fixed grid, or None for the whole image.
        target: What the truth says of poses; None where it is withheld or unknown.
        truth: All that is known, labels without points too; None where it is withheld.
    """

    id: str
    subject: str
    scene: Scene
    fixed: NDArray[np.float32]
    fixed_background: float
    moving: NDArray[np.float32]
    moving_background: float
    window: tuple[float, float]
    mask: NDArray[np.float32] | None
    target: Target | None
    truth: Truth | None = None

    def bytes_held(self) -> int:
        """Memory of its images."""
        return self.fixed.nbytes + self.moving.nbytes + (0 if self.mask is None else self.mask.nbytes)


def make_case(pair: ImagePair, case_id: str, imaging: Imaging, poses: PoseModel) -> Case:
    """A pair made ready. Its truth is kept with it, so the caller takes that off where it is withheld.

    Raises:
        DataError: If the pair is not one of this kind of imaging.
    """
    imaging.check(pair, case_id)
    fixed, fixed_background, window = windowed(pair.fixed, imaging.headroom)
    moving, moving_background = imaging.values(pair.moving)
    scene = imaging.scene(pair)
    return Case(
        id=case_id,
        subject=pair.subject,
        scene=scene,
        fixed=fixed,
        fixed_background=fixed_background,
        moving=moving,
        moving_background=moving_background,
        window=window,
        mask=None if pair.fixed_mask is None else np.ascontiguousarray(pair.fixed_mask, dtype=np.float32),
        target=target_of(pair, poses, scene),
        truth=pair.truth,
    )


def target_of(pair: ImagePair, poses: PoseModel, scene: Scene) -> Target | None:
    """What the pair's truth says of poses, or None where neither a transform nor enough points are known.

    Args:
        pair: The pair, with its truth.
        poses: The pose model.
        scene: Of the pair.

    Raises:
        DataError: If there are too few points for the model.
    """
    truth = pair.truth
    if truth is None:
        return None
    points, partners = truth.points_fixed, truth.points_moving
    if points is None and truth.transform is not None:
        points = lattice_points(pair.fixed_mask, pair.fixed.grid)
    if points is None:
        points, partners = truth.landmarks_fixed, truth.landmarks_moving
    if points is not None and partners is None and truth.transform is not None:
        partners = transform_points(truth.transform, points)
    if points is None or partners is None or (truth.transform is None and len(points) < pair.ndim):
        return None
    exact = truth.transform is not None and poses.contains(truth.transform)
    pose = truth.transform if exact else poses.fit_points(points, partners, scene)
    assert pose is not None
    known = truth.landmarks_fixed is not None and truth.landmarks_moving is not None
    named = (truth.landmarks_fixed, truth.landmarks_moving, truth.landmark_names) if known else (None, None, ())
    return Target(pose, points, partners, *named)


def require_target(case: Case, what: str, withheld: bool) -> Target:
    """The case's target.

    Raises:
        WithheldError: On the test split.
        DataError: If the data set does not know the truth of this pair.
    """
    if withheld:
        raise WithheldError(
            f"{what} needs the truth, which the test split withholds; use split='train' or 'validation'"
        )
    if case.target is None:
        raise DataError(
            f"{what} needs the truth, and pair {case.id!r} comes with neither a transform nor landmarks; give them, or "
            "take an agent and a reward that need none"
        )
    return case.target
