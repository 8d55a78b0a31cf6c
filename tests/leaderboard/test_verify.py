"""An honest row passes; each kind of tampering is refused with its own kind of failure."""

import gzip
import json
import time
import tomllib
from dataclasses import replace

import numpy as np
import pytest
import tomli_w

from regenv.evaluation.cases import bind
from regenv.evaluation.episodes import EPISODES, Episode
from regenv.evaluation.runner import metrics_of
from regenv.evaluation.submission import HEADER
from regenv.evaluation.track import find_track
from regenv.leaderboard.replay import decode, replay
from regenv.leaderboard.verify import KINDS, LEVELS, find_rows, verify

from .conftest import greedy_episode, make_track, write_row


def kinds(folder, **options):
    found = verify(folder, **options)
    assert (found.level is None) == bool(found.failures)
    assert all(failure.kind in KINDS for failure in found.failures)
    return {failure.kind for failure in found.failures}


def edit_header(folder, **changes):
    document = tomllib.loads((folder / HEADER).read_text())
    for key, value in changes.items():
        document.pop(key) if value is None else document.update({key: value})
    (folder / HEADER).write_text(tomli_w.dumps(document))


def edit_lines(folder, edit):
    records = [json.loads(line) for line in gzip.decompress((folder / EPISODES).read_bytes()).splitlines()]
    records = edit(records) or records
    (folder / EPISODES).write_bytes(gzip.compress("".join(json.dumps(r) + "\n" for r in records).encode()))


@pytest.fixture()
def row(root, track, honest):
    return write_row(root, track, "expert", honest)


def test_an_honest_row_replays(row, honest):
    found = verify(row)
    assert found.failures == ()
    assert found.level == "replayed"
    assert [e.metrics["tre"] for e in found.episodes] == pytest.approx([e.metrics["tre"] for e in honest], abs=1e-9)
    assert max(e.metrics["tre"] for e in found.episodes) < 3  # the expert does get there


@pytest.mark.parametrize(
    "keywords",
    [
        {"actions": "unit", "steps": [1.0], "horizon": 150},
        {"actions": "multidiscrete", "steps": [4.0, 1.0]},
        {"actions": "continuous", "stop": True},
        {"preset": "liao2017"},
    ],
)
def test_every_action_scheme_replays(root, track, keywords):
    process = track.config(**keywords).make_process(1)
    episodes = [greedy_episode(track, process, case) for case in track.cases]
    found = verify(write_row(root, track, "other", episodes, env_kwargs=keywords))
    assert found.failures == ()
    assert found.level == "replayed"


def test_a_method_that_answers_at_once_is_labelled_so(root, track, honest):
    at_once = [replace(e, actions=None, steps=0, evaluations=0) for e in honest]
    assert verify(write_row(root, track, "at-once", at_once)).level == "recomputed"
    assert set(LEVELS) == {"claimed", "recomputed", "replayed", "reproduced"}


def test_several_seeds(root, track, process):
    episodes = [greedy_episode(track, process, case, seed) for seed in (3, 5) for case in track.cases]
    assert verify(write_row(root, track, "seeds", episodes)).ok


def test_without_the_numbers_a_row_is_only_claimed(tmp_path, track, honest):
    found = verify(write_row(tmp_path, track, "expert", honest))
    assert (found.level, found.ok, found.episodes) == ("claimed", True, ())


def test_files(row):
    (row / "moved.nii.gz").write_bytes(b"x")
    assert kinds(row) == {"unexpected-file"}
    (row / "moved.nii.gz").unlink()
    (row / EPISODES).rename(row.parent / "elsewhere")
    assert kinds(row) == {"missing-file"}
    assert kinds(row.parent / "nowhere") == {"missing-file"}


@pytest.mark.parametrize(
    "changes",
    [
        {"schema": 99},
        {"seeds": []},
        {"seeds": [0, 0]},
        {"cases": "six"},
        {"agent": None},
        {"surprise": 1},
        {"method": {"name": "x", "family": "magic"}},
        {"method": {"name": "x", "colour": "red"}},
    ],
)
def test_header_schema(row, changes):
    edit_header(row, **changes)
    assert kinds(row) == {"schema"}


