"""Files that are written whole or not at all, and locks between processes."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Callable, Iterator
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
def locked(
    path: Path, what: str = "", waiting: Callable[[str], None] | None = None, wait: bool = True
) -> Iterator[bool]:
    """Holds the lock file where the file system has locks, else goes on without.

    Args:
        path: The lock file; made if missing.
        what: What it is held for, in words; those who wait are told.
        waiting: Called once, if another process or thread has it, with ``"process 123, which makes ..."``.
        wait: Whether to wait for it.

    Yields:
        Whether it is held; False only without ``wait``.
    """
    from filelock import FileLock, Timeout

    lock, owner = FileLock(str(path)), path.with_suffix(".owner")
    try:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if wait:
                if waiting is not None:
                    waiting(_owner(owner))
                lock.acquire()
    except (OSError, NotImplementedError):
        yield True
        return
    if not lock.is_locked:
        yield False
        return
    try:
        with contextlib.suppress(OSError):
            owner.write_text(f"{os.getpid()} {what}")
        yield True
    finally:
        with contextlib.suppress(OSError):
            owner.unlink()
        lock.release()


def _owner(path: Path) -> str:
    """Who holds a lock, as they wrote it down."""
    with contextlib.suppress(OSError):
        process, _, what = path.read_text().partition(" ")
        if process.isdigit():
            return f"process {process}" + (f", which makes {what}" if what else "")
    return "another process"


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
