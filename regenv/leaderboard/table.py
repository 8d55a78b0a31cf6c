"""The tables, made from verified rows only. ``LEADERBOARD.md`` is generated, and a check fails where it is stale."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from regenv.evaluation.score import PERCENTILES, THRESHOLDS_MM, Summary, summarise
from regenv.evaluation.statistics import Interval, bootstrap, holm, probability_of_improvement, signed_rank_test
from regenv.evaluation.submission import Submission
from regenv.evaluation.track import Track, TrackError, find_track, track_names, write_atomically
from regenv.fields import lookalike, printable
from regenv.leaderboard import escape
from regenv.leaderboard.verify import LEVELS, Verification, find_rows, verify

REFERENCE_ROW = "simpleitk-mi"


class LeaderboardError(ValueError):
    """A table cannot be made; the message names the rows and what is wrong with them."""


@dataclass(frozen=True)
class TableRow:
    """A verified row and its numbers.

    Attributes:
        submission: Its header.
        level: A key of :data:`regenv.leaderboard.verify.LEVELS`.
        summary: All numbers of its errors.
        score: Mean score with its bootstrap interval over subjects and seeds.
        scores: ``(S, N)`` score of each seed and case.
        seconds: Median seconds a case.
        steps: Median steps a case, or None for methods that answer at once.
    """

    submission: Submission
    level: str
    summary: Summary
    score: Interval
    scores: np.ndarray
    seconds: float
    steps: float | None


def table_row(verification: Verification, track: Track) -> TableRow:
    """The numbers of a verified row, from its recomputed metrics alone."""
    submission, episodes = verification.submission, verification.episodes
    assert submission is not None and verification.level is not None and episodes
    subject = {case.id: case.subject for case in track.cases}
    final = [episode.metrics["tre"] for episode in episodes]
    start = [episode.metrics["tre_start"] for episode in episodes]
    scores = np.array([episode.metrics["score"] for episode in episodes]).reshape(len(submission.seeds), -1)
    subjects = [subject[episode.case] for episode in episodes[: scores.shape[1]]]
    return TableRow(
        submission=submission,
        level=verification.level,
        summary=summarise(start, final),
        score=bootstrap(scores, subjects),
        scores=scores,
        seconds=float(np.median([episode.seconds for episode in episodes])),
        steps=None if episodes[0].actions is None else float(np.median([episode.steps for episode in episodes])),
    )


def collect(folder: Path, track: Track, *, trial: bool = False) -> tuple[list[TableRow], list[str]]:
    """All rows of a track in ``folder/<track>`` that verify, and what is wrong with the others.

    Args:
        folder: Folder of submissions.
        track: The track, with its cases.
        trial: Accept rows of only the first cases, all of the same number.

    Returns:
        The rows, best score first, and a line for each problem, which names its row. Of rows whose names a reader takes
        for one, none is listed: nobody can tell here which was first.
    """
    rows: list[TableRow] = []
    problems: list[str] = []
    for path in find_rows(folder / track.name):
        found = verify(path, track=track, trial=trial)
        problems += [printable(f"{path.name}: {failure}") for failure in found.failures]
        if found.ok and found.level != "claimed":
            rows.append(table_row(found, found.track or track))
    most = max((row.summary.cases // len(row.submission.seeds) for row in rows), default=0)
    names = Counter(lookalike(row.submission.row) for row in rows)
    kept = []
    for row in rows:
        count = row.summary.cases // len(row.submission.seeds)
        if names[lookalike(row.submission.row)] > 1:
            problems.append(f"{row.submission.row}: [confusable] a reader takes it for another row's name: rename one")
        elif count < most:
            problems.append(
                f"{row.submission.row}: [missing-case] {count} cases, others have {most}: run it on as many"
            )
        else:
            kept.append(row)
    return sorted(kept, key=lambda row: (-row.score.value, row.submission.row)), problems


def markdown_table(rows: Sequence[TableRow]) -> str:
    """The main table of a track."""
    head = ["row", "family", "score (95 % interval)", *(f"< {t:g} mm" for t in THRESHOLDS_MM)]
    head += [f"TRE {'/'.join(str(p) for p in PERCENTILES)} % (mm)", "harmed", "s / case", "steps", "verified"]
    body = []
    for row in rows:
        s = row.summary
        cells = [row.submission.row, row.submission.method.family, interval_text(row.score)]
        cells += [f"{100 * s.success[t]:.0f} %" for t in THRESHOLDS_MM]
        cells += [" / ".join(f"{s.percentiles[p]:.2f}" for p in PERCENTILES), f"{100 * s.harmed:.0f} %"]
        cells += [f"{row.seconds:.2g}", "at once" if row.steps is None else f"{row.steps:.0f}", row.level]
        body.append(cells)
    return _markdown(head, body)


def details_table(rows: Sequence[TableRow]) -> str:
    """Curve area, capture range, worst cases, and the comparison with the reference row."""
    reference = next((row for row in rows if row.submission.row == REFERENCE_ROW), None)
    head = ["row", "area under success curve", "capture range (mm)", "mean of worst 30 % (mm)", "seeds"]
    others = [row for row in rows if row is not reference]
    adjusted: dict[str, float] = {}
    if reference is not None:
        head += [f"P(better than {REFERENCE_ROW})", "p (signed rank, Holm)"]
        mean = reference.scores.mean(axis=0)
        p_values = [signed_rank_test(row.scores.mean(axis=0), mean) for row in others]
        adjusted = dict(zip((row.submission.row for row in others), holm(p_values), strict=True))
    body = []
    for row in rows:
        s = row.summary
        cells = [row.submission.row, f"{s.area:.3f}", f"{s.capture_range_mm:.1f}", f"{s.worst_mm:.2f}"]
        cells.append(str(len(row.submission.seeds)))
        if reference is not None:
            compared = row is not reference
            cells.append(f"{probability_of_improvement(row.scores, reference.scores):.2f}" if compared else "")
            cells.append(_p_text(adjusted[row.submission.row]) if compared else "")
        body.append(cells)
    return _markdown(head, body)


def interval_text(interval: Interval, decimals: int = 3) -> str:
    """``0.912 (0.89 to 0.93)``, or the value alone where no interval can be claimed."""
    if interval.low is None:
        return f"{interval.value:.{decimals}f}"
    return f"{interval.value:.{decimals}f} ({interval.low:.{decimals}f} to {interval.high:.{decimals}f})"


def _p_text(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _markdown(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", "|" + " --- |" * len(head)]
    lines += [f"| {' | '.join(escape.markdown(cell) for cell in cells)} |" for cells in body]
    return "\n".join(lines) + "\n"


_INTRODUCTION = """# Leaderboard

