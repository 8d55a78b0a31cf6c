"""Rigid poses: translations and rotations."""

from __future__ import annotations

from typing import ClassVar

from regenv.poses.matrix import MatrixModel


class Rigid(MatrixModel):
    """Rotations and translations; a step is 1 mm or 1 degree."""

    name: ClassVar[str] = "rigid"


MODEL = Rigid
