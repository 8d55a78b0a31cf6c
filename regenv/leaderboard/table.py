"""The tables, made from verified rows only. ``LEADERBOARD.md`` is generated, and a check fails where it is stale."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from regenv.core.statistics import (
    FEWEST_SUBJECTS,
    Interval,
    holm,
    mean_interval,
    probability_of_improvement,
    share_interval,
    signed_rank_test,
)
from regenv.evaluation.score import PERCENTILES, Summary, harmed, reached, summarise
from regenv.evaluation.submission import Submission
from regenv.evaluation.track import Track, TrackError, track_names
from regenv.fields import lookalike, printable
from regenv.files import write_atomically
from regenv.leaderboard import escape
from regenv.leaderboard.verify import LEVELS, Verification, find_rows, track_beside, verify

REFERENCE_ROW = "simpleitk-mi"
ORACLE_ROW = "oracle"


class LeaderboardError(ValueError):
    """A table cannot be made; the message names the rows and what is wrong with them."""


@dataclass(frozen=True)
class TableRow:
    """A verified row and its numbers.

    Attributes:
        submission: Its header.
        level: A key of :data:`regenv.leaderboard.verify.LEVELS`.
        summary: All numbers of its errors.
        score: Mean score with its interval over subjects and seeds, as have the two shares.
        success: Share of cases under the track's success threshold.
        harmed: Share of cases harmed.
        scores: ``(S, N)`` score of each seed and case.
        seconds: Median seconds a case.
        steps: Median steps a case, or None for methods that answer at once.
    """

    submission: Submission
    level: str
    summary: Summary
    score: Interval
    success: Interval
    harmed: Interval
    scores: np.ndarray
    seconds: float
    steps: float | None


def table_row(verification: Verification, track: Track) -> TableRow:
    """The numbers of a verified row, from its recomputed metrics alone."""
    submission, episodes = verification.submission, verification.episodes
    assert submission is not None and verification.level is not None and episodes
    subject = {case.id: case.subject for case in track.cases}
    start, final, scores = (
        np.array([episode.metrics[key] for episode in episodes]).reshape(len(submission.seeds), -1)
        for key in ("tre_start", "tre", "score")
    )
    subjects = [subject[episode.case] for episode in episodes[: scores.shape[1]]]
    return TableRow(
        submission=submission,
        level=verification.level,
        summary=summarise(start.ravel(), final.ravel(), track.scale),
        score=mean_interval(scores, subjects, limits=(-1.0, 1.0)),
        success=share_interval(final < track.scale.success_mm, subjects),
        harmed=share_interval(harmed(start, final, track.scale.harm_mm), subjects),
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
    """The main table of a track; success at the track's threshold and harm come with their intervals."""
    head = ["row", "family", "score (95 % interval)", *(f"< {t:g} mm" for t in rows[0].summary.success)]
    head += [f"TRE {'/'.join(str(p) for p in PERCENTILES)} % (mm)", "harmed", "s / case", "steps", "verified"]
    body = []
    for row in rows:
        s = row.summary
        cells = [row.submission.row, row.submission.method.family, interval_text(row.score)]
        cells += [
            share_text(row.success) if t == s.scale.success_mm else f"{100 * share:.0f} %"
            for t, share in s.success.items()
        ]
        cells += [" / ".join(f"{s.percentiles[p]:.2f}" for p in PERCENTILES), share_text(row.harmed)]
        cells += [f"{row.seconds:.2g}", "at once" if row.steps is None else f"{row.steps:.0f}", row.level]
        body.append(cells)
    return _markdown(head, body)


def details_table(rows: Sequence[TableRow]) -> str:
    """Share of what the oracle reaches, curve area, capture range, worst cases, comparison with the reference row."""
    by_name = {row.submission.row: row for row in rows}
    reference, oracle = by_name.get(REFERENCE_ROW), by_name.get(ORACLE_ROW)
    head = [
        "row",
        "score / oracle's",
        "area under success curve",
        "capture range (mm)",
        "mean of worst 30 % (mm)",
        "seeds",
    ]
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
        share = "" if oracle is None else f"{reached(row.score.value, oracle.score.value):.3f}"
        cells = [row.submission.row, share, f"{s.area:.3f}", f"{s.capture_range_mm:.1f}", f"{s.worst_mm:.2f}"]
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


def share_text(interval: Interval) -> str:
    """``90 % (83 to 95)``, or the share alone where no interval can be claimed."""
    text = f"{100 * interval.value:.0f} %"
    if interval.low is None or interval.high is None:
        return text
    return f"{text} ({100 * interval.low:.0f} to {100 * interval.high:.0f})"


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
The oracle is told the truth and shows what can be reached with a track's actions; the score is also given as a share of
its score. A success is an error under the track's threshold, and the other thresholds are 0.2, 0.4 and 2 times it.
Harmed is the share of cases that ended worse than they started by more than a fifth of the threshold, or of the
smallest start where that is smaller. The capture range is the largest start error up to which 95 % of cases succeed.
Intervals are 95 % intervals over subjects and training seeds, Student's for scores and Wilson's for shares; none is
given for under {fewest} subjects, nor for a score on which all subjects agree. `docs/design/statistics.md` says how
often they hold. s / case is the median of the seconds that a case took on the machine that ran the row.

"""

_RANKING = """
Whoever reads the generator can compute the truth of the embedded cases. So only rows that others have reproduced on
fresh cases are ranked; {reproduced}. Rows of the family `reference` are bounds and trivial methods; some of them use
the truth.
"""


def leaderboard_page(folder: Path) -> tuple[str, list[str]]:
    """The page, in Markdown, of the good rows of a folder, and what is wrong with the others (:func:`collect`)."""
    parts = [_INTRODUCTION.format(fewest=FEWEST_SUBJECTS)]
    problems: list[str] = []
    ranked = 0
    own = {path.stem for path in folder.glob("*/*.toml") if path.stem == path.parent.name}
    for name in sorted({*track_names(), *own}):
        try:
            track = track_beside(folder / name, name)
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
            f"## {name}\n\n{escape.markdown(track.title)}. {len(track.cases)} cases of {subjects} "
            f"{'subject' if subjects == 1 else 'subjects'}, track digest `{track.digest}`. A success ends under "
            f"{track.scale.success_mm:g} mm; harmed is over {track.scale.harm_mm:g} mm worse.\n\n"
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