Generated by `regenv leaderboard build` from `benchmarks/submissions`; `regenv leaderboard build --check` fails where it
is stale. Every number was computed again from the rows' transforms.

The score of a case is 1 - TRE_final / TRE_start, clipped to [-1, 1]: 1 is perfect, 0 is doing nothing, below 0 is harm.
Harmed is the share of cases that ended more than 1 mm worse than they started. Intervals are bootstrap intervals over
subjects and training seeds; none is given where there is one subject. The capture range is the largest start error up
to which 95 % of cases end under 5 mm. Seconds are medians on the machine that ran the row.

"""

_RANKING = """
Whoever reads the generator can compute the truth of the embedded cases. So only rows that others have reproduced on
fresh cases are ranked; {reproduced}. Rows of the family `reference` are bounds and trivial methods; some of them use
the truth.
"""


def leaderboard_page(folder: Path) -> tuple[str, list[str]]:
    """The page, in Markdown, of the good rows of a folder, and what is wrong with the others (:func:`collect`)."""
    parts = [_INTRODUCTION]
    problems: list[str] = []
    ranked = 0
    for name in track_names():
        try:
            track = _numbers(folder, name)
        except TrackError as error:  # of the numbers beside the rows, which came with them
            problems.append(printable(f"{name}: {error}"))
            continue
        rows, wrong = collect(folder, track) if track is not None else ([], [])
        problems += wrong
        if track is None or not rows:
            continue
        ranked += sum(row.level == "reproduced" for row in rows)
        subjects = len({case.subject for case in track.cases})
        parts.append(
            f"## {name}\n\n{track.title}. {len(track.cases)} cases of {subjects} "
            f"{'subject' if subjects == 1 else 'subjects'}, track digest `{track.digest}`.\n\n"
        )
        parts += [markdown_table(rows), "\n", details_table(rows), "\n### What the rows are\n\n"]
        parts += [_about(row) for row in rows]
        parts.append("\n")
    parts.append("## Verification\n\n")
    parts += [f"- {level}: {text}.\n" for level, text in LEVELS.items()]
    parts.append(_RANKING.format(reproduced=f"{ranked} are" if ranked else "none is yet, so the order is by score"))
    return "".join(parts), problems


def _about(row: TableRow) -> str:
    s, method = row.submission, row.submission.method
    training = method.training
    notes = [method.description] if method.description else []
    if training.data:
        notes.append(f"trained on {', '.join(training.data)}")
    if isinstance(training.subjects, int) or training.subjects == "endless":
        notes.append(f"{training.subjects} training subjects")
    notes += [f"budget {training.budget}"] if training.budget else []
    notes += ["uses the truth"] if method.uses_truth else []
    notes += ["optimises each pair"] if method.test_time_optimisation else []
    notes += ["seconds are claimed, not measured"] if s.timing == "claimed" else []
    words = ["regenv", "evaluate", s.track, "--agent", s.agent, *(w for seed in s.seeds for w in ("--seed", str(seed)))]
    about = escape.markdown("; ".join(notes) or method.family)
    return f"- **{escape.markdown(s.row)}**: {about}. {escape.command(words)}\n"


def _numbers(folder: Path, name: str) -> Track | None:
    """The track with its cases; for the user's own pairs from beside the rows, None where there are none."""
    track = find_track(name)
    if not track.is_template:
        return track
    kept = folder / name / f"{name}.toml"
    return find_track(str(kept)) if kept.is_file() else None


def build(folder: Path, page: Path, *, check: bool = False) -> bool:
    """Writes the page, or with ``check`` only says whether it is current.

    Returns:
        Whether the page on disk is what its sources give (always so after writing).

    Raises:
        LeaderboardError: If a row is left out, after the page of the others was written; a line for each problem.
    """
    text, problems = leaderboard_page(folder)
    if not check:
        write_atomically(page, text.encode())
    if problems:
        raise LeaderboardError("\n".join(problems))
    return page.is_file() and page.read_text(encoding="utf-8") == text
