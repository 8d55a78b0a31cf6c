"""Data sets for tests of the process."""

from __future__ import annotations

import pytest

from tests.envs.blobs import Blobs


@pytest.fixture(scope="session")
def blobs() -> Blobs:
    """Three training pairs."""
    return Blobs("train")


@pytest.fixture(scope="session")
def withheld_blobs() -> Blobs:
    """Three test pairs: the environment must keep their truth to itself."""
    return Blobs("test")
