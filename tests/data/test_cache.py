"""The disk cache: nothing half-written, nothing lost, and a clear word when the disk is full."""

from __future__ import annotations

import errno
import multiprocessing
import os
import pickle
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from regenv.data import cache
from regenv.data.cache import MemoryCache, cache_dir, cached, digest, progress
from regenv.errors import CacheError


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REGENV_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "_announced", set())
    monkeypatch.setattr(cache, "_unwritable", set())
    return tmp_path / "cache"


def small() -> dict[str, np.ndarray]:
    return {"a": np.arange(6.0).reshape(2, 3), "b": np.array([7], dtype=np.int16)}


def left_over(folder: Path) -> list[str]:
    return [p.name for p in folder.rglob("*") if p.is_file() and p.suffix != ".lock"]


def test_built_once_then_read(own_cache: Path) -> None:
    calls = []
    key = digest("thing", 1, seed=3)
    for _ in range(2):
        arrays = cached(key, lambda: calls.append(1) or small())
        np.testing.assert_array_equal(arrays["a"], small()["a"])
        assert arrays["b"].dtype == np.int16
    assert calls == [1]
    assert left_over(own_cache) == [f"{key}.npz"]


def test_every_kind_of_array_comes_back(own_cache: Path) -> None:
    rng = np.random.default_rng(0)
    arrays = {
        "image": rng.integers(-1000, 2000, (20, 30, 40)).astype(np.int16),
        "mask": np.zeros((200, 300, 40), dtype=bool),
        "labels": np.asfortranarray(rng.integers(0, 3, (5, 6, 7)).astype(np.uint8)),
        "names": np.array(["carina", "apex"]),
        "number": np.array(3.5),
        "nothing": np.zeros((0, 3)),
    }
    arrays["mask"][10:20] = True
    key = digest("thing", 1)
    cached(key, lambda: arrays)
    path = own_cache / "thing" / f"{key}.npz"
    read = cached(key, dict)
    assert read.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(read[name], array)
        assert read[name].dtype == array.dtype
    assert path.stat().st_size < 0.1 * sum(array.nbytes for array in arrays.values())


def test_what_is_kept_may_be_read_as_other_files_may(own_cache: Path) -> None:
    key = digest("thing", 1)
    cached(key, small)
    plain = own_cache / "plain"
    plain.write_text("")
    assert (own_cache / "thing" / f"{key}.npz").stat().st_mode == plain.stat().st_mode


def test_digest_depends_on_all_that_made_the_case() -> None:
    keys = {
        digest("thing", 1, seed=3),
        digest("thing", 2, seed=3),
        digest("thing", 1, seed=4),
        digest("other", 1, seed=3),
        digest("thing", 1, seed=3, spacing=(1.0, 2.0)),
        digest("thing", 1, seed=3, spacing=np.array([1.0, 2.5])),
    }
    assert len(keys) == 6
    assert digest("thing", 1, a=1, b=(2, np.float64(3))) == digest("thing", 1, b=[2, 3.0], a=1)
    with pytest.raises(TypeError, match="got object"):
        digest("thing", 1, seed=object())


def test_default_place_is_under_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REGENV_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_dir() == Path.home() / ".cache" / "regenv"


def test_a_damaged_file_is_made_again(own_cache: Path) -> None:
    key = digest("thing", 1)
    cached(key, small)
    path = own_cache / "thing" / f"{key}.npz"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.warns(RuntimeWarning, match="is made again"):
        arrays = cached(key, small)
    np.testing.assert_array_equal(arrays["a"], small()["a"])
    assert len(path.read_bytes()) > 100


def test_a_full_disk_leaves_nothing_and_names_the_mend(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CacheError, match="No space left on device.*set REGENV_CACHE") as raised:
        cached(digest("thing", 1), small)
    assert str(own_cache) in str(raised.value)
    assert raised.value.errno == errno.ENOSPC
    assert left_over(own_cache) == []


