"""The runner: rows that verify, runs that go on where they were stopped, and clear words for what cannot be run."""

from __future__ import annotations

import gzip
import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

from regenv.errors import DataError
from regenv.evaluation.agents import load_agent
from regenv.evaluation.cases import bind
from regenv.evaluation.episodes import EPISODES, PARTIAL, RunError
from regenv.evaluation.method import AgentError
from regenv.evaluation.runner import CaseRunner, run
from regenv.evaluation.track import TrackError, find_track
from regenv.leaderboard.verify import verify

from .conftest import AGENTS, write_pairs


def test_a_row_of_actions_verifies(real_track, tmp_path):
    row = run(real_track, f"{AGENTS}:walker", out=tmp_path, cases=4)
    found = verify(row.folder, track=real_track, trial=True)
    assert (found.failures, found.level) == ((), "replayed")
    assert sorted(p.name for p in row.folder.iterdir()) == [EPISODES, "submission.toml"]
    assert [e.case for e in row.episodes] == ["000", "001", "002", "003"]
    assert all(e.steps == 4 and e.actions[-1] == 24 for e in row.episodes)
    assert {c.subject for c in real_track.cases[:2]} == {"subject0", "subject1"}
    # The numbers of the user's own pairs are kept beside the row, which verifies from them alone.
    assert verify(row.folder, trial=True).level == "replayed"


def test_a_row_of_answers_verifies(real_track, tmp_path):
    row = run(real_track, f"{AGENTS}:at_once", out=tmp_path, cases=3)
    found = verify(row.folder, track=real_track, trial=True)
    assert (found.failures, found.level) == ((), "recomputed")
    for episode, case in zip(row.episodes, real_track.cases, strict=False):
        moved = np.asarray(episode.transform)[:3, 3] - case.start[:3, 3]
        assert moved == pytest.approx([1, 0, 0], abs=1e-6)
        assert episode.evaluations == 7
    assert row.submission.method.test_time_optimisation


def test_a_reference_may_be_told_the_truth_and_others_not(real_track, tmp_path):
    row = run(real_track, f"{AGENTS}:teller", out=tmp_path, cases=2)
    assert max(e.metrics["tre"] for e in row.episodes) < 1e-5
    assert row.submission.method.uses_truth
    with pytest.raises(AgentError, match="family must be 'reference'"):
        run(real_track, f"{AGENTS}:cheat", out=tmp_path, cases=2)


def test_several_seeds_and_workers_give_the_same_rows(real_track, tmp_path):
    alone = run(real_track, f"{AGENTS}:walker", out=tmp_path / "1", cases=3, seeds=(0, 1))
    shared = run(real_track, f"{AGENTS}:walker", out=tmp_path / "2", cases=3, seeds=(0, 1), workers=2)
    assert [replace(e, seconds=0) for e in alone.episodes] == [replace(e, seconds=0) for e in shared.episodes]
    assert alone.episodes[0].actions != alone.episodes[3].actions
    assert verify(shared.folder, track=real_track, trial=True).ok


def test_a_row_of_several_trainings_names_the_seeds_of_all(real_track, tmp_path, monkeypatch):
    def trained_with(seeds: list[int]) -> tuple[int, ...]:
        training = {"subjects": 3, "seeds": seeds}
        monkeypatch.setattr(f"{AGENTS}.Walker.method", {"name": "walker", "family": "rl", "training": training})
        row = run(real_track, f"{AGENTS}:walker", out=tmp_path, cases=1, seeds=(0, 1), again=True)
        return row.submission.method.training.seeds

    assert trained_with([0]) == (0, 1)
    assert trained_with([7, 8]) == (7, 8)  # the weights are always the same


def test_a_failing_agent_loses_nothing_and_goes_on(real_track, tmp_path, monkeypatch):
    reference = run(real_track, f"{AGENTS}:stumbler", out=tmp_path / "whole", cases=6)
    monkeypatch.setattr(f"{AGENTS}.Stumbler.count", 0)
    monkeypatch.setenv("STUMBLE", "4")
    with pytest.raises(RunError, match="failed on case 004: ZeroDivisionError: no more strength"):
        run(real_track, f"{AGENTS}:stumbler", out=tmp_path, cases=6)
    partial = tmp_path / real_track.name / "stumbler" / PARTIAL
    assert len(partial.read_text().splitlines()) == 1 + 4
    monkeypatch.setenv("STUMBLE", "1000")
    ran = []
    row = run(real_track, f"{AGENTS}:stumbler", out=tmp_path, cases=6, on_case=lambda e: ran.append(e.case))
    assert ran == ["004", "005"]
    assert not partial.exists()
    assert [replace(e, seconds=0) for e in row.episodes] == [replace(e, seconds=0) for e in reference.episodes]


