"""Trusts the physical frames in the files' headers: T is the identity.

Where this row scores well, the frames tell the truth and the track is broken (or the scanner has done the work).
"""

from __future__ import annotations

from typing import Any

import numpy as np

import regenv


class Header:
    """Answers that both images already share one physical space."""

    method = {"name": "header", "family": "reference", "description": "Trusts the physical frames of both images"}

    def register(self, fixed: Any, moving: Any, initial: Any) -> Any:
        """The identity as a SimpleITK transform, whatever the start was."""
        return regenv.to_sitk(np.eye(fixed.GetDimension() + 1))


def factory(seed: int = 0) -> Header:
    """The agent; nothing in it is random."""
    return Header()
