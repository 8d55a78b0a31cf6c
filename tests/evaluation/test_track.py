"""Track files: numbers in, the same numbers and digest out, and clear words for broken ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from regenv.core.points import mean_tre
from regenv.core.scene import Target
from regenv.evaluation.cases import bind, generator_of, track_dataset
from regenv.evaluation.track import TrackError, find_track, read_track, track_names


def test_saved_track_is_the_same(real_track, tmp_path):
    read = read_track(real_track.save(tmp_path / f"{real_track.name}.toml"))
    assert read.digest == real_track.digest
    for mine, theirs in zip(read.cases, real_track.cases, strict=True):
        assert np.array_equal(mine.start, theirs.start)
        assert np.array_equal(mine.target.points, theirs.target.points)
        assert mine.tre_start == theirs.tre_start
    first = (tmp_path / f"{read.name}.json.gz").read_bytes()
    read.save(tmp_path / f"{read.name}.toml")
    assert (tmp_path / f"{read.name}.json.gz").read_bytes() == first


def test_error_of_a_case(real_track):
    case, target = real_track.cases[0], real_track.cases[0].target
    truth = case.answer(target.pose.tolist())
    assert case.tre(truth) == pytest.approx(0, abs=1e-9)
    assert case.landmark_tre(truth) is None
    assert case.tre_start == pytest.approx(float(mean_tre(case.start, target.pose, target.points)))
    four, partners = target.points[:4], target.partners[:4] + [3, 4, 0]
    landmarks = replace(case, target=Target(target.pose, four, partners, four, partners))
    assert landmarks.tre(truth) == pytest.approx(5)
    assert landmarks.landmark_tre(truth) == pytest.approx(5)


def test_errors_that_nothing_shows_are_not_counted(real_track):
    """One camera looks along an axis of the fixed image; the axis turns with the transform."""
    case = real_track.cases[0]
    blind = case.scene.frame[:3, 2]
    one = replace(case, scene=replace(case.scene, blind_axis=blind))
    along = case.target.pose[:3, :3] @ blind
    away = np.eye(4)
    away[:3, 3] = 7 * along
    assert case.tre(case.answer((away @ case.target.pose).tolist())) == pytest.approx(7)
    assert one.tre(one.answer((away @ case.target.pose).tolist())) == pytest.approx(0, abs=1e-9)
    read = type(one).from_json(one.to_json(), one.poses)
    assert np.allclose(read.scene.blind_axis, blind, atol=1e-8)


def test_digest_is_of_every_number_and_no_path(real_track):
    assert replace(real_track, dataset="folder:elsewhere").digest == real_track.digest
    case = real_track.cases[0]
    nudged = replace(case, start=case.start + np.eye(4) * 1e-6)
    assert replace(real_track, cases=(nudged, *real_track.cases[1:])).digest != real_track.digest
    assert replace(real_track, max_steps=301).digest != real_track.digest


def test_shipped_tracks_are_whole():
    assert {"ctcbct-rigid", "ctcbct-rigid-real"} <= set(track_names())
    track = find_track("ctcbct-rigid")
    assert len(track.cases) == 200
    assert len({case.subject for case in track.cases}) == 40
    assert len({case.subject for case in track.cases[:40]}) == 40
    assert len({case.id for case in track.cases}) == 200
    assert min(case.tre_start for case in track.cases) >= 5
    # Neither the frames nor the centres tell the truth.
    headers = [case.tre(case.answer(np.eye(4).tolist())) for case in track.cases]
    assert np.median(headers) > 50
    with pytest.raises(TrackError, match="brings its own pairs"):
        bind(track, "somewhere")


def test_the_frozen_track_is_of_this_generator():
    """Whoever changes what the phantom looks like freezes a new track, or nobody can run the shipped one."""
    track = find_track("ctcbct-rigid")
    assert generator_of(track_dataset(track)) == track.generator


def test_slips_are_answered_with_the_near_miss(tmp_path):
    with pytest.raises(TrackError, match="did you mean 'ctcbct-rigid'"):
        find_track("ctcbct-rigd")
    with pytest.raises(TrackError, match="cannot be read as a track"):
        find_track(str(tmp_path / "none.toml"))
    (tmp_path / "odd.toml").write_text('name = "odd"')
    with pytest.raises(TrackError, match="schema 1, this regenv reads 2: freeze it again"):
        find_track(str(tmp_path / "odd.toml"))
    (tmp_path / "odd.toml").write_text('schema = 2\nname = "odd"')
    with pytest.raises(TrackError, match="lacks"):
        find_track(str(tmp_path / "odd.toml"))
    with pytest.raises(TrackError, match="no case 'x'"):
        find_track("ctcbct-rigid").case("x")


def test_another_score_is_refused(real_track, tmp_path):
    path = replace(real_track, score_version=9).save(tmp_path / "x.toml")
    with pytest.raises(TrackError, match="scored by version 9"):
        read_track(path)
