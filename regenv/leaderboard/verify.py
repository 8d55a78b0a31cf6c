"""Verifies a row: its schema, its digests, its actions by replay, and every metric by computing it again.

Needs no image: a track is numbers. Each failure has a kind, so that tests and servers can tell them apart.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from regenv.envs.config import Config
from regenv.evaluation.answers import Answer, PoseAnswer
from regenv.evaluation.episodes import EPISODES, Episode
from regenv.evaluation.runner import metrics_of
from regenv.evaluation.submission import HEADER, Submission, read_submission
from regenv.evaluation.track import Track, TrackCase, TrackError, find_track, read_track, track_names
from regenv.fields import ENV_KEYWORDS, printable
from regenv.leaderboard.replay import replay_episodes
from regenv.reading import UnsafeFileError

KINDS = {
    "missing-file": "a file of the row is not there",
    "unexpected-file": "the folder holds something else than the row's two files",
    "unsafe-file": "a file or the folder is a link, no regular file, or too large",
    "schema": "a file has not the form of a submission",
    "row-name": "the folder is not named for the row",
    "unknown-track": "there is no such track",
    "track-digest": "the row was run on other numbers than the track's",
    "score-version": "the row was scored by another version",
    "env-kwargs": "a keyword of the environment is not allowed or not known",
    "missing-case": "a case of the track was left out",
    "duplicate-case": "a case is there twice",
    "unknown-case": "a case is not of the track, or a seed not of the row",
    "transform": "a transform is not finite or not of the model",
    "action": "an action is not of the action space",
    "after-stop": "actions follow a STOP",
    "unfinished": "an episode breaks off before its end",
    "too-many-steps": "more steps than the track or the row's horizon allows",
    "too-many-evaluations": "more evaluations than the track allows",
    "crash": "the verification itself failed on the row",
    "replay": "the actions do not lead to the transform",
    "metrics": "a metric is not what the transform gives",
}
LEVELS = {
    "claimed": "complete in form; the track's numbers are not at hand, so nothing was recomputed",
    "recomputed": "answers at once: every metric was recomputed from the transforms, which cannot be replayed",
    "replayed": "the actions lead to the same transforms, and every metric was recomputed from them",
    "reproduced": "run again by others on fresh cases",
}
REPLAY_TOLERANCE_MM = 1e-3
METRIC_TOLERANCE = 1e-5


@dataclass(frozen=True)
class Failure:
    """One thing that is wrong.

    Attributes:
        kind: A key of :data:`KINDS`.
        message: The value and what it should be.
        case: Where, or None for the whole row.
    """

    kind: str
    message: str
    case: str | None = None

    def __str__(self) -> str:
        where = f" case {self.case}:" if self.case is not None else ""
        return printable(f"[{self.kind}]{where} {self.message}".replace("\n", "\\n"), limit=500)


@dataclass(frozen=True)
class Verification:
    """What was found of a row.

    Attributes:
        folder: Its folder.
        level: A key of :data:`LEVELS`, or None where anything failed.
        failures: What is wrong.
        submission: Its header, where it can be read.
        track: Its track, where it is at hand.
        episodes: Its cases in the track's order, with recomputed metrics and transforms; none where anything failed.
    """

    folder: Path
    level: str | None
    failures: tuple[Failure, ...]
    submission: Submission | None = None
    track: Track | None = None
    episodes: tuple[Episode, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.failures


class _RefusedError(Exception):
    """Ends the verification early: what follows cannot be checked."""

    def __init__(self, *failures: Failure) -> None:
        super().__init__()
        self.failures = failures


def verify(folder: Path | str, *, track: Track | None = None, trial: bool = False) -> Verification:
    """Verifies the row in a folder.

    Args:
        folder: Holds ``submission.toml`` and ``episodes.jsonl.gz``.
        track: What the row must have been run on; default is the shipped track that it names.
        trial: Accept a row of only the first cases of a track, as trials and the demo write them.
    """
    folder = Path(folder)
    submission: Submission | None = None
    wanted, track = track, None
    try:
        _check_files(folder)
        submission, episodes = _read(folder)
        track = _track_of(folder, submission) if wanted is None else wanted
        if track is None:
            return Verification(folder, "claimed", (), submission)
        config = _check_header(submission, track)
        _check_coverage(submission, track, episodes, trial)
        recomputed, failures = _check_episodes(config, submission, track, episodes)
    except _RefusedError as refused:
        return Verification(folder, None, refused.failures, submission, track)
    except Exception as error:  # whatever a stranger's row brings about must not hide the rows beside it
        crash = Failure("crash", f"{type(error).__name__}: {error}")
        return Verification(folder, None, (crash,), submission, track)
    if failures:
        return Verification(folder, None, tuple(failures), submission, track)
    level = "recomputed" if episodes[0].actions is None else "replayed"
    return Verification(folder, level, (), submission, track, recomputed)


def find_rows(folder: Path | str) -> list[Path]:
    """Folders of rows in a folder: itself, or those in it, at any depth, links and halves of rows too."""
    found = set()
    for here, folders, files in os.walk(folder):  # does not go where links point
        if {HEADER, EPISODES} & {*folders, *files}:
            found.add(Path(here))
        links = (Path(here, name) for name in folders if os.path.islink(Path(here, name)))
        found |= {link for link in links if os.path.lexists(link / HEADER)}
    return sorted(found)


def _check_files(folder: Path) -> None:
    if folder.is_symlink():
        raise _RefusedError(Failure("unsafe-file", f"{folder.name} is a symbolic link; a row is a folder"))
    if not folder.is_dir():
        raise _RefusedError(Failure("missing-file", f"there is no folder {folder}"))
    present = set(os.listdir(folder))
    missing, strange = {HEADER, EPISODES} - present, present - {HEADER, EPISODES}
    failures = [Failure("missing-file", f"{name} is missing") for name in sorted(missing)]
    failures += [Failure("unexpected-file", f"{name} does not belong in a submission") for name in sorted(strange)]
    if failures:
        raise _RefusedError(*failures)


def _read(folder: Path) -> tuple[Submission, tuple[Episode, ...]]:
    try:
        submission, episodes = read_submission(folder)
    except UnsafeFileError as error:
        raise _RefusedError(Failure("unsafe-file", str(error))) from error
    except (OSError, ValueError) as error:
        raise _RefusedError(Failure("schema", str(error))) from error
    if submission.row != folder.resolve().name:
        raise _RefusedError(
            Failure("row-name", f"the row is {submission.row!r}, its folder is {folder.resolve().name!r}")
        )
    if not episodes:
        raise _RefusedError(Failure("schema", "there is no episode"))
    if len({episode.actions is None for episode in episodes}) > 1:
        raise _RefusedError(Failure("schema", "some cases have actions and some have none"))
    return submission, episodes


def _track_of(folder: Path, submission: Submission) -> Track | None:
    beside = folder.resolve().parent
    try:
        return track_beside(beside, submission.track)
    except TrackError as error:
        known = submission.track in track_names() or (beside / f"{submission.track}.toml").is_file()
        raise _RefusedError(Failure("track-digest" if known else "unknown-track", str(error))) from error


def track_beside(folder: Path, name: str) -> Track | None:
    """The shipped track of that name; of others the numbers kept in the folder of its rows.

    Returns:
        None for a shipped template whose numbers are not there.

    Raises:
        TrackError: If there is no such track, or the numbers are those of another.
    """
    kept = folder / f"{name}.toml"
    if name in track_names():
        shipped = find_track(name)
        if not shipped.is_template:
            return shipped
        if not kept.is_file():
            return None
    elif not kept.is_file():
        raise TrackError(f"there is no track {name!r}, neither shipped nor beside the row")
    track = read_track(kept)
    if track.is_template or track.name != name:
        raise TrackError(f"{kept.name} beside the row holds no cases of a track {name!r}")
    if name in track_names() and (
        replace(track, cases=(), generator="").digest != replace(shipped, generator="").digest
    ):
        raise TrackError(f"{kept.name} beside the row is not the track of that name")
    return track


def _check_header(submission: Submission, track: Track) -> Config:
    if submission.track_digest != track.digest:
        raise _RefusedError(
            Failure(
                "track-digest", f"the row was run on digest {submission.track_digest}, the track has {track.digest}"
            )
        )
    if submission.score_version != track.score_version:
        raise _RefusedError(
            Failure("score-version", f"scored by {submission.score_version}, the track by {track.score_version}")
        )
    if submission.method.uses_truth and submission.method.family != "reference":
        raise _RefusedError(Failure("schema", "a method that uses the truth must be of the family 'reference'"))
    foreign = sorted(set(submission.env_kwargs) - set(ENV_KEYWORDS))
    if foreign:
        raise _RefusedError(Failure("env-kwargs", f"{foreign} belong to the track or are unknown"))
    try:
        config = track.config(**submission.env_kwargs)
        config.make_process(1)  # some values are found bad only here
    except (ValueError, TypeError) as error:
        raise _RefusedError(Failure("env-kwargs", str(error))) from error
    if config.horizon > track.max_steps:
        raise _RefusedError(Failure("too-many-steps", f"horizon {config.horizon}, the track allows {track.max_steps}"))
    return config


def _check_coverage(submission: Submission, track: Track, episodes: tuple[Episode, ...], trial: bool) -> None:
    """Every case of the track with every seed of the row, once."""
    count = min(submission.cases, len(track.cases)) if trial else len(track.cases)
    wanted = {(case.id, seed) for case in track.cases[:count] for seed in submission.seeds}
    counts = Counter(episode.key for episode in episodes)
    failures = [
        Failure("duplicate-case", f"{n} times with seed {key[1]}", key[0]) for key, n in counts.items() if n > 1
    ]
    failures += [
        Failure("unknown-case", f"not in the track with seed {key[1]}", key[0]) for key in counts.keys() - wanted
    ]
    missing = sorted(wanted - counts.keys())
    if missing:
        named = ", ".join(case for case, _ in missing[:5]) + (" ..." if len(missing) > 5 else "")
        failures.append(Failure("missing-case", f"{len(missing)} of {len(wanted)} cases are missing: {named}"))
    if failures:
        raise _RefusedError(*failures)


def _check_episodes(
    config: Config, submission: Submission, track: Track, episodes: tuple[Episode, ...]
) -> tuple[tuple[Episode, ...], list[Failure]]:
    """Transforms, limits, replay and metrics; gives the episodes with their own numbers put in place."""
    failures: list[Failure] = []
    cases = {case.id: case for case in track.cases}
    order = {case_id: n for n, case_id in enumerate(cases)}
    episodes = tuple(sorted(episodes, key=lambda e: (submission.seeds.index(e.seed), order[e.case])))
    finals: dict[tuple[str, int], Answer] = {}
    for episode in episodes:
        failures += [Failure(kind, text, episode.case) for kind, text in _out_of_bounds(episode, track)]
        try:
            finals[episode.key] = cases[episode.case].answer(episode.transform)
        except (ValueError, TypeError) as error:
            failures.append(Failure("transform", str(error), episode.case))
    if failures:
        return (), failures
    if episodes[0].actions is not None:
        replayed, refused = replay_episodes(config, track, episodes)
        failures += [Failure(error.kind, str(error), key[0]) for key, error in refused.items()]
        for key, pose in replayed.items():
            case = cases[key[0]]
            led = PoseAnswer(pose, case.poses, case.scene)
            gap = _largest_gap(case, led, finals[key])
            if gap > REPLAY_TOLERANCE_MM:
                failures.append(Failure("replay", f"the actions lead {gap:.3g} mm away from the transform", key[0]))
            finals[key] = led
    recomputed = []
    for episode in episodes:
        final = finals[episode.key]
        metrics = metrics_of(cases[episode.case], final)
        failures += [Failure("metrics", text, episode.case) for text in _differing(episode.metrics, metrics)]
        recomputed.append(replace(episode, metrics=metrics, transform=final.value))
    return tuple(recomputed), failures


def _out_of_bounds(episode: Episode, track: Track) -> Iterable[tuple[str, str]]:
    """Kind and message of what is wrong with an episode's counts."""
    if episode.steps > track.max_steps:
        yield "too-many-steps", f"{episode.steps}, the track allows {track.max_steps}"
    if episode.evaluations > track.max_evaluations:
        yield "too-many-evaluations", f"{episode.evaluations}, the track allows {track.max_evaluations}"
    if episode.actions is not None and episode.evaluations < episode.steps:
        yield "schema", f"{episode.steps} steps cannot have taken only {episode.evaluations} evaluations"


def _largest_gap(case: TrackCase, first: Answer, second: Answer) -> float:
    """Largest distance in mm between the images of the case's points under two transforms."""
    points = case.target.points
    return float(np.linalg.norm(first.carry(points) - second.carry(points), axis=1).max())


def _differing(claimed: Mapping[str, float], computed: Mapping[str, float]) -> Iterable[str]:
    for name in sorted(set(claimed) | set(computed)):
        if name not in claimed or name not in computed:
            yield f"{name} is {'not stated' if name in computed else 'no metric of this track'}"
        elif not math.isclose(claimed[name], computed[name], rel_tol=METRIC_TOLERANCE, abs_tol=METRIC_TOLERANCE):
            yield f"{name} is stated as {claimed[name]:.6g}, the transform gives {computed[name]:.6g}"
