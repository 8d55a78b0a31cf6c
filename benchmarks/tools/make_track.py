"""Freezes a track: draws its cases and writes ``benchmarks/tracks/NAME.toml`` with its numbers.

    python -m benchmarks.tools.make_track ctcbct-rigid

A frozen track is never changed; what changes its numbers gets a new name.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from regenv.evaluation.cases import derive_cases
from regenv.evaluation.track import Track

TRACKS = Path(__file__).parents[1] / "tracks"
_RIGID_STARTS: dict[str, Any] = {"seed": 2026, "min_tre_mm": 5.0, "misalignment": {"mm": 30.0, "deg": 20.0}}

RECIPES = {
    "ctcbct-rigid": Track(
        name="ctcbct-rigid",
        title="CT to cone-beam CT of unseen phantom torsos, rigid, from within 20 degrees and 30 mm",
        env_id="CTCBCT-Rigid-v0",
        dataset="phantom",
        starts={**_RIGID_STARTS, "per_pair": 1},
    ),
    "ctcbct-rigid-real": Track(
        name="ctcbct-rigid-real",
        title="The same on a folder of real pairs, named at run time",
        env_id="CTCBCT-Rigid-v0",
        dataset="folder:",
        starts={**_RIGID_STARTS, "per_pair": 20},
    ),
}


def freeze(name: str, folder: Path = TRACKS, pairs: int = 200) -> Path:
    """Writes a track and returns the path of its header.

    Args:
        name: A key of :data:`RECIPES`.
        folder: Where to write.
        pairs: How many pairs of an embedded data set.
    """
    track = RECIPES[name]
    if not track.dataset.startswith("folder:"):
        starts = dict(track.starts)
        cases, generator = derive_cases(track, limit=pairs, **starts)
        track = replace(track, cases=cases, generator=generator)
    return track.save(folder)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("name", choices=sorted(RECIPES))
    parser.add_argument("--force", action="store_true", help="write over a track that is already frozen")
    arguments = parser.parse_args()
    path = TRACKS / f"{arguments.name}.toml"
    if path.exists() and not arguments.force:
        parser.error(f"{path} is frozen; give a new track a new name, or --force before anything was measured on it")
    print(freeze(arguments.name))


if __name__ == "__main__":
    main()
