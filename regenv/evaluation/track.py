"""Tracks: frozen tasks. A track is numbers (starts, true transforms, points), never pixels, and a digest over them.

``NAME.toml`` holds the header, and the file it names (``NAME.json.gz``) the cases. A track without a cases file is a
template: its cases are derived, always alike, from the folder of real pairs that the user names at run time.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from regenv.core.geometry import FloatArray, transform_points
from regenv.core.tre import point_errors
from regenv.data.layouts import is_layout
from regenv.errors import near_miss
from regenv.evaluation.score import SCORE_VERSION
from regenv.evaluation.toml import dumps
from regenv.reading import gunzip, parse_json, parse_toml, read_bounded
from regenv.resources import resource_dir, resource_names


class TrackError(ValueError):
    """A track cannot be found, read or used; the message names the file and the mend."""


@dataclass(frozen=True, eq=False)
class TrackCase:
    """One registration problem of a track, in numbers.

    Attributes:
        id: Unique within the track.
        pair: The pair's opaque index on the data set's split.
        subject: Whose images they are.
        start: ``(d + 1, d + 1)`` start transform, fixed to moving.
        truth: ``(d + 1, d + 1)`` true transform, or the least-squares fit to the landmarks.
        frame: ``(d + 1, d + 1)`` view frame: mm along the fixed grid's axes about its centre, to physical.
        moving_centre: ``(d,)`` mm, centre of the moving grid.
        lattice: ``(N, d)`` integers k; the TRE is measured at ``frame . (lattice_mm * k)``. None where it is measured
            on the landmarks.
        lattice_mm: Spacing of the lattice.
        landmarks_fixed: ``(M, d)`` mm, or None.
        landmarks_moving: ``(M, d)`` mm, or None.
        landmark_names: M names, or empty.
    """

    id: str
    pair: str
    subject: str
    start: FloatArray
    truth: FloatArray
    frame: FloatArray
    moving_centre: FloatArray
    lattice: np.ndarray | None = None
    lattice_mm: float = 20.0
    landmarks_fixed: FloatArray | None = None
    landmarks_moving: FloatArray | None = None
    landmark_names: tuple[str, ...] = ()

    @cached_property
    def points(self) -> tuple[FloatArray, FloatArray]:
        """Fixed points ``(N, d)`` on which the TRE is measured and where they belong in the moving image, mm."""
        if self.lattice is not None:
            fixed = transform_points(self.frame, self.lattice * self.lattice_mm)
            return fixed, transform_points(self.truth, fixed)
        if self.landmarks_fixed is None or self.landmarks_moving is None:
            raise TrackError(f"case {self.id} has neither a lattice nor landmarks to measure its error on")
        return self.landmarks_fixed, self.landmarks_moving

    def tre(self, transform: FloatArray) -> float:
        """Mean TRE of a ``(d + 1, d + 1)`` transform, mm."""
        return float(point_errors(transform, *self.points).mean())

    def landmark_tre(self, transform: FloatArray) -> float | None:
        """Mean TRE on the named landmarks, reported apart; None where there are none."""
        if self.landmarks_fixed is None or self.landmarks_moving is None:
            return None
        return float(point_errors(transform, self.landmarks_fixed, self.landmarks_moving).mean())

    @cached_property
    def tre_start(self) -> float:
        """Mean TRE of the start, mm."""
        return self.tre(self.start)

    def to_json(self) -> dict[str, Any]:
        """Plain numbers, rounded so that the last bit, which differs between machines, is not in them."""
        return {
            "id": self.id,
            "pair": self.pair,
            "subject": self.subject,
            "start": _rounded(self.start, 9),
            "truth": _rounded(self.truth, 9),
            "frame": _rounded(self.frame, 9),
            "moving_centre": _rounded(self.moving_centre, 6),
            "lattice": None if self.lattice is None else _pack(self.lattice),
            "lattice_mm": float(self.lattice_mm),
            "landmarks_fixed": _rounded(self.landmarks_fixed, 4),
            "landmarks_moving": _rounded(self.landmarks_moving, 4),
            "landmark_names": list(self.landmark_names),
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> TrackCase:
        """The inverse of :meth:`to_json`."""
        arrays = ("start", "truth", "frame", "moving_centre", "landmarks_fixed", "landmarks_moving")
        known = {name: None if record[name] is None else np.asarray(record[name], dtype=np.float64) for name in arrays}
        lattice = record["lattice"]
        return cls(
            id=str(record["id"]),
            pair=str(record["pair"]),
            subject=str(record["subject"]),
            lattice=None if lattice is None else _unpack(lattice),
            lattice_mm=float(record["lattice_mm"]),
            landmark_names=tuple(record["landmark_names"]),
            **known,  # type: ignore[arg-type]
        )


def _pack(lattice: np.ndarray) -> dict[str, Any]:
    """Integer points as a bit for each point of their box, ``[z, y, x]``: a tenth of the size of a list."""
    low = lattice.min(axis=0)
    size = lattice.max(axis=0) - low + 1
    inside = np.zeros(size[::-1], dtype=bool)
    inside[tuple((lattice - low).T[::-1])] = True
    return {"low": low.tolist(), "size": size.tolist(), "inside": np.packbits(inside).tobytes().hex()}


def _unpack(packed: Mapping[str, Any]) -> np.ndarray:
    """The inverse of :func:`_pack`, in the order of ``[z, y, x]``."""
    size = packed["size"]
    bits = np.unpackbits(np.frombuffer(bytes.fromhex(packed["inside"]), np.uint8), count=int(np.prod(size)))
    return np.argwhere(bits.reshape(size[::-1]))[:, ::-1] + np.asarray(packed["low"])


def _rounded(array: np.ndarray | None, decimals: int) -> Any:
    # Adding 0.0 turns -0.0 into 0.0, which prints otherwise.
    return None if array is None else (np.round(np.asarray(array, dtype=np.float64), decimals) + 0.0).tolist()


@dataclass(frozen=True, eq=False)
class Track:
    """A frozen task.

    Attributes:
        name: Such as ``"ctcbct-rigid"``.
        title: One line.
        env_id: The environment.
        dataset: ``"phantom"``, or ``"folder:"`` for a template and ``"folder:PATH"`` once it is bound to data.
        split: Nearly always ``"test"``.
        field_of_view: Of the embedded anatomy.
        generator: Name and version of what made the pairs.
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
    max_steps: int = 300
    max_evaluations: int = 20000
    score_version: int = SCORE_VERSION
    starts: Mapping[str, Any] = field(default_factory=dict)
    cases: tuple[TrackCase, ...] = ()

    @property
    def is_template(self) -> bool:
        """Whether the cases have still to be derived from a folder of real pairs."""
        return not self.cases

    @cached_property
    def digest(self) -> str:
        """Hash of every number of the task. The folder's path is no part of it, and no pixel is."""
        header = self._header()
        header["dataset"] = self.dataset.partition(":")[0]
        document = [header, [case.to_json() for case in self.cases]]
        return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:32]

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
            "name": self.name,
            "title": self.title,
            "env_id": self.env_id,
            "dataset": self.dataset,
            "split": self.split,
            "field_of_view": self.field_of_view,
            "generator": self.generator,
            "score_version": self.score_version,
            "limits": {"steps": self.max_steps, "evaluations": self.max_evaluations},
            "starts": dict(self.starts),
        }

    def save(self, folder: Path) -> Path:
        """Writes the track's files into a folder, each whole or not at all, and returns the header's path.

        A bound track is written with ``folder:`` as its data set, since a path says something of its user's machine.
        """
        folder.mkdir(parents=True, exist_ok=True)
        header = self._header()
        header["dataset"] = "folder:" if ":" in self.dataset else self.dataset
        tables = {key: header.pop(key) for key in ("limits", "starts")}
        if self.cases:
            header["cases"] = f"{self.name}.json.gz"
            header["digest"] = self.digest
            records = ",\n".join(json.dumps(case.to_json(), separators=(",", ":")) for case in self.cases)
            # No name and no time in the gzip header: the same cases give the same file.
            write_atomically(folder / header["cases"], gzip.compress(f"[{records}]\n".encode(), 9, mtime=0))
        path = folder / f"{self.name}.toml"
        write_atomically(path, dumps({**header, **tables}).encode())
        return path


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a file whole or not at all: beside its place, then renamed into it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.part")
    try:
        with open(temporary, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


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
        if "cases" in header:
            packed = read_bounded(path.parent / Path(str(header["cases"])).name, 64 << 20)
            records = parse_json(gunzip(packed, 1 << 30))
            cases = tuple(TrackCase.from_json(record) for record in records)
        limits = header.get("limits", {})
        track = Track(
            name=header["name"],
            title=header["title"],
            env_id=header["env_id"],
            dataset=header["dataset"],
            split=header["split"],
            field_of_view=header["field_of_view"],
            generator=header["generator"],
            max_steps=int(limits["steps"]),
            max_evaluations=int(limits["evaluations"]),
            score_version=int(header["score_version"]),
            starts=header["starts"],
            cases=cases,
        )
    except KeyError as error:
        raise TrackError(f"{path} is no track: it lacks {error}") from error
    except (OSError, EOFError, ValueError, TypeError) as error:
        raise TrackError(f"{path}: the cases in {header.get('cases')!r} cannot be read: {error}") from error
    if cases and header.get("digest") != track.digest:
        raise TrackError(
            f"{path} states the digest {header.get('digest')}, its numbers have {track.digest}: the file was changed; "
            "get it again, or freeze a new track under a new name"
        )
    if track.score_version != SCORE_VERSION:
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


def bind(track: Track, data: str | os.PathLike[str] | None) -> Track:
    """The track ready to run: a template gets its cases from the user's folder, a frozen track is returned as it is.

    The cases depend on the folder's pairs and on the template alone: the same folder gives the same digest.

    Args:
        track: From :func:`find_track`.
        data: Folder of real pairs with its manifest, for a template.

    Raises:
        TrackError: If a template gets no folder, or a frozen track gets one.
    """
    if not track.is_template:
        if data is not None:
            raise TrackError(f"track {track.name} brings its own pairs; for the folder {data} use {track.name}-real")
        return track
    if data is None:
        raise TrackError(f"track {track.name} runs on your own pairs: name their folder with --data PATH")
    from regenv.evaluation.cases import derive_cases

    named = os.fspath(data)
    bound = replace(track, dataset=named if is_layout(named) else f"folder:{named}")
    starts = bound.starts
    cases, generator = derive_cases(
        bound,
        misalignment=starts["misalignment"],
        per_pair=int(starts["per_pair"]),
        min_tre_mm=float(starts["min_tre_mm"]),
        seed=int(starts["seed"]),
    )
    return replace(bound, cases=cases, generator=generator)
