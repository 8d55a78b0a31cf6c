"""A function that is never compiled and tells where numba keeps the cache of the functions of this folder."""

from __future__ import annotations

import numba


@numba.njit(cache=True)
def probe():  # type: ignore[no-untyped-def]
    """Does nothing."""
