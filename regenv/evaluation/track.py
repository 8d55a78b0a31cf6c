"""Tracks: frozen tasks. A track is numbers (scenes, starts, truths), never pixels, and a digest over them.

``NAME.toml`` holds the header, and the file it names (``NAME.json.gz``) the cases. A track without a cases file is a
template: its cases are derived, always alike, from the folder of real pairs that the user names at run time.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w

from regenv import fields
from regenv.core.geometry import FloatArray
from regenv.core.points import mean_error
from regenv.core.scene import Scene, Target
from regenv.envs.config import Config, make_config
from regenv.errors import near_miss
from regenv.evaluation.answers import Answer, read_answer
from regenv.evaluation.numbers import rounded, scene_from_json, scene_to_json, target_from_json, target_to_json
from regenv.evaluation.score import SCORE_VERSION, Scale
from regenv.files import write_atomically
from regenv.poses.base import PoseModel
from regenv.reading import gunzip, parse_json, parse_toml, read_bounded
from regenv.resources import resource_dir, resource_names

SCHEMA_VERSION = 2


class TrackError(ValueError):
    """A track cannot be found, read or used; the message names the file and the fix."""


@dataclass(frozen=True, eq=False)
class TrackCase:
    """One registration problem of a track: the numbers of an environment's case, its truth, and where it starts.

    Attributes:
        id: Unique within the track.
        pair: The pair's id as the environment's reset takes it; on the test split an opaque index.
        subject: Whose images they are.
        start: The start pose.
        scene: Where the images lie.
        target: What the truth says of poses.
        poses: The environment's pose model.
    """

    id: str
    pair: str
    subject: str
    start: FloatArray
    scene: Scene
    target: Target
    poses: PoseModel

    def answer(self, value: Any) -> Answer:
        """A final transform as a row stores it; ValueError where it is none of this case."""
        return read_answer(value, self.scene, self.poses)

    def tre(self, answer: Answer) -> float:
        """Mean TRE of a final transform, mm."""
        return self._error(answer, self.target.points, self.target.partners)

    def landmark_tre(self, answer: Answer) -> float | None:
        """Mean TRE on the named landmarks, reported apart; None where there are none."""
        fixed, moving = self.target.landmarks_fixed, self.target.landmarks_moving
        return None if fixed is None or moving is None else self._error(answer, fixed, moving)

    def _error(self, answer: Answer, points: FloatArray, partners: FloatArray) -> float:
        blind = self.scene.blind_axis
        if blind is not None:  # as it lies in the moving image
            centre = self.scene.frame[:-1, -1]
            there, here = answer.carry(np.stack([centre + blind, centre]))
            blind = (there - here) / np.linalg.norm(there - here)
        return mean_error(answer.carry(points), partners, blind)

    @cached_property
    def tre_start(self) -> float:
        """Mean TRE of the start, mm."""
        return self.tre(self.answer(self.start.tolist()))

    def to_json(self) -> dict[str, Any]:
        """Plain numbers, rounded so that the last bit, which differs between machines, is not in them."""
        return {
            "id": self.id,
            "pair": self.pair,
            "subject": self.subject,
            "start": rounded(self.start),
            "scene": scene_to_json(self.scene),
            "target": target_to_json(self.target, self.scene),
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any], poses: PoseModel) -> TrackCase:
        """The inverse of :meth:`to_json`."""
        scene = scene_from_json(record["scene"])
        return cls(
            id=str(record["id"]),
            pair=str(record["pair"]),
            subject=str(record["subject"]),
            start=np.asarray(record["start"], dtype=np.float64),
            scene=scene,
            target=target_from_json(record["target"], scene),
            poses=poses,
        )


@dataclass(frozen=True, eq=False)
class Track:
    """A frozen task.

    Attributes:
        name: Such as ``"ctcbct-rigid"``.
        title: One line.
        env_id: The environment.
        dataset: ``"phantom"``; ``"folder:"`` of somebody's own pairs, ``"folder:PATH"`` once it is bound to them.
        split: Nearly always ``"test"``.
        field_of_view: Of the embedded anatomy.
        generator: Name and version of what made the pairs.
        success_mm: Error under which a case is a success.
        max_steps: Most steps of an episode.
        max_evaluations: Most evaluations of a similarity in one case.
        score_version: Version of the score.
        starts: How the starts were drawn (``misalignment``, ``min_tre_mm``, ``seed``, ``per_pair``).
        cases: The problems; none in a template.
    """

    name: str
    title: str
    env_id: str
    dataset: str
    split: str = "test"
    field_of_view: str = "torso"
    generator: str = ""
    success_mm: float = 5.0
    max_steps: int = 300
    max_evaluations: int = 20000
    score_version: int = SCORE_VERSION
    starts: Mapping[str, Any] = field(default_factory=dict)
    cases: tuple[TrackCase, ...] = ()

    def __post_init__(self) -> None:
        fields.name("the track's name", self.name)  # a stranger's track comes beside a stranger's rows
        fields.text("the track's title", self.title)

    @property
    def is_template(self) -> bool:
        """Whether the cases have still to be derived from a folder of real pairs."""
        return not self.cases

    @cached_property
    def digest(self) -> str:
        """Hash of every number of the task. The folder's path is no part of it, and no pixel is."""
        document = [self._header(), [case.to_json() for case in self.cases]]
        return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:32]

    @cached_property
    def scale(self) -> Scale:
        """What counts as near and far: the success threshold and the smallest start of the cases."""
        return Scale(self.success_mm, min(case.tre_start for case in self.cases))

    def config(self, **keywords: Any) -> Config:
        """The environment on the track's pairs, with the keywords that an agent asks for.

        Raises:
            ValueError: If a keyword is unknown or has a bad value.
        """
        given = {key: tuple(value) if isinstance(value, list) else value for key, value in keywords.items()}
        own: dict[str, Any] = {"split": self.split, "dataset": self.dataset, "field_of_view": self.field_of_view}
        given.setdefault("reward_scale", 1.0)  # what a replay pays is of no account
        return make_config(self.env_id, **{**given, **own})

    def case(self, case_id: str) -> TrackCase:
        """The case of that id.

        Raises:
            TrackError: If there is none.
        """
        for case in self.cases:
            if case.id == case_id:
                return case
        raise TrackError(f"track {self.name} has no case {case_id!r}; {near_miss(case_id, [c.id for c in self.cases])}")

    def _header(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA_VERSION,
            "name": self.name,
            "title": self.title,
            "env_id": self.env_id,
            "dataset": "folder:" if ":" in self.dataset else self.dataset,  # a path tells of its user's machine
            "split": self.split,
            "field_of_view": self.field_of_view,
            "generator": self.generator,
            "success_mm": self.success_mm,
            "score_version": self.score_version,
            "limits": {"steps": self.max_steps, "evaluations": self.max_evaluations},
            "starts": dict(self.starts),
        }

    def save(self, path: Path) -> Path:
        """Writes the header to ``path`` and the cases beside it, each whole or not at all, and returns ``path``.

        A track on somebody's own pairs is written with ``folder:`` as its data set.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        header = self._header()
        tables = {key: header.pop(key) for key in ("limits", "starts")}
        if self.cases:
            header["cases"] = f"{path.stem}.json.gz"
            header["digest"] = self.digest
            records = ",\n".join(json.dumps(case.to_json(), separators=(",", ":")) for case in self.cases)
            # No name and no time in the gzip header: the same cases give the same file.
            write_atomically(path.with_name(header["cases"]), gzip.compress(f"[{records}]\n".encode(), 9, mtime=0))
        write_atomically(path, tomli_w.dumps({**header, **tables}).encode())
        return path


def read_track(path: Path) -> Track:
    """Reads ``NAME.toml`` and the cases beside it, and checks the digest.

    Raises:
        TrackError: If a file is missing, is no track, or its numbers do not have the digest that it states.
    """
    try:
        header = parse_toml(read_bounded(path, 1 << 20, links=True))
    except (OSError, ValueError) as error:
        raise TrackError(f"{path} cannot be read as a track: {error}") from error
    try:
        cases: tuple[TrackCase, ...] = ()
        if header.get("schema") != SCHEMA_VERSION:
            raise TrackError(
                f"{path} is a track of schema {header.get('schema', 1)}, this regenv reads {SCHEMA_VERSION}: freeze it "
                "again (regenv track new), or take the regenv that it was made with"
            )
        if "cases" in header:
            packed = read_bounded(path.parent / Path(str(header["cases"])).name, 64 << 20)
            records = parse_json(gunzip(packed, 1 << 30))
            poses = make_config(header["env_id"], field_of_view=header["field_of_view"]).make_poses()
            cases = tuple(TrackCase.from_json(record, poses) for record in records)
        limits = header.get("limits", {})
        track = Track(
            name=header["name"],
            title=header["title"],
            env_id=header["env_id"],
            dataset=header["dataset"],
            split=header["split"],
            field_of_view=header["field_of_view"],
            generator=header["generator"],
            success_mm=float(header["success_mm"]),
            max_steps=int(limits["steps"]),
            max_evaluations=int(limits["evaluations"]),
            score_version=int(header["score_version"]),
            starts=header["starts"],
            cases=cases,
        )
    except TrackError:
        raise
    except KeyError as error:
        raise TrackError(f"{path} is no track: it lacks {error}") from error
    except (OSError, EOFError, ValueError, TypeError) as error:
        raise TrackError(f"{path}, or its cases {header.get('cases')!r}, cannot be read: {error}") from error
    if cases and header.get("digest") != track.digest:
        raise TrackError(
            f"{path} states the digest {header.get('digest')}, its numbers have {track.digest}: the file was changed; "
            "get it again, or freeze a new track under a new name"
        )
    if track.score_version > SCORE_VERSION:  # version 1 differs in harm and thresholds only, which rows do not store
        raise TrackError(f"{path} is scored by version {track.score_version}, this regenv scores by {SCORE_VERSION}")
    return track


def track_names() -> list[str]:
    """Names of the tracks that ship with the package."""
    return sorted(name.removesuffix(".toml") for name in resource_names("tracks") if name.endswith(".toml"))


def find_track(name: str) -> Track:
    """The shipped track of that name, or the track in the file of that path.

    Raises:
        TrackError: If there is neither; the message names the nearest.
    """
    if name.endswith(".toml"):
        return read_track(Path(name))
    if name not in track_names():
        raise TrackError(f"unknown track {name!r}; {near_miss(name, track_names())}")
    return read_track(resource_dir("tracks") / f"{name}.toml")
