"""``regenv track new`` and sets of tracks: frozen once, nothing left out in silence, one failure stops nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
from typer.testing import CliRunner

from regenv.cli import app
from regenv.errors import DataError
from regenv.evaluation.cases import new_track
from regenv.evaluation.sweep import sweep
from regenv.evaluation.track import TrackError, find_track, read_track

from .conftest import AGENTS

FLAT, LINEAR = "ProstateMR-SDM2D-v0", "CTMR-Similarity2D-v0"


def regenv(*arguments):
    return CliRunner().invoke(app, [*map(str, arguments)])


def test_a_track_is_frozen_once(tmp_path):
    path = tmp_path / "mine.toml"
    arguments = ("track", "new", LINEAR, "--cases", 4, "--starts-per-pair", 2, "--split", "train", "-o", path)
    result = regenv(*arguments)
    assert result.exit_code == 0, result.output
    track = read_track(path)
    assert (track.name, track.max_steps, track.success_mm) == ("mine", 300, 5.0)
    assert [case.id for case in track.cases] == ["000", "001", "002", "003"]
    assert track.cases[0].pair == track.cases[2].pair != track.cases[1].pair  # all pairs before one comes again
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine.json.gz", "mine.toml"]
    assert isinstance(regenv(*arguments).exception, TrackError)
    assert regenv(*arguments, "--force").exit_code == 0
    assert read_track(path).digest == track.digest
    assert isinstance(regenv("track", "new", FLAT, "-o", tmp_path / "mine").exception, TrackError)


def test_the_shipped_template_is_what_the_command_makes(tmp_path):
    shipped = find_track("ctcbct-rigid-real")
    options = ("--dataset", "folder:", "--starts-per-pair", 20, "--title", shipped.title)
    assert regenv("track", "new", shipped.env_id, *options, "-o", tmp_path / f"{shipped.name}.toml").exit_code == 0
    assert read_track(tmp_path / f"{shipped.name}.toml").digest == shipped.digest


def test_a_deformation_starts_at_the_given_alignment():
    track = new_track(FLAT, "given", cases=2, split="train")
    assert [case.start.any() for case in track.cases] == [False, False]
    assert track.scale.smallest_start_mm >= track.success_mm


def test_pairs_without_a_start_are_left_out_and_counted(capsys):
    far = new_track(FLAT, "far", cases=2, split="train", min_tre_mm=2.0)
    said = capsys.readouterr().err
    assert len(far.cases) == 2 and far.scale.smallest_start_mm >= 2
    assert "left out" in said and "min_tre_mm" in said
    with pytest.raises(DataError, match="no case in the"):
        new_track(FLAT, "further", cases=2, split="train", min_tre_mm=1000.0)


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"cases": 10**6, "split": "validation"}, "fewer than 1000000 cases"),
        ({"split": "train"}, "has no end: say how many pairs"),
        ({"min_tre_mm": 0.0}, "over 0 mm"),
        ({"max_steps": 10}, "200 steps"),
        ({"per_pair": 2}, "have one start each"),
        ({"field_of_view": "nose"}, "nose"),
        ({"title": "two\nlines"}, "one line"),
    ],
)
def test_slips(keywords, words):
    with pytest.raises(ValueError, match=words):
        new_track(FLAT, "slip", **{"split": "validation", **keywords})
    with pytest.raises(ValueError, match="must be a name"):
        new_track(FLAT, "../up")


def test_a_sweep_goes_on_after_a_failure_and_takes_over_what_is_finished(real_track, tmp_path, capsys):
    short = replace(real_track, name="short", cases=real_track.cases[:3])
    agents = [f"{AGENTS}:walker", f"{AGENTS}:greedy", f"{AGENTS}:at_once"]
    rows, failures = sweep([short, real_track], agents, out=tmp_path, cases=2)
    assert [(track.name, row.submission.row) for track, row in rows] == [
        (track.name, name) for track in (short, real_track) for name in ("walker", "at-once")
    ]
    assert len(failures) == 2 and "greedy on short: " in failures[0] and "may not set 'split'" in failures[0]
    said = capsys.readouterr().err
    assert "3 agents on 2 tracks: 12 of 12 done" in said and failures[1] in said
    again, _ = sweep([short, real_track], agents, out=tmp_path, cases=2)
    assert all(row.kept for _, row in again)


def test_evaluate_several_tracks(tmp_path):
    for name in ("one", "two"):
        new_track(FLAT, name, cases=1, split="train").save(tmp_path / f"{name}.toml")
    tracks = (tmp_path / "one.toml", tmp_path / "two.toml")
    out = ("--out", tmp_path / "rows")
    result = regenv("evaluate", *tracks, "-a", "agents.given:factory", *out, "--metrics", "jacobians")
    assert result.exit_code == 0, result.output
    assert "one: 1 cases" in result.output and "two: 1 cases" in result.output
    assert result.output.count("given jacobians: sdlogj") == 2
    result = regenv("evaluate", *tracks, "-a", "agents.given:factory", "-a", f"{AGENTS}:wrong_answer", *out)
    assert result.exit_code == 1
    assert "2 failed" in result.output and "taken over" in result.output
    assert regenv("evaluate", "-a", "agents.given:factory").exit_code == 2
    assert regenv("evaluate", "--all", tracks[0], "-a", "agents.given:factory").exit_code == 2
    assert regenv("evaluate", tracks[0], tracks[0], "-a", "agents.given:factory").exit_code == 2
