"""Subjects made in the background: real processes, which die with their parent and lose nothing when killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from regenv.catalogue import TASKS
from regenv.data.cache import kept_files
from regenv.errors import OptionError
from regenv.synthesis import make
from regenv.synthesis.make import make_subjects
from regenv.synthesis.procedural import Procedural
from regenv.synthesis.workers import Workers

ID = "CTMR-Similarity2D-v0"  # a subject takes a fraction of a second


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REGENV_CACHE", str(tmp_path))
    return tmp_path


@pytest.fixture
def crew() -> Iterator[Workers]:
    made = Workers(1, urgent=True)
    yield made
    made.close()


def dataset(split: str = "train") -> Procedural:
    made = TASKS[ID].dataset("phantom", split)
    assert isinstance(made, Procedural)
    return made


def until(condition, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def gone(pid: int) -> bool:
    """Whether a process, not of ours, has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_what_is_wanted_is_made_and_is_what_anybody_would_make(crew: Workers, monkeypatch) -> None:
    pairs = dataset()
    began = time.monotonic()
    crew.want(pairs.spec, [5, 40_000])
    assert time.monotonic() - began < 0.5  # it does not wait
    until(lambda: pairs.is_kept(5) and pairs.is_kept(40_000))
    there = pairs.load(5).fixed.array
    monkeypatch.setenv("REGENV_CACHE", str(Path(os.environ["REGENV_CACHE"]) / "other"))
    assert (dataset().load(5).fixed.array == there).all()


def test_a_killed_worker_is_replaced_and_its_subject_made(crew: Workers) -> None:
    pairs = dataset()
    crew.want(pairs.spec, list(range(4)))
    until(lambda: pairs.is_kept(0))
    os.kill(crew.pids[0], signal.SIGKILL)
    until(lambda: not crew.pids)
    crew.want(pairs.spec, [4])
    until(lambda: all(pairs.is_kept(n) for n in range(5)))


def test_workers_that_fail_are_not_started_for_ever(crew: Workers) -> None:
    crew.want({"name": "no such"}, [1])
    for _ in range(200):
        if crew.deaths >= 5 and not crew.pids:
            break
        crew.revive()
        time.sleep(0.1)
    assert not crew.pids


SCRIPT = """
    import json, os, sys, time
    from regenv.synthesis.workers import Workers
    crew = Workers(2)
    crew.want(json.loads(sys.argv[1]), list(range(2000)))
    if sys.argv[2] == "fork" and os.fork() == 0:
        assert not crew.ours
        time.sleep(60)  # holds the pipe open
    print(*crew.pids, flush=True)
    time.sleep(0 if sys.argv[2] == "end" else 60)
"""


@pytest.mark.parametrize("how", ["end", "kill", "interrupt", "fork"])
def test_workers_end_with_their_parent_however_it_ends(how: str) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SCRIPT), json.dumps(dataset().spec), how],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert parent.stdout is not None
    workers = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(workers) == 2
    if how != "end":
        time.sleep(0.5)
        parent.send_signal(signal.SIGINT if how == "interrupt" else signal.SIGKILL)
    parent.wait(30)
    until(lambda: all(gone(pid) for pid in workers), 20)
    if how == "fork":
        os.killpg(parent.pid, signal.SIGKILL)


TRAINING = """
    import os, signal, sys
    import gymnasium as gym, regenv
    from regenv.synthesis import workers
    env = gym.make(sys.argv[1], horizon=1)
    names = [env.reset(seed=5)[1]["pair_id"]]
    crew = workers._workers
    for episode in range(60):
        if sys.argv[2] == "kill" and episode in (3, 10) and crew.pids:
            os.kill(crew.pids[0], signal.SIGKILL)
        names.append(env.reset()[1]["pair_id"])
    print(*names)
    print(len(crew.pids) if crew else "none", file=sys.stderr)
"""


def test_episodes_are_the_same_whatever_the_workers_do(tmp_path: Path) -> None:
    """With workers, without, and with workers that are killed."""
    found = []
    for how in ("with", "without", "kill"):
        env = {**os.environ, "REGENV_CACHE": str(tmp_path / how), "REGENV_PREPARE": "0" if how == "without" else "1"}
        arguments = [sys.executable, "-c", textwrap.dedent(TRAINING), ID, how]
        done = subprocess.run(arguments, env=env, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        assert (done.stderr.split()[-1] == "none") == (how == "without")
        found.append(done.stdout)
    assert found[0] == found[1] == found[2] and len(set(found[0].split())) > 5


def test_many_are_made_ahead_by_all_processors(capsys: pytest.CaptureFixture[str]) -> None:
    assert make_subjects(dataset(), 6, workers=2) == 6
    assert len(kept_files()) == 6
    assert "6 of 6 done" in capsys.readouterr().err
    assert make_subjects(dataset(), 6) == 0
    assert make_subjects(dataset("validation"), 2) == 2


def test_what_cannot_be_made_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for bad in ({"subjects": 0}, {"workers": 0}):
        with pytest.raises(OptionError, match="=0 must be at least 1"):
            make_subjects(dataset(), **bad)
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("REGENV_CACHE", str(tmp_path / "file"))
    with pytest.warns(RuntimeWarning), pytest.raises(RuntimeError, match="set REGENV_CACHE"):
        make_subjects(dataset(), 1)
    monkeypatch.setenv("REGENV_CACHE", str(tmp_path))
    broken = dataset()
    broken.spec = {"name": "no such"}
    monkeypatch.setattr(make, "_LOOK_S", 0.3)
    with pytest.raises(RuntimeError, match="the workers failed"):
        make_subjects(broken, 1, workers=1)
