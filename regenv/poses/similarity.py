"""Similarities: rigid poses with one scale."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

from regenv.poses.matrix import MatrixModel


class SimilarityGroup(MatrixModel):
    """Rotations, translations and one log-scale; a step of scale is 1 %."""

    name: ClassVar[str] = "similarity"
    scaled: ClassVar[bool] = True
    nearest: ClassVar[str] = ", or the similarity one nearest to it,"

    @cached_property
    def names(self) -> tuple[str, ...]:
        """See :class:`regenv.poses.matrix.MatrixModel`."""
        return (*super().names, "s")


MODEL = SimilarityGroup