def test_header_that_is_no_toml(row):
    (row / HEADER).write_text("row = [")
    assert kinds(row) == {"schema"}


def test_using_the_truth_makes_a_reference(row):
    method = {"name": "expert", "family": "rl", "uses_truth": True}
    edit_header(row, method=method)
    assert kinds(row) == {"schema"}


def test_renamed_row(row):
    edit_header(row, row="best")
    assert kinds(row) == {"row-name"}


def test_other_track(row):
    edit_header(row, track="easy-peasy")
    assert kinds(row) == {"unknown-track"}


def test_other_numbers(row, root, track):
    edit_header(row, track_digest="0" * 32)
    assert kinds(row) == {"track-digest"}


def test_a_track_of_ones_own_under_a_shipped_name(root, honest, track):
    """Starts a millimetre from the truth, and a longer leash: not the track of that name."""
    easy = replace(track, max_steps=10**6)
    row = write_row(root, easy, "expert", honest)
    easy.save(root / easy.name / f"{easy.name}.toml")
    assert kinds(row) == {"track-digest"}


def test_numbers_changed_under_the_digest(row, root, track):
    path = root / track.name / f"{track.name}.json.gz"
    records = json.loads(gzip.decompress(path.read_bytes()))
    records[0]["start"] = records[0]["target"]["pose"]
    path.write_bytes(gzip.compress(json.dumps(records).encode()))
    assert kinds(row) == {"track-digest"}


def test_score_version(row):
    edit_header(row, score_version=99)
    assert kinds(row) == {"score-version"}


@pytest.mark.parametrize(
    "keywords", [{"split": "train"}, {"misalignment": {"mm": 1.0}}, {"actoins": "unit"}, {"steps": [-1.0]}]
)
def test_keywords_of_the_environment(row, keywords):
    edit_header(row, env_kwargs=keywords)
    assert kinds(row) == {"env-kwargs"}


def test_longer_horizon_than_the_track(row):
    edit_header(row, env_kwargs={"horizon": 5000})
    assert kinds(row) == {"too-many-steps"}


def test_left_out_case(row):
    edit_lines(row, lambda records: records[:-1])
    edit_header(row, cases=5)
    assert kinds(row) == {"missing-case"}
    assert kinds(row, trial=True) == set()


def test_duplicate_case(row):
    edit_lines(row, lambda records: [*records, records[0]])
    assert kinds(row) == {"duplicate-case"}


def test_unknown_case_and_seed(row):
    edit_lines(row, lambda records: records[1].update(case="777"))
    assert kinds(row) == {"unknown-case", "missing-case"}


def test_unknown_seed(row):
    edit_lines(row, lambda records: records[1].update(seed=9))
    assert kinds(row) == {"unknown-case", "missing-case"}


@pytest.mark.parametrize(
    "change",
    [
        {"steps": -1},
        {"steps": True},
        {"seconds": float("nan")},
        {"seconds": -1},
        {"evaluations": 1.5},
        {"metrics": {"tre": "small"}},
        {"actions": "up"},
        {"case": 3},
        {"surprise": 1},
    ],
)
def test_episode_schema(row, change):
    edit_lines(row, lambda records: records[2].update(change))
    assert kinds(row) == {"schema"}


def test_steps_must_be_those_of_the_actions(row):
    edit_lines(row, lambda records: records[2].update(steps=1))
    assert kinds(row) == {"schema"}


def test_actions_and_none_mixed(row):
    edit_lines(row, lambda records: records[2].update(actions=None))
    assert kinds(row) == {"schema"}


