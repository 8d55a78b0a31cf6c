"""Similarities: rigid poses with one scale."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

from regenv.poses.base import PoseWords
from regenv.poses.matrix import STRETCHING_WORDS, MatrixModel


class SimilarityGroup(MatrixModel):
    """Rotations, translations and one log-scale; a step of scale is 1 %."""

    name: ClassVar[str] = "similarity"
    scaled: ClassVar[bool] = True
    words: ClassVar[PoseWords] = STRETCHING_WORDS
    nearest: ClassVar[str] = ", or the similarity one nearest to it,"

    @cached_property
    def names(self) -> tuple[str, ...]:
        """See :class:`regenv.poses.matrix.MatrixModel`."""
        return (*super().names, "s")


MODEL = SimilarityGroup
