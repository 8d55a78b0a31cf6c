"""Methods that answer at once, on volumes, 2-D images, radiographs and deformations: good answers, or clear words."""

from __future__ import annotations

import pytest

from regenv.evaluation.cases import new_track
from regenv.evaluation.episodes import RunError
from regenv.evaluation.runner import run
from regenv.leaderboard.verify import verify


def row_of(env_id, agent, out):
    track = new_track(env_id, env_id.lower(), cases=1, split="train")
    row = run(track, f"agents.{agent}:factory", out=out)
    found = verify(row.folder)
    assert (found.level, found.failures) == ("recomputed", ())
    return track.cases[0], found.episodes[0].metrics


@pytest.mark.parametrize("env_id", ["T1T2-Rigid-v0", "CTMR-Affine2D-v0"])
def test_simpleitk_registers_volumes_and_flat_images(env_id, tmp_path):
    _, metrics = row_of(env_id, "simpleitk", tmp_path)
    assert metrics["tre"] < 1 < 5 < metrics["tre_start"]


@pytest.mark.parametrize("agent", ["header", "centre"])
@pytest.mark.parametrize("env_id", ["XRayCT-Rigid-v0", "SliceMR-Rigid-v0", "CTCBCT-SDM-v0"])
def test_frames_and_centres_do_not_tell_the_truth(env_id, agent, tmp_path):
    _, metrics = row_of(env_id, agent, tmp_path)
    assert metrics["tre"] > 20


@pytest.mark.parametrize("env_id", ["CTCBCT-SDM-v0", "ProstateMR-SDM2D-v0"])
def test_the_given_alignment_is_the_pose_that_deforms_nothing(env_id, tmp_path):
    case, metrics = row_of(env_id, "given", tmp_path)
    assert metrics["tre"] == pytest.approx(case.tre(case.answer(case.poses.origin.tolist())), abs=1e-6)


@pytest.mark.parametrize(
    ("env_id", "agent", "words"),
    [
        ("T1T2-Rigid-v0", "given", "given no alignment"),
        ("XRayCT-Rigid-v0", "simpleitk", "registers volumes and 2-D images"),
        ("ProstateMR-SDM2D-v0", "simpleitk", "not linear"),
    ],
)
def test_what_a_method_cannot_do_is_said(env_id, agent, words, tmp_path):
    with pytest.raises(RunError, match=words):
        row_of(env_id, agent, tmp_path)
