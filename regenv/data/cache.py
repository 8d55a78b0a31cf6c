"""Generated cases on disk: written whole or not at all, keyed by a digest of all that made them.

``REGENV_CACHE`` names the folder (default ``~/.cache/regenv``). A file is written beside its place and renamed into it,
so a full disk, a kill or Ctrl-C never leaves half of one; several processes that want the same case build it once.
``REGENV_CACHE_GB`` bounds the folder (default 20): once it holds more, what was used longest ago is removed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import sys
import tempfile
import threading
import time
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from regenv.errors import OptionError
from regenv.files import locked, written_whole

Arrays = Mapping[str, NDArray[Any]]
T = TypeVar("T")

_announced: set[tuple[int, str]] = set()
_unwritable: set[str] = set()


def cache_dir() -> Path:
    """Where generated cases are kept: ``$REGENV_CACHE``, else ``~/.cache/regenv``. Not created by asking."""
    named = os.environ.get("REGENV_CACHE")
    if named:
        return Path(named).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path("~/.cache").expanduser()) / "regenv"


def digest(generator: str, version: int, /, **parameters: object) -> str:
    """The key of a generated thing: a hash of its generator, the generator's version and all parameters.

    Args:
        generator: Name of what makes it, such as ``"phantom"``; the first part of the key and the folder's name.
        version: Raised whenever the generator makes anything else from the same parameters.
        parameters: Everything that decides the result; JSON values, tuples and NumPy scalars.

    Returns:
        ``"generator-0123456789abcdef0123"``.
    """
    text = json.dumps([generator, version, parameters], sort_keys=True, default=_plain)
    return f"{generator}-{hashlib.sha256(text.encode()).hexdigest()[:20]}"


def is_writable() -> bool:
    """Whether anything can be kept; warns the first time that it cannot."""
    return _writable(cache_dir())


def is_cached(key: str) -> bool:
    """Whether :func:`cached` would find something under ``key`` without making it."""
    return _path(key).is_file()


def cached(key: str, build: Callable[[], Arrays], *, what: str | None = None) -> dict[str, NDArray[Any]]:
    """The arrays under ``key``: read from disk, or built, kept and returned.

    A folder that cannot be written, or is full, is warned about once; the arrays are then returned unkept.

    Args:
        key: From :func:`digest`.
        build: Makes the arrays by name; called at most once, and only where no other process is doing it.
        what: What is being made, in words for the person waiting; announced on stderr.

    Returns:
        Arrays by name, writable and owned by the caller.
    """
    path = _path(key)
    folder = path.parent
    found = _read(path)
    if found is not None:
        return found
    if not _writable(folder):
        with announced(what, None):
            return dict(build())
    with locked(path.with_suffix(".lock"), what or key, _waiting):
        found = _read(path)  # another process may have built it while we waited
        if found is None:
            with announced(what, folder):
                found = dict(build())
            _write(path, found)
    return found


def keep(key: str, build: Callable[[], Arrays], what: str) -> bool:
    """Builds what :func:`cached` would, for later, unless it is there or another process is at it.

    Returns:
        Whether there is no more to do: False where another process has begun, and may fail.
    """
    path = _path(key)
    if path.is_file() or not _writable(path.parent):
        return True
    with locked(path.with_suffix(".lock"), what, wait=False) as held:
        if held and not path.is_file():
            _write(path, build())
        return held


class MemoryCache(Generic[T]):
    """The most recently used values, up to a number of bytes.

    Args:
        max_bytes: What may be held together; the value used last is always held.
    """

    def __init__(self, max_bytes: int = 512 * 2**20) -> None:
        self.max_bytes = max_bytes
        self._held: OrderedDict[object, tuple[T, int]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()  # not held while something is built

    def get(self, key: object, build: Callable[[], T], size: Callable[[T], int]) -> T:
        """The value under ``key``, built where it is not held; ``size`` tells its bytes."""
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
                return self._held[key][0]
        value = build()
        n_bytes = size(value)
        with self._lock:
            if key in self._held:  # another thread built it meanwhile: all hold the same one
                return self._held[key][0]
            self._held[key] = (value, n_bytes)
            self._bytes += n_bytes
            while self._bytes > self.max_bytes and len(self._held) > 1:
                _, (_, dropped) = self._held.popitem(last=False)
                self._bytes -= dropped
        return value

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, key: object) -> bool:
        return key in self._held

    def __getstate__(self) -> dict[str, int]:
        return {"max_bytes": self.max_bytes}  # a pickled environment does not carry its images

    def __setstate__(self, state: dict[str, int]) -> None:
        self.__init__(state["max_bytes"])  # type: ignore[misc]


@contextlib.contextmanager
def announced(what: str | None, folder: Path | None) -> Iterator[None]:
    """Tells the person waiting what is being made: a spinner on a terminal, else one line per kind and process."""
    if what is None or _inside_progress:
        yield
        return
    kept = f"kept in {folder}" if folder is not None else "not kept: the cache folder cannot be written"
    if sys.stderr.isatty():
        from rich.console import Console

        with Console(stderr=True).status(f"regenv: making {what} ({kept})"):
            yield
        return
    kind = (os.getpid(), str(folder))
    if kind not in _announced:
        _announced.add(kind)
        print(f"regenv: making {what} and what follows as needed ({kept})", file=sys.stderr, flush=True)
    yield


_inside_progress: list[str] = []


def _waiting(owner: str) -> None:
    """Says whom this process waits for, once for each of them."""
    said = (os.getpid(), owner.partition(",")[0])
    if said not in _announced:
        _announced.add(said)
        print(f"regenv: waiting for {owner}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def progress(description: str, total: int) -> Iterator[Callable[[], None]]:
    """A progress bar on stderr for a batch; one line at the start and one at the end where it is no terminal.

    Args:
        description: Such as ``"making phantom pairs"``.
        total: Number of steps.

    Inside another batch it shows nothing: there is one display.

    Yields:
        A function to call after each step.
    """
    if _inside_progress:
        yield lambda: None
        return
    _inside_progress.append(description)
    try:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            with Progress(*columns, console=Console(stderr=True)) as bar:
                task = bar.add_task(f"regenv: {description}", total=total)
                yield lambda: bar.advance(task)
        else:
            done = [0]
            print(f"regenv: {description}: {total}", file=sys.stderr, flush=True)

            def advance() -> None:
                done[0] += 1

            yield advance
            print(f"regenv: {description}: {done[0]} of {total} done", file=sys.stderr, flush=True)
    finally:
        _inside_progress.pop()


def _path(key: str) -> Path:
    return cache_dir() / key.rsplit("-", 1)[0] / f"{key}.npz"


def _plain(value: object) -> object:
    """JSON for what JSON does not know."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise TypeError(f"a cache key takes JSON values, tuples and arrays, got {type(value).__name__}: {value!r}")


