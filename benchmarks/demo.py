"""The demo: an agent learns before your eyes, the shipped ones are compared with SimpleITK, and a report shows it all.

make demo                         on the embedded phantom
make demo DATA=PATH               compares on a folder of your own pairs (the training is on the phantom all the same)
python -m benchmarks.demo --help
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.learning import ENV_ID, FILM, learn, print_result
from benchmarks.pictures import png, side_by_side, thinned
from benchmarks.report import Learning, Report, page
from regenv.evaluation.cases import bind
from regenv.evaluation.episodes import Episode, RunError
from regenv.evaluation.runner import FinishedRow, run
from regenv.evaluation.track import Track, TrackCase, find_track
from regenv.files import write_atomically
from regenv.leaderboard.table import TableRow, table_row
from regenv.leaderboard.verify import verify
from regenv.resources import resource

OUT = Path("runs/demo")
DEFAULT_POLICY = "greedy_supervised_rigid.onnx"
SHOWN = ("greedy-supervised", "greedy-supervised-refined", "pqn", "simpleitk-mi", "oracle")
"""Rows whose final poses are drawn."""

AGENTS = (
    "agents.pqn:ctcbct_rigid",
    "agents.identity:factory",
    "agents.header:factory",
    "agents.centre:factory",
    "agents.random:factory",
    "agents.greedy_search:factory",
    "agents.oracle:factory",
    "agents.simpleitk:mi",
)


@dataclass(frozen=True)
class Settings:
    """What the demo is told.

    Attributes:
        data: Folder of real pairs, or None for the phantom.
        cases: How many of the track's cases.
        steps: Of the training; None for the preset's.
        out: Where everything goes.
    """

    data: Path | None
    cases: int
    steps: int | None
    out: Path


def main() -> None:
    """The command line; a user's mistake is one line on stderr and exit code 2."""
    parser = argparse.ArgumentParser(
        description="Trains an agent for a minute, compares the shipped ones with SimpleITK, and writes a report."
    )
    parser.add_argument("--data", type=Path, help="folder of your own pairs (with its pairs.csv); default: the phantom")
    parser.add_argument("--cases", type=int, default=12, help="how many of the track's cases (default 12)")
    parser.add_argument("--steps", type=int, help="of the training (default: those of the preset quick, a minute)")
    parser.add_argument("--out", type=Path, default=OUT, help=f"where everything goes (default {OUT})")
    arguments = parser.parse_args()
    try:
        report = demo(Settings(arguments.data, arguments.cases, arguments.steps, arguments.out))
    except KeyboardInterrupt:
        print(f"\nstopped; what is finished is kept in {arguments.out}", file=sys.stderr)
        sys.exit(130)
    except (ValueError, OSError, ImportError, RunError) as error:
        print(f"demo: {error}", file=sys.stderr)
        sys.exit(2)
    print(f"\nreport: {report.resolve()}  (open it in a browser)")


def demo(settings: Settings) -> Path:
    """Runs everything and returns the path of the report."""
    began = time.perf_counter()
    track = bind(find_track("ctcbct-rigid" if settings.data is None else "ctcbct-rigid-real"), settings.data)
    count = min(settings.cases, len(track.cases))
    say(f"1/4  PQN learns {ENV_ID} on the phantom, about a minute")
    learning = learn(settings.out / "pqn", total_steps=settings.steps)
    print_result(learning)
    say(f"2/4  {count} of the {len(track.cases)} cases of track {track.name}: a subset, not a result")
    rows = evaluate(track, count, settings.out / "submissions")
    say("3/4  leaderboard")
    table = [table_row(verify(row.folder, track=track, trial=True), track) for row in rows]
    table.sort(key=lambda row: -row.score.value)
    from regenv.cli.evaluate import print_rows

    print_rows(table, f"{track.name}: {count} of its {len(track.cases)} cases, so intervals are wide")
    say("4/4  pictures and report")
    report = write_report(track, settings, learning, rows, table, time.perf_counter() - began)
    print(f"learned:  {(settings.out / 'pqn' / FILM).resolve()}")
    print(f"episode:  {report.with_name('episode.gif').resolve()}")
    print(f"rows:     {(settings.out / 'submissions').resolve()}")
    print(f"all in {time.perf_counter() - began:.0f} s")
    return report


def say(text: str) -> None:
    """A line that stands out, flushed, so that it comes before the progress bars."""
    print(f"\n== {text}", flush=True)


def evaluate(track: Track, count: int, out: Path) -> list[FinishedRow]:
    """Runs the shipped agents and the reference agents on the first cases."""
    chosen: list[tuple[str, str | None]] = []
    try:
        chosen.append((str(resource("policies", DEFAULT_POLICY)), "greedy-supervised"))
        chosen.append(("agents.shipped:factory", None))
    except FileNotFoundError:
        print(f"{DEFAULT_POLICY} is not in agents/weights and is left out: python -m agents.greedy_supervised.train")
    chosen += [(spec, None) for spec in AGENTS]
    return [run(track, spec, out=out, cases=count, name=name) for spec, name in chosen]


