"""Keeps the alignment that a deformation is given: what a registration that deforms nothing leaves."""

from __future__ import annotations

from typing import Any

from regenv.agent import Problem


class Given:
    """Answers with the linear alignment that the problem comes with."""

    method = {"name": "given", "family": "reference", "description": "The given linear alignment, nothing deformed"}

    def register(self, problem: Problem) -> Any:
        """The alignment as a SimpleITK transform, whatever the start was.

        Raises:
            ValueError: If none is given: only deformations are given one, to linear models it would be the answer.
        """
        if problem.alignment is None:
            raise ValueError(f"a problem of the model {problem.model!r} is given no alignment: take agents.centre")
        return problem.alignment


def factory(seed: int = 0) -> Given:
    """The agent; nothing in it is random."""
    return Given()