def test_damaged_gzip(row):
    content = (row / EPISODES).read_bytes()
    (row / EPISODES).write_bytes(content[: len(content) // 2])
    assert kinds(row) == {"schema"}


def test_transform_that_is_none_of_the_model(row):
    scaled = np.diag([2.0, 2.0, 2.0, 1.0]).tolist()
    edit_lines(row, lambda records: records[0].update(transform=scaled))
    edit_lines(row, lambda records: records[1].update(transform=[[1, 2], [3, 4]]))
    assert kinds(row) == {"transform"}


def test_better_transform_than_the_actions_lead_to(row, track):
    """The truth itself, with metrics that fit it: only the replay can tell."""

    def forge(records):
        case = track.cases[0]
        truth = case.target.pose.tolist()
        records[0].update(transform=truth, metrics=metrics_of(case, case.answer(truth)))

    edit_lines(row, forge)
    assert kinds(row) == {"replay", "metrics"}


def test_prettier_metrics(row):
    edit_lines(row, lambda records: records[0]["metrics"].update(tre=0.01))
    assert kinds(row) == {"metrics"}


def test_missing_and_invented_metrics(row):
    edit_lines(row, lambda records: records[0]["metrics"].pop("score") and None)
    assert kinds(row) == {"metrics"}
    edit_lines(row, lambda records: records[1]["metrics"].update(beauty=1.0))
    assert len(verify(row).failures) == 2


def test_other_actions(row):
    def swap(records):
        records[0]["actions"][0] = (records[0]["actions"][0] + 2) % 4

    edit_lines(row, swap)
    assert "replay" in kinds(row)


@pytest.mark.parametrize("action", [25, -1, 1.5, [1, 2]])
def test_actions_outside_the_space(row, action):
    def spoil(records):
        records[0]["actions"][0] = action

    edit_lines(row, spoil)
    assert kinds(row) == {"action"}


def test_actions_after_stop(row):
    def go_on(records):
        records[0]["actions"].append(0)
        records[0].update(steps=records[0]["steps"] + 1, evaluations=records[0]["evaluations"] + 1)

    edit_lines(row, go_on)
    assert kinds(row) == {"after-stop"}


def test_broken_off_episode(row):
    def cut(records):
        del records[0]["actions"][-1]
        records[0]["steps"] -= 1

    edit_lines(row, cut)
    assert kinds(row) == {"unfinished"}


def test_more_steps_than_the_horizon(row):
    def stretch(records):
        records[0]["actions"] = [0, 1] * 60
        records[0].update(steps=120, evaluations=120)

    edit_lines(row, stretch)
    assert kinds(row) == {"too-many-steps"}


def test_too_many_evaluations(row, track):
    edit_lines(row, lambda records: records[0].update(evaluations=track.max_evaluations + 1))
    assert kinds(row) == {"too-many-evaluations"}


def test_two_hundred_cases_take_seconds(tmp_path):
    track = make_track(200)
    track.save(tmp_path / track.name / f"{track.name}.toml")
    config = track.config()
    process = config.make_process(1)
    one = [greedy_episode(track, process, case) for case in track.cases[:10]]
    template = {e.case: e for e in one}
    # Any actions will do for the time: those of the first ten, with what they lead to from the other starts.
    episodes = []
    for n, case in enumerate(track.cases):
        actions = template[f"{n % 10:03d}"].actions
        final = replay(config, [case], [decode(process, actions)[0]])[0].tolist()
        metrics = metrics_of(case, case.answer(final))
        episodes.append(Episode(case.id, 0, actions, final, len(actions), len(actions), 0.1, metrics))
    row = write_row(tmp_path, track, "long", episodes)
    began = time.perf_counter()
    found = verify(row)
    assert found.level == "replayed"
    assert time.perf_counter() - began < 15


def test_rows_are_found_at_any_depth(root, track, honest):
    first, second = write_row(root, track, "a", honest), write_row(root, track, "b", honest)
    assert find_rows(root) == [first, second]
    assert find_rows(first) == [first]


def test_the_template_of_real_pairs_ships_and_asks_for_data():
    template = find_track("ctcbct-rigid-real")
    assert template.is_template
    with pytest.raises(ValueError, match="--data PATH"):
        bind(template, None)
