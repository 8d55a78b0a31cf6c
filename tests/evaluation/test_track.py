"""Track files: numbers in, the same numbers and digest out, and clear words for broken ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from regenv.core.points import mean_tre
from regenv.evaluation.cases import generator_of, track_dataset
from regenv.evaluation.track import TrackError, bind, find_track, read_track, track_names


def test_saved_track_is_the_same(real_track, tmp_path):
    read = read_track(real_track.save(tmp_path))
    assert read.digest == real_track.digest
    for mine, theirs in zip(read.cases, real_track.cases, strict=True):
        assert np.array_equal(mine.start, theirs.start)
        assert np.array_equal(mine.lattice, theirs.lattice)
        assert mine.tre_start == theirs.tre_start
    first = (tmp_path / f"{read.name}.json.gz").read_bytes()
    read.save(tmp_path)
    assert (tmp_path / f"{read.name}.json.gz").read_bytes() == first


def test_error_of_a_case(real_track):
    case = real_track.cases[0]
    assert case.tre(case.truth) == pytest.approx(0, abs=1e-9)
    assert case.tre_start == pytest.approx(float(mean_tre(case.start, case.truth, case.points[0])))
    landmarks = replace(
        case, lattice=None, landmarks_fixed=case.points[0][:4], landmarks_moving=case.points[1][:4] + [3, 4, 0]
    )
    assert landmarks.tre(case.truth) == pytest.approx(5)
    assert landmarks.landmark_tre(case.truth) == pytest.approx(5)
    with pytest.raises(TrackError, match="neither a lattice nor landmarks"):
        replace(case, lattice=None).tre(case.truth)


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
    headers = [case.tre(np.eye(4)) for case in track.cases]
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
    with pytest.raises(TrackError, match="lacks"):
        find_track(str(tmp_path / "odd.toml"))
    with pytest.raises(TrackError, match="no case 'x'"):
        find_track("ctcbct-rigid").case("x")


def test_another_score_is_refused(real_track, tmp_path):
    path = replace(real_track, score_version=9).save(tmp_path)
    with pytest.raises(TrackError, match="scored by version 9"):
        read_track(path)
