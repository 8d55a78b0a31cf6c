"""The disk cache: nothing half-written, nothing lost, and a clear word when the disk is full."""

from __future__ import annotations

import errno
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import time
from dataclasses import fields, is_dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from regenv.core.camera import Camera
from regenv.core.geometry import Grid
from regenv.core.image import Image
from regenv.data import cache
from regenv.data.cache import (
    MemoryCache,
    cache_bound,
    cache_dir,
    cached,
    digest,
    keep,
    progress,
    remove_abandoned,
)
from regenv.data.dataset import SPAN
from regenv.data.image_io import write_image
from regenv.data.packing import pack, unpack
from regenv.data.pair import ImagePair, Truth
from regenv.errors import OptionError
from regenv.files import locked
from regenv.poses import get_model
from regenv.synthesis.phantom import PhantomDataset


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


def test_writing_leaves_the_umask_alone(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It belongs to the process: two threads that learn it by setting it can leave it at 0 for good."""

    def touched(mask: int) -> int:
        raise AssertionError(f"umask set to {mask:o}")

    monkeypatch.setattr(os, "umask", touched)
    cached(digest("thing", 1), small)
    image = Image(np.arange(8.0).reshape(2, 2, 2), Grid.centred((2, 2, 2), (1.0, 1.0, 1.0)))
    write_image(own_cache / "a.mha", image)
    assert len(left_over(own_cache)) == 2


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


def test_a_full_disk_leaves_nothing_and_is_said_once(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.warns(RuntimeWarning, match="No space left on device.*set REGENV_CACHE") as caught:
        for seed in range(2):
            np.testing.assert_array_equal(cached(digest("thing", 1, seed=seed), small)["a"], small()["a"])
    assert len(caught) == 1 and str(own_cache) in str(caught[0].message)
    assert left_over(own_cache) == []


def test_a_truly_full_disk(tmp_path: Path) -> None:
    """A file-size limit makes the kernel refuse the write in the middle, as a full disk does."""
    script = """
        import resource, signal
        import numpy as np
        from regenv.data.cache import cached, digest
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
        for seed in range(2):
            print(cached(digest("big", 1, seed=seed), lambda: {"a": np.zeros(10**6)})["a"].shape)
    """
    env = {**os.environ, "REGENV_CACHE": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], env=env, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["(1000000,)"] * 2, done.stderr
    assert done.stderr.count("RuntimeWarning") == 1
    assert left_over(tmp_path) == []


def test_the_folder_is_kept_within_its_bound(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [digest("thing", 1, seed=seed) for seed in range(6)]
    paths = [own_cache / "thing" / f"{key}.npz" for key in keys]
    for age, (key, path) in enumerate(zip(keys[:5], paths, strict=False)):
        cached(key, lambda: {"a": np.zeros(1000)})  # about 8 kB
        os.utime(path, (time.time() - 1000 + age, time.time() - 1000 + age))
    cached(keys[0], dict)  # used, so no longer the oldest
    monkeypatch.setenv("REGENV_CACHE_GB", "3e-5")
    with locked(paths[1].with_suffix(".lock")):  # in use
        cached(keys[5], lambda: {"a": np.zeros(1000)})
    assert [path.exists() for path in paths] == [True, True, False, False, False, True]
    assert not paths[2].with_suffix(".lock").exists()
    monkeypatch.setenv("REGENV_CACHE_GB", "0")
    cached(digest("thing", 1, seed=7), small)  # what was just used stays even so
    assert [path.exists() for path in paths] == [True, False, False, False, False, True]


@pytest.mark.parametrize("bound", ["much", "-1", "nan", "inf"])
def test_a_bound_that_is_none_is_named(bound: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGENV_CACHE_GB", bound)
    with pytest.raises(OptionError, match=f"REGENV_CACHE_GB='{bound}' must be a number of gigabytes"):
        cache_bound()


def test_what_killed_processes_left_is_removed(own_cache: Path) -> None:
    cached(digest("thing", 1), small)
    old, new = own_cache / "thing" / ".part-1-x.npz", own_cache / "thing" / ".part-2-x.npz"
    old.write_text("half"), new.write_text("half")
    os.utime(old, (1, 1))
    remove_abandoned()
    assert new.exists() and not old.exists()


def test_who_waits_is_told_for_whom(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    process = multiprocessing.get_context("fork").Process(target=_build_slowly, args=(str(tmp_path),))
    process.start()
    while not (tmp_path / "calls.txt").exists():
        time.sleep(0.01)
    os.environ["REGENV_CACHE"] = str(tmp_path)  # the fixture sets it back
    arrays = cached(digest("thing", 1), lambda: pytest.fail("made twice"), what="a thing")
    np.testing.assert_array_equal(arrays["a"], small()["a"])
    assert f"regenv: waiting for process {process.pid}, which makes a slow thing" in capsys.readouterr().err
    process.join(10)


def test_what_a_killed_process_was_making_is_made_again(tmp_path: Path) -> None:
    process = multiprocessing.get_context("fork").Process(target=_build_slowly, args=(str(tmp_path), 60.0))
    process.start()
    while not (tmp_path / "calls.txt").exists():
        time.sleep(0.01)
    os.environ["REGENV_CACHE"] = str(tmp_path)
    assert not keep(digest("thing", 1), small, "a thing")  # it does not wait for the other
    os.kill(process.pid, signal.SIGKILL)
    np.testing.assert_array_equal(cached(digest("thing", 1), small)["a"], small()["a"])
    process.join(10)


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
    with pytest.warns(RuntimeWarning, match="set REGENV_CACHE to a folder that can be written") as caught:
        first = cached(digest("thing", 1), small)
        second = cached(digest("thing", 1), small)
    assert len(caught) == 1
    np.testing.assert_array_equal(first["a"], second["a"])


def _build_slowly(folder: str, seconds: float = 0.3) -> None:
    os.environ["REGENV_CACHE"] = folder

    def slow() -> dict[str, np.ndarray]:
        with open(Path(folder) / "calls.txt", "a") as stream:
            stream.write("x")
        time.sleep(seconds)
        return small()

    arrays = cached(digest("thing", 1), slow, what="a slow thing")
    np.testing.assert_array_equal(arrays["a"], small()["a"])


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


# Pairs


def motion(*values: float) -> np.ndarray:
    return get_model("rigid", 3).exp(np.array([values], dtype=float))[0]


def full_pair() -> ImagePair:
    """A pair of which every field says something, on oblique, anisotropic grids."""
    rng = np.random.default_rng(0)
    turn = motion(0, 0, 0, 20, -30, 50)[:3, :3]
    fixed_grid = Grid.centred((7, 6, 2), (1.5, 1.25, 9.0), (10.1, -20.2, 30.3), turn)
    moving_grid = Grid.centred((5, 8, 9), (2.1, 2.0, 3.3), (-1.0, 2.0, 0.3), turn.T)
    cameras = tuple(
        Camera(
            np.array([500.0 + i, 3.25, 1.0]),
            Grid.centred((7, 6, 1), (1.5, 1.25, 1.0), (-400.0, i, 2.5), turn @ motion(0, 0, 0, 0, 90, 0)[:3, :3]),
            np.array([1.0, i, -2.0]),
        )
        for i in range(2)
    )
    points = rng.normal(size=(5, 3)) * 40
    truth = Truth(
        transform=motion(3, -4, 5, 10, 20, -15),
        landmarks_fixed=points,
        landmarks_moving=points + 1.5,
        landmark_names=("carina", "apex", "T12_body", "naïve", "é"),
        labels_fixed=rng.integers(0, 3, fixed_grid.shape).astype(np.uint8),
        labels_moving=rng.integers(0, 300, moving_grid.shape).astype(np.int16),
        label_names={2: "liver", 299: "left kidney"},
        points_fixed=points * 2,
        points_moving=points * 2 - 3,
    )
    return ImagePair(
        "",
        "",
        Image(rng.gamma(2.0, 0.7, fixed_grid.shape), fixed_grid, "depth", 0.25),
        Image(rng.integers(-1024, 3071, moving_grid.shape), moving_grid, "ct", -1000.0),
        rng.random(fixed_grid.shape) < 0.5,
        rng.random(moving_grid.shape) < 0.5,
        truth,
        motion(1, 2, 3, 4, 5, 6),
        cameras,
        3.75,
    )


def assert_same(read: object, made: object, where: str = "pair") -> None:
    """Exact equality, field by field, of nested dataclasses and arrays with their types."""
    if is_dataclass(made):
        assert type(read) is type(made), where
        for field in fields(made):
            assert_same(getattr(read, field.name), getattr(made, field.name), f"{where}.{field.name}")
    elif isinstance(made, np.ndarray):
        assert isinstance(read, np.ndarray) and read.dtype == made.dtype, where
        np.testing.assert_array_equal(read, made, err_msg=where)
    elif isinstance(made, tuple):
        assert isinstance(read, tuple) and len(read) == len(made), where
        for i, (a, b) in enumerate(zip(read, made, strict=True)):
            assert_same(a, b, f"{where}[{i}]")
    else:
        assert type(read) is type(made) and read == made, where


def test_the_pair_of_these_tests_leaves_no_field_out() -> None:
    """So that a field that is new has to be kept, too."""
    pair = full_pair()
    for thing in (pair, pair.truth):
        values = {field.name: getattr(thing, field.name) for field in fields(thing)}  # type: ignore[arg-type]
        unset = [
            name for name, value in values.items() if value is None or (hasattr(value, "__len__") and not len(value))
        ]
        assert [name for name in unset if name not in ("id", "subject")] == []  # which the data set gives


def test_a_pair_read_back_keeps_every_field() -> None:
    """Voxels to half of 1/32767 of their range, all else exactly."""
    pair, key = full_pair(), digest("pairs", 1)
    cached(key, lambda: pack(pair))
    read = unpack(cached(key, dict))  # from disk: an empty dict would be no pair
    step = np.ptp(pair.fixed.array) / 32767
    np.testing.assert_allclose(read.fixed.array, pair.fixed.array, atol=0.51 * step)
    assert not np.array_equal(read.fixed.array, np.rint(read.fixed.array))
    assert_same(replace(read, fixed=replace(read.fixed, array=pair.fixed.array)), pair)


def test_a_pair_of_whole_numbers_is_read_back_exactly() -> None:
    pair, key = full_pair(), digest("pairs", 2)
    pair = replace(pair, fixed=replace(pair.fixed, array=np.rint(100 * pair.fixed.array)))
    cached(key, lambda: pack(pair))
    assert_same(unpack(cached(key, dict)), pair)


def test_what_a_pair_lacks_it_lacks_when_read_back() -> None:
    full, key = full_pair(), digest("pairs", 3)
    grid = Grid.centred((6, 5), (1.5, 2.0))
    flat = Image(np.arange(30.0).reshape(5, 6), grid, "xray", 0.0)
    pair = ImagePair("", "", flat, replace(flat, modality="t1", background=3.0), truth=Truth(transform=np.eye(3)))
    cached(key, lambda: pack(pair))
    assert_same(unpack(cached(key, dict)), pair)
    for name in ("fixed_mask", "moving_mask", "alignment", "slice_mm"):
        assert getattr(unpack(pack(replace(full, **{name: None}))), name) is None
    for name in ("transform", "landmarks_fixed", "points_fixed", "points_moving", "labels_fixed", "labels_moving"):
        assert full.truth is not None
        lacking = replace(full, truth=replace(full.truth, **{name: None}))
        read = unpack(pack(lacking)).truth
        assert read is not None and getattr(read, name) is None


def test_a_pair_without_truth_is_read_back_without() -> None:
    pair, key = replace(full_pair(), truth=None), digest("pairs", 4)
    cached(key, lambda: pack(pair))
    assert unpack(cached(key, dict)).truth is None


def test_long_names_are_kept_whole() -> None:
    name = "the tip of the left transverse process of the twelfth thoracic vertebra"
    pair = full_pair()
    assert pair.truth is not None
    pair = replace(pair, truth=replace(pair.truth, landmark_names=(name,) * 5, label_names={2: name}))
    read = unpack(pack(pair)).truth
    assert read is not None
    assert read.landmark_names == (name,) * 5 and read.label_names == {2: name}


@pytest.mark.parametrize(
    ("recipe", "modalities", "field"),
    [("slice_volume", ("t2", "t1"), "stack"), ("xray_spine", ("xray", "ct"), "biplane"), ("cardiac", ("mr", "mr"), "")],
)
def test_a_case_read_from_disk_is_the_case_that_was_made(
    own_cache: Path, recipe: str, modalities: tuple[str, str], field: str
) -> None:
    """Frame, order of axes and crops too, in another data set object as in another process."""
    made, read = (PhantomDataset("train", modalities, field or None, recipe) for _ in range(2))
    first = made.load(1)
    (path,) = own_cache.rglob("*.npz")
    written = path.stat().st_mtime_ns
    assert_same(read.load(1), first)
    assert path.stat().st_mtime_ns == written
    again = read.load(1 + SPAN)  # the same subject in another frame
    assert list(own_cache.rglob("*.npz")) == [path]
    assert again.subject == first.subject and again.id != first.id
    assert not np.allclose(again.moving.grid.origin, first.moving.grid.origin)
    assert (first.fixed.modality, first.moving.modality) == modalities
    assert len(first.cameras) == (2 if field == "biplane" else 0)
    assert (first.slice_mm is not None) == (field == "stack")
    assert (first.alignment is not None) == (recipe == "cardiac")
