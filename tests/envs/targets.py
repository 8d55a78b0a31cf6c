"""What the truth of a pair says of poses, from the pair alone: the maintainer's side of the wall."""

from __future__ import annotations

from regenv.core.scene import Target
from regenv.data.pair import ImagePair
from regenv.imaging import get_imaging
from regenv.imaging.case import target_of
from regenv.poses import get_model
from regenv.poses.base import PoseModel


def known_of(pair: ImagePair, poses: PoseModel | None = None, imaging: str = "volume") -> Target:
    """Where the pair's points belong and which pose is right; of rigid poses where none are given."""
    target = target_of(pair, poses or get_model("rigid", pair.ndim), get_imaging(imaging).scene(pair))
    assert target is not None
    return target
