"""Generated cases on disk: written whole or not at all, keyed by a digest of all that made them.

``REGENV_CACHE`` names the folder (default ``~/.cache/regenv``). A file is written beside its place and renamed into it,
so a full disk, a kill or Ctrl-C never leaves half of one; several processes that want the same case build it once.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
import tempfile
import threading
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from regenv.errors import CacheError
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


def is_cached(key: str) -> bool:
    """Whether :func:`cached` would find something under ``key`` without making it."""
    return _path(key).is_file()


def cached(key: str, build: Callable[[], Arrays], *, what: str | None = None) -> dict[str, NDArray[Any]]:
    """The arrays under ``key``: read from disk, or built, kept and returned.

    Args:
        key: From :func:`digest`.
        build: Makes the arrays by name; called at most once, and only where no other process is doing it.
        what: What is being made, in words for the person waiting; announced on stderr.

    Returns:
        Arrays by name, writable and owned by the caller.

    Raises:
        CacheError: If the disk is full while writing. A folder that cannot be written at all is only warned about
            once, and the arrays are returned unkept.
    """
    path = _path(key)
    folder = path.parent
    found = _read(path)
    if found is not None:
        return found
    if not _writable(folder):
        with announced(what, None):
            return dict(build())
    with locked(path.with_suffix(".lock")):
        found = _read(path)  # another process may have built it while we waited
        if found is None:
            with announced(what, folder):
                found = dict(build())
            _write(path, found)
    return found


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
            return {name: stored[name] for name in stored.files}
    except Exception as error:  # zipfile, zlib, OSError, ValueError: all mean the same here
        warnings.warn(f"{path} cannot be read ({error}) and is made again", RuntimeWarning, stacklevel=3)
        return None


def _write(path: Path, arrays: Arrays) -> None:
    try:
        with written_whole(path) as beside, open(beside, "xb") as stream:
            _write_npz(stream, arrays)
    except OSError as error:
        raise CacheError(
            error.errno,
            f"cannot write {path}: {error.strerror}. Nothing half-written is left; free space there, "
            "or set REGENV_CACHE to a folder on another disk, and run again: what is finished is kept",
        ) from error


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
        if str(folder) not in _unwritable:
            _unwritable.add(str(folder))
            warnings.warn(
                f"the cache folder {folder} cannot be written ({error.strerror}): cases are made anew in every "
                "process. Set REGENV_CACHE to a folder that can be written",
                RuntimeWarning,
                stacklevel=3,
            )
        return False
    return True