def _read(path: Path) -> dict[str, NDArray[Any]] | None:
    """The stored arrays; None where there are none or the file is damaged (it is then made again)."""
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as stored:
            found = {name: stored[name] for name in stored.files}
        _mark_used(path)
        return found
    except FileNotFoundError:
        return None  # removed by another process, to make room
    except Exception as error:  # zipfile, zlib, OSError, ValueError: all mean the same here
        warnings.warn(f"{path} cannot be read ({error}) and is made again", RuntimeWarning, stacklevel=3)
        return None


def _write(path: Path, arrays: Arrays) -> None:
    """Keeps the arrays if it can, and makes room where the folder is larger than it may be."""
    try:
        with written_whole(path) as beside, open(beside, "xb") as stream:
            _write_npz(stream, arrays)
        make_room()
    except OSError as error:
        _warn_unwritable(path.parent, error)


def _write_npz(stream: IO[bytes], arrays: Arrays) -> None:
    """As ``np.savez``, with masks and label maps packed and images as they are, which reads faster."""
    with zipfile.ZipFile(stream, "w") as archive:
        for name, array in arrays.items():
            member = zipfile.ZipInfo(f"{name}.npy")
            small = array.dtype.itemsize == 1
            member.compress_type = zipfile.ZIP_DEFLATED if small else zipfile.ZIP_STORED
            with archive.open(member, "w", force_zip64=True) as place:
                np.lib.format.write_array(place, np.asarray(array, order="C"), allow_pickle=False)  # type: ignore[no-untyped-call]