def test_interrupt_keeps_what_is_finished(real_track, tmp_path, monkeypatch):
    monkeypatch.setattr(f"{AGENTS}.Stumbler.count", 0)
    monkeypatch.setenv("STUMBLE", "2")
    monkeypatch.setenv("STUMBLE_BY", "interrupt")
    with pytest.raises(KeyboardInterrupt):
        run(real_track, f"{AGENTS}:stumbler", out=tmp_path, cases=5)
    partial = tmp_path / real_track.name / "stumbler" / PARTIAL
    assert len(partial.read_text().splitlines()) == 1 + 2


def test_half_a_line_at_the_end_is_dropped(real_track, tmp_path, monkeypatch):
    monkeypatch.setattr(f"{AGENTS}.Stumbler.count", 0)
    monkeypatch.setenv("STUMBLE", "2")
    with pytest.raises(RunError):
        run(real_track, f"{AGENTS}:stumbler", out=tmp_path, cases=3)
    partial = tmp_path / real_track.name / "stumbler" / PARTIAL
    with open(partial, "a") as stream:
        stream.write('{"case":"002","seed":0,"act')
    monkeypatch.setenv("STUMBLE", "1000")
    row = run(real_track, f"{AGENTS}:stumbler", out=tmp_path, cases=3)
    assert [e.case for e in row.episodes] == ["000", "001", "002"]


def test_a_partial_run_of_something_else_is_named(real_track, tmp_path, monkeypatch):
    monkeypatch.setattr(f"{AGENTS}.Stumbler.count", 0)
    monkeypatch.setenv("STUMBLE", "1")
    with pytest.raises(RunError):
        run(real_track, f"{AGENTS}:stumbler", out=tmp_path, cases=3)
    monkeypatch.setenv("STUMBLE", "1000")
    with pytest.raises(RunError, match="partial run with agent = .*stumbler.*walker"):
        run(real_track, f"{AGENTS}:walker", out=tmp_path, cases=3, name="stumbler")
    other = replace(real_track, cases=real_track.cases[::-1])
    with pytest.raises(RunError, match="partial run with track_digest"):
        run(other, f"{AGENTS}:stumbler", out=tmp_path, cases=3)


def test_a_finished_row_is_taken_over_unless_it_is_stale(real_track, tmp_path):
    first = run(real_track, f"{AGENTS}:walker", out=tmp_path, cases=3)
    again = run(real_track, f"{AGENTS}:walker", out=tmp_path, cases=3)
    assert again.kept and again.episodes == first.episodes
    assert not run(real_track, f"{AGENTS}:walker", out=tmp_path, cases=3, again=True).kept
    assert not run(real_track, f"{AGENTS}:walker", out=tmp_path, cases=4).kept
    header = first.folder / "submission.toml"
    header.write_text(header.read_text().replace('agent_digest = "', 'agent_digest = "0'))
    assert not run(real_track, f"{AGENTS}:walker", out=tmp_path, cases=4).kept


SCRIPT = """
import sys
from regenv.evaluation.cases import bind
from regenv.evaluation.runner import run
from regenv.evaluation.track import find_track
track = bind(find_track("ctcbct-rigid-real"), sys.argv[1])
say = lambda episode: print(episode.case, flush=True)
run(track, "tests.evaluation.some_agents:walker", out=sys.argv[2], cases=40, on_case=say)
"""


def test_a_killed_run_goes_on(real_track, pairs, tmp_path):
    """A real process, killed in the middle without a chance to clean up."""
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(pairs), str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=os.getcwd()
    )
    for _ in range(5):
        process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    partial = tmp_path / real_track.name / "walker" / PARTIAL
    kept = len(partial.read_text().splitlines()) - 1
    assert 5 <= kept < 40
    ran = []
    run(real_track, f"{AGENTS}:walker", out=tmp_path, cases=40, on_case=lambda e: ran.append(e.case))
    assert 40 - kept <= len(ran) <= 40 - kept + 1
    assert verify(tmp_path / real_track.name / "walker", track=real_track, trial=True).ok


