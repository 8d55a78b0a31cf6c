"""Files that are written whole or not at all, and locks between processes."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Gives a place beside ``path`` to write to, which becomes ``path`` when the block ends without an error.

    A full disk, a kill or Ctrl-C never leaves half a file under ``path``, and what was there before stays until then.

    Args:
        path: Where the file shall be; its folder must be there.

    Yields:
        A name in the same folder, with the same ending, at which there is nothing yet.

    Raises:
        OSError: If it cannot be written; nothing half-written is left.
    """
    # mkstemp would shut out the others who may read the folder
    beside = path.with_name(f".part-{uuid.uuid4().hex}-{path.name[-100:]}")
    try:
        yield beside
        with open(beside, "rb+") as stream:
            os.fsync(stream.fileno())
        os.replace(beside, path)
    finally:
        with contextlib.suppress(OSError):
            beside.unlink()


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a file whole or not at all."""
    with written_whole(path) as beside:
        beside.write_bytes(content)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds the lock file where the file system has locks, else goes on without; waits for other processes.

    Args:
        path: The lock file; made if missing.
    """
    from filelock import FileLock

    lock = FileLock(str(path))
    try:
        lock.acquire()
    except (OSError, NotImplementedError):
        yield
        return
    try:
        yield
    finally:
        lock.release()


def take_alone(descriptor: int) -> bool:
    """Takes an open file for this process, until it is closed or the process ends in whatever way; does not wait.

    Args:
        descriptor: Of the file.

    Returns:
        False where another process has it. On a file system without locks everyone may have it.
    """
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True