def _writable(folder: Path) -> bool:
    """Whether ``folder`` can be made and written; warns the first time that it cannot."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".try.", dir=folder)
        os.close(handle)
        os.unlink(name)
    except OSError as error:
        _warn_unwritable(folder, error)
        return False
    return True


def _warn_unwritable(folder: Path, error: OSError) -> None:
    if str(folder) not in _unwritable:
        _unwritable.add(str(folder))
        warnings.warn(
            f"the cache folder {folder} cannot be written ({error.strerror}): cases are made anew in every process. "
            "Free space there, or set REGENV_CACHE to a folder that can be written",
            RuntimeWarning,
            stacklevel=4,
        )


# Its size


DEFAULT_GB = 20.0
_RECENT_S = 10.0  # what was used so recently is in use
_ABANDONED_S = 3600.0  # a part of a file, or a lock without a file, that old was left behind


@dataclass(frozen=True)
class Kept:
    """A file of the cache.

    Attributes:
        path: Where it is.
        bytes: Its size.
        used: When it was last written or read, in seconds since the epoch.
    """

    path: Path
    bytes: int
    used: float


def kept_files() -> list[Kept]:
    """What the cache holds, that which was used longest ago first."""
    found = []
    for path in cache_dir().glob("*/*.npz"):
        with contextlib.suppress(OSError):  # removed meanwhile
            stat = path.stat()
            found.append(Kept(path, stat.st_size, max(stat.st_atime, stat.st_mtime)))
    return sorted(found, key=lambda kept: kept.used)


def cache_bound() -> int:
    """Bytes that the cache may hold: ``REGENV_CACHE_GB`` times 10^9.

    Raises:
        OptionError: If that is no number of at least 0.
    """
    text = os.environ.get("REGENV_CACHE_GB") or str(DEFAULT_GB)
    try:
        bound = float(text)
    except ValueError:
        bound = -1.0
    if not 0 <= bound < math.inf:
        raise OptionError(f"REGENV_CACHE_GB={text!r} must be a number of gigabytes, such as {DEFAULT_GB:g}")
    return int(bound * 1e9)


def make_room(bound: int | None = None, recent_s: float = _RECENT_S) -> int:
    """Removes what was used longest ago until the cache holds no more than its bound, but nothing that is in use.

    Args:
        bound: Bytes; default :func:`cache_bound`.
        recent_s: What was used within so many seconds is in use, as is what a process is making.

    Returns:
        The bytes that were removed.
    """
    files = kept_files()
    bound = cache_bound() if bound is None else bound
    excess, removed, latest = sum(kept.bytes for kept in files) - bound, 0, time.time() - recent_s
    for kept in files:
        if removed >= excess or kept.used > latest:
            break
        with contextlib.suppress(OSError), locked(kept.path.with_suffix(".lock"), "room", wait=False) as held:
            if held:
                kept.path.unlink()
                kept.path.with_suffix(".lock").unlink(missing_ok=True)
                removed += kept.bytes
    return removed


def remove_abandoned() -> None:
    """Removes locks and parts of files that processes left behind when they were killed."""
    for path in cache_dir().glob("*/*"):
        leftover = path.name.startswith((".part-", ".try.")) or path.suffix in (".lock", ".owner")
        with contextlib.suppress(OSError):
            if leftover and time.time() - path.stat().st_mtime > _ABANDONED_S:
                path.unlink()


def _mark_used(path: Path) -> None:
    """Notes that a file was read, also where the file system does not."""
    with contextlib.suppress(OSError):
        os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))