def test_two_runs_do_not_write_over_each_other(real_track, tmp_path):
    """The second is refused while the first is under way, and may go on once it has stopped."""

    def meanwhile(episode):
        if episode.case == "001":
            with pytest.raises(RunError, match="another run is writing"):
                run(real_track, f"{AGENTS}:walker", out=tmp_path, cases=3)

    assert len(run(real_track, f"{AGENTS}:walker", out=tmp_path, cases=3, on_case=meanwhile).episodes) == 3


def test_a_full_disk_keeps_what_is_finished(real_track, tmp_path):
    """The file may not grow beyond a limit, as on a full disk: the write fails with an OSError."""
    ran = []

    def limit(episode):
        ran.append(episode.case)
        if len(ran) == 3:
            size = (tmp_path / real_track.name / "walker" / PARTIAL).stat().st_size
            resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10, resource.RLIM_INFINITY))

    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        with pytest.raises(RunError, match="3 finished cases in it are kept; make room"):
            run(real_track, f"{AGENTS}:walker", out=tmp_path, cases=6, on_case=limit)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        signal.signal(signal.SIGXFSZ, previous)
    row = run(real_track, f"{AGENTS}:walker", out=tmp_path, cases=6, on_case=lambda e: ran.append(e.case))
    assert ran == ["000", "001", "002", "003", "004", "005"]
    assert len(row.episodes) == 6


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("nowhere:make", "no module 'nowhere'"),
        (f"{AGENTS}:walkr", "did you mean 'walker'"),
        ("walker", "write package.module:factory"),
        ("missing.onnx", "no policy file"),
        (f"{AGENTS}:no_agent", "neither act.* nor register"),
        (f"{AGENTS}:no_seed", "must take the keyword seed"),
    ],
)
def test_what_is_no_agent(spec, message):
    with pytest.raises(AgentError, match=message):
        load_agent(spec)


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("greedy", AgentError, "may not set 'split'"),
        ("long_winded", AgentError, "horizon of 100000; the track allows 300"),
        ("wrong_answer", RunError, "case 000: TypeError: register must return a SimpleITK transform"),
    ],
)
def test_agents_that_cannot_run(real_track, tmp_path, name, error, message):
    with pytest.raises(error, match=message):
        run(real_track, f"{AGENTS}:{name}", out=tmp_path, cases=1)


def test_other_pairs_than_the_track_was_bound_to(real_track, tmp_path):
    """The folder's pair lies elsewhere than the numbers say."""
    scene = real_track.cases[0].scene
    origin = tuple(np.add(scene.moving_grid.origin, 5))
    elsewhere = replace(scene, moving_grid=replace(scene.moving_grid, origin=origin))
    moved = replace(real_track.cases[0], scene=elsewhere)
    with pytest.raises(RunError, match="does not lie where it lay"):
        CaseRunner(real_track, f"{AGENTS}:walker", 0).run(moved)
    with pytest.raises(RunError, match="does not lie where it lay"):
        CaseRunner(real_track, f"{AGENTS}:at_once", 0).run(moved)


def test_another_generator_is_refused(real_track):
    with pytest.raises(RunError, match="frozen with 'phantom 0', this regenv makes 'folder'"):
        CaseRunner(replace(real_track, generator="phantom 0"), f"{AGENTS}:walker", 0)


def test_binding_is_reproducible_and_forgets_the_path(real_track, pairs, tmp_path):
    again = bind(find_track("ctcbct-rigid-real"), pairs)
    assert again.digest == real_track.digest
    assert len(again.cases) == 40
    assert min(case.tre_start for case in again.cases) >= 5
    path = again.save(tmp_path / f"{again.name}.toml")
    assert str(pairs) not in path.read_text()
    assert str(pairs).encode() not in gzip.decompress((tmp_path / f"{again.name}.json.gz").read_bytes())
    frozen = find_track(str(path))
    assert frozen.digest == again.digest
    assert bind(frozen, pairs).digest == again.digest  # a track that was frozen on a folder runs on that folder
    with pytest.raises(DataError, match="fewer than 40 cases"):
        bind(frozen, write_pairs(tmp_path / "others", pairs=1))
    with pytest.raises(TrackError, match="another digest"):
        bind(replace(frozen, cases=frozen.cases[::-1]), pairs)


def test_seconds_are_of_the_agent_and_the_environment(real_track, tmp_path):
    began = time.perf_counter()
    row = run(real_track, f"{AGENTS}:walker", out=tmp_path, cases=3)
    assert 0 < sum(e.seconds for e in row.episodes) < time.perf_counter() - began