def test_a_truly_full_disk(tmp_path: Path) -> None:
    """A file-size limit makes the kernel refuse the write in the middle, as a full disk does."""
    script = """
        import resource, signal, sys
        import numpy as np
        from regenv.data.cache import cached, digest
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
        try:
            cached(digest("big", 1), lambda: {"a": np.zeros(10**6)})
        except OSError as error:
            print(type(error).__name__, error)
    """
    env = {**os.environ, "REGENV_CACHE": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], env=env, capture_output=True, text=True)
    assert done.stdout.startswith("CacheError"), done.stderr
    assert "Nothing half-written is left" in done.stdout
    assert left_over(tmp_path) == []


def test_an_interrupted_build_leaves_nothing(own_cache: Path) -> None:
    def interrupted() -> dict[str, np.ndarray]:
        raise KeyboardInterrupt

    key = digest("thing", 1)
    with pytest.raises(KeyboardInterrupt):
        cached(key, interrupted)
    assert left_over(own_cache) == []
    np.testing.assert_array_equal(cached(key, small)["a"], small()["a"])  # and holds no lock


def test_an_interrupted_write_leaves_nothing(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(handle: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        cached(digest("thing", 1), small)
    assert left_over(own_cache) == []


def test_an_unwritable_folder_is_warned_about_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    monkeypatch.setenv("REGENV_CACHE", str(blocked / "cache"))
    with pytest.warns(RuntimeWarning, match="Set REGENV_CACHE to a folder that can be written") as caught:
        first = cached(digest("thing", 1), small)
        second = cached(digest("thing", 1), small)
    assert len(caught) == 1
    np.testing.assert_array_equal(first["a"], second["a"])


def _build_slowly(folder: str) -> None:
    os.environ["REGENV_CACHE"] = folder

    def slow() -> dict[str, np.ndarray]:
        with open(Path(folder) / "calls.txt", "a") as stream:
            stream.write("x")
        time.sleep(0.3)
        return small()

    np.testing.assert_array_equal(cached(digest("thing", 1), slow)["a"], small()["a"])


def test_processes_that_want_the_same_case_build_it_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_build_slowly, args=(str(tmp_path),)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert (tmp_path / "calls.txt").read_text() == "x"


def test_what_is_made_is_announced_once(capsys: pytest.CaptureFixture[str], own_cache: Path) -> None:
    for seed in range(3):
        cached(digest("thing", 1, seed=seed), small, what="phantom torsos")
    said = capsys.readouterr().err
    assert said.count("making phantom torsos") == 1
    assert str(own_cache) in said


def test_progress_of_a_batch_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("preparing phantom", 2) as advance:
        for seed in range(2):
            cached(digest("thing", 1, seed=seed), small, what="never said inside a batch")
            advance()
    assert capsys.readouterr().err.splitlines() == [
        "regenv: preparing phantom: 2",
        "regenv: preparing phantom: 2 of 2 done",
    ]


def test_memory_holds_the_last_used_up_to_its_bytes() -> None:
    memory: MemoryCache[np.ndarray] = MemoryCache(max_bytes=200)
    built = []

    def get(key: str, n: int = 10) -> np.ndarray:
        return memory.get(key, lambda: built.append(key) or np.zeros(n), lambda a: a.nbytes)

    get("a"), get("b"), get("a"), get("c")  # c pushes out b, which was used least recently
    get("a"), get("b")
    assert built == ["a", "b", "c", "b"]
    assert get("huge", 1000).size == 1000
    assert len(memory) == 1


def test_memory_travels_empty() -> None:
    memory: MemoryCache[np.ndarray] = MemoryCache(max_bytes=300)
    memory.get("a", lambda: np.zeros(3), lambda a: a.nbytes)
    copy = pickle.loads(pickle.dumps(memory))
    assert len(copy) == 0
    assert copy.max_bytes == 300


def test_memory_serves_threads_one_value() -> None:
    memory: MemoryCache[np.ndarray] = MemoryCache(max_bytes=500)
    problems: list[Exception] = []

    def work(seed: int) -> None:
        rng = np.random.default_rng(seed)
        try:
            for key in rng.integers(0, 12, 3000):
                value = memory.get(int(key), lambda key=key: np.full(10, key), lambda a: a.nbytes)
                assert value[0] == key
        except Exception as error:
            problems.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert len(memory) == 6
