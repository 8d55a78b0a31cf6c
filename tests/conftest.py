"""What all tests share: where real images lie, small pairs, and quiet threads (workers share the processors)."""

from __future__ import annotations

import locale
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
# Subjects are made when a test asks for them, not all of a split's when an environment is made.
os.environ.setdefault("REGENV_PREPARE", "0")

import gymnasium
import pytest

from tests.envs.blobs import Blobs

# A shell that runs the tests in the background has Ctrl-C ignored, and every child process would inherit that.
if threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parents[1]


def pytest_report_header() -> str:
    return f"gymnasium {gymnasium.__version__}"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real images; tests that need them are skipped where it is absent."""
    folder = Path(os.environ.get("REGENV_SHARED_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "MANIFEST.csv").is_file():
        pytest.skip("real images are absent: set REGENV_SHARED_DATA to the folder that holds their MANIFEST.csv")
    return folder


@pytest.fixture(scope="session")
def blobs() -> Blobs:
    """Three training pairs."""
    return Blobs("train")


@pytest.fixture(scope="session")
def withheld_blobs() -> Blobs:
    """Three test pairs: the environment must keep their truth to itself."""
    return Blobs("test")


@pytest.fixture(autouse=True)
def locale_is_kept() -> Iterator[None]:
    """ITK's VTK reader, which is asked about every file that no other reader knows, sets the process's locale to "C".

    Text that later tests read from files or processes would then have to be ASCII.
    """
    before = locale.setlocale(locale.LC_ALL)
    yield
    locale.setlocale(locale.LC_ALL, before)