def write_report(
    track: Track,
    settings: Settings,
    learning: Learning,
    rows: Sequence[FinishedRow],
    table: Sequence[TableRow],
    seconds: float,
) -> Path:
    """Draws the pictures and writes ``report.html`` and ``episode.gif``."""
    by_name = {row.submission.row: row for row in rows}
    shown = by_name.get("greedy-supervised") or by_name["greedy-search"]
    case = median_case(track, shown)
    frames = thinned(replay_frames(track, shown, case))
    gif = settings.out / "episode.gif"
    from regenv.cli.episode import save_pictures

    save_pictures(frames, gif, fps=min(6.0, max(1.5, len(frames) / 5)))  # a short episode is shown slowly
    names = [n for n in SHOWN if n in by_name]
    ends = [("start", case.start, case.tre_start)]
    ends += [(n, _final(by_name[n], case), episode_of(by_name[n], case).metrics["tre"]) for n in names]
    overlays = [(f"{name}: TRE {tre:.2f} mm", overlay(track, case, pose)) for name, pose, tre in ends]
    episode = episode_of(shown, case)
    report = Report(
        title="regenv demo",
        learning=learning,
        lead=[
            f"Agents and methods on {len(shown.episodes)} of the {len(track.cases)} cases of the track {track.name} "
            f"(digest {track.digest}): {track.title}.",
            "The score of a case is 1 - final error / start error, from -1 to 1: 1 is perfect, 0 is doing nothing, "
            f"below 0 is harm. Harmed: cases that ended over {track.scale.harm_mm:g} mm worse than they started. "
            "TRE: target registration error. Rows in grey are references; the oracle is told the truth.",
        ],
        rows=table,
        errors={row.submission.row: _errors(by_name[row.submission.row]) for row in table},
        pictures=[
            (
                f"An episode of {shown.submission.row} on case {case.id}, {episode.steps} steps, error "
                f"{case.tre_start:.1f} to {episode.metrics['tre']:.2f} mm. Rows: fixed, moved, and both laid over each "
                "other (fixed magenta, moved green: what agrees is grey).",
                gif.read_bytes(),
            ),
            (f"Where the methods ended on case {case.id}, laid over the fixed image.", png(side_by_side(overlays))),
        ],
        notes=[
            f"Everything together took {seconds:.0f} s. Rows lie in {settings.out}/submissions; regenv leaderboard "
            "verify --trial replays their actions and computes every number again.",
            "Success on procedural images says nothing about patients. Run it on your own pairs: make demo DATA=PATH.",
            "Intervals are 95 % intervals over subjects; none is claimed for under ten of them.",
        ],
    )
    path = settings.out / "report.html"
    write_atomically(path, page(report).encode())
    return path


def median_case(track: Track, row: FinishedRow) -> TrackCase:
    """The case of the row's median score: neither its best nor its worst."""
    ordered = sorted(row.episodes, key=lambda episode: episode.metrics["score"])
    return track.case(ordered[len(ordered) // 2].case)


def episode_of(row: FinishedRow, case: TrackCase) -> Episode:
    """The row's episode of a case."""
    return next(episode for episode in row.episodes if episode.case == case.id)


def _final(row: FinishedRow, case: TrackCase) -> NDArray[np.float64]:
    return np.asarray(episode_of(row, case).transform, dtype=np.float64)


def _errors(row: FinishedRow) -> list[float]:
    return [episode.metrics["tre"] for episode in row.episodes]


def _environment(track: Track, **keywords: Any) -> Any:
    import gymnasium as gym

    import regenv  # noqa: F401  (registers the environments)

    common = {"split": track.split, "dataset": track.dataset, "field_of_view": track.field_of_view}
    return gym.make(track.env_id, render_mode="rgb_array", **common, **keywords)


def replay_frames(track: Track, row: FinishedRow, case: TrackCase) -> list[NDArray[np.uint8]]:
    """Pictures of the row's episode, from its actions."""
    env = _environment(track, **row.submission.env_kwargs)
    env.reset(seed=0, options={"pair": case.pair, "start": case.start})
    frames = [env.render()]
    for action in episode_of(row, case).actions or []:
        env.step(np.asarray(action))
        frames.append(env.render())
    env.close()
    return frames


def overlay(track: Track, case: TrackCase, pose: NDArray[np.float64]) -> NDArray[np.uint8]:
    """The lowest row of the picture of a pose: fixed and moved laid over each other."""
    env = _environment(track)
    env.reset(seed=0, options={"pair": case.pair, "start": pose})
    frame = env.render()
    env.close()
    from regenv.envs.rendering import CAPTION, GAP, PANEL

    top = CAPTION + 2 * (PANEL + GAP)
    return np.ascontiguousarray(frame[top : top + PANEL])


if __name__ == "__main__":
    main()
