"""The report of a run as one HTML file: what was learned, table, success curves, pictures, all inside it."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from regenv.evaluation.score import Scale, success_curve
from regenv.leaderboard.table import TableRow, interval_text

COLOURS = ("#0b6e99", "#d1495b", "#3a7d44", "#8e44ad", "#e08e0b", "#5c6b73", "#111111", "#17a398", "#a0522d", "#7f7fff")
_WIDTH, _HEIGHT = 820, 380
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 20, 16, 48


@dataclass(frozen=True)
class Learning:
    """An agent before and after its training.

    Attributes:
        env_id: What it was trained on.
        steps: Of the training.
        seconds: That they took.
        curve: Steps, and the median TRE in mm of the training episodes that ended last.
        before: What the untrained agent came to on unseen subjects, from :func:`agents.common.measure.summary`.
        after: The same of the trained one, on the same cases.
        film: A GIF of both on one case.
        case: Which case that is.
    """

    env_id: str
    steps: int
    seconds: float
    curve: Sequence[tuple[int, float]]
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    film: bytes
    case: str

    @property
    def start_mm(self) -> float:
        """Median TRE of the starts."""
        return float(self.before["start_tre_mm"][1])

    def table(self) -> list[list[str]]:
        """Before and after as rows of text, the first of them the heads."""
        rows = [["", "median TRE", "< 5 mm", "< 10 mm", "harmed"]]
        for name, result in (("before training", self.before), ("after training", self.after)):
            shares = [result["success"]["5"], result["success"]["10"], result["harmed"]]
            rows.append([name, f"{result['tre_mm'][1]:.1f} mm", *(f"{100 * share:.0f} %" for share in shares)])
        return rows


@dataclass(frozen=True)
class Report:
    """What goes on the page.

    Attributes:
        title: Heading.
        learning: What was trained before.
        lead: Paragraphs before the table, plain text.
        rows: The table, best first.
        errors: Final TRE in mm of each row's cases, by row.
        pictures: Caption and PNG or GIF bytes, in order.
        notes: Paragraphs at the end, plain text.
    """

    title: str
    learning: Learning
    lead: Sequence[str]
    rows: Sequence[TableRow]
    errors: Mapping[str, Sequence[float]]
    pictures: Sequence[tuple[str, bytes]]
    notes: Sequence[str]


def page(report: Report) -> str:
    """The whole HTML page; it loads nothing from elsewhere."""
    paragraphs = "".join(f"<p>{html.escape(text)}</p>" for text in report.lead)
    notes = "".join(f"<p>{html.escape(text)}</p>" for text in report.notes)
    figures = "".join(_figure(caption, content) for caption, content in report.pictures)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(report.title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
<h1>{html.escape(report.title)}</h1>
{_learning(report.learning)}
<h2>Agents compared</h2>
{paragraphs}
<div class="wide">{_table(report.rows)}</div>
<h2>Success curves</h2>
<p>Share of cases that end with an error below the threshold on the horizontal axis: the higher, the better.</p>
{success_svg(report.errors, report.rows[0].summary.scale)}
<h2>Pictures</h2>
{figures}
<h2>Notes</h2>
{notes}
</main>
</body>
</html>
"""


_STYLE = """
:root { color-scheme: light; }
body { margin: 0; background: #fff; color: #1c2329; font: 16px/1.55 system-ui, "Segoe UI", Roboto, sans-serif; }
main { max-width: 1060px; margin: 0 auto; padding: 24px 20px 60px; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: .3em 0 .6em; }
h2 { font-size: 1.2rem; margin: 2em 0 .5em; padding-bottom: .2em; border-bottom: 1px solid #d9dee2; }
p { margin: .5em 0; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .84rem; font-variant-numeric: tabular-nums; }
th, td { padding: 5px 6px; text-align: right; border-bottom: 1px solid #e7eaed; white-space: nowrap; }
th { font-weight: 600; border-bottom: 2px solid #b9c2c9; }
th:first-child, td:first-child, th:nth-child(2), td:nth-child(2) { text-align: left; }
table.small { width: auto; font-size: 1rem; }
table.small :is(th, td) { padding: 5px 16px; text-align: right; }
tr.reference td { color: #6a757d; }
figure { margin: 1.4em 0; }
figure img { max-width: 100%; height: auto; display: block; background: #000; border-radius: 4px; }
figcaption { font-size: .9rem; color: #48545c; margin-top: .5em; }
svg { max-width: 100%; height: auto; display: block; }
"""


def _table(rows: Sequence[TableRow]) -> str:
    head = ["method", "family", "score (95 %)", *(f"&lt; {t:g} mm" for t in rows[0].summary.success)]
    head += ["TRE 50 %", "TRE 90 %", "harmed", "s / case"]
    lines = [f"<tr>{''.join(f'<th>{cell}</th>' for cell in head)}</tr>"]
    for row in rows:
        s, method = row.summary, row.submission.method
        cells = [html.escape(row.submission.row), html.escape(method.family), interval_text(row.score, 2)]
        cells += [f"{100 * share:.0f} %" for share in s.success.values()]
        cells += [f"{s.percentiles[50]:.2f} mm", f"{s.percentiles[90]:.1f} mm", f"{100 * s.harmed:.0f} %"]
        cells.append(f"{row.seconds:.2g}")
        kind = ' class="reference"' if method.family == "reference" else ""
        lines.append(f"<tr{kind}>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>")
    return f"<table>{''.join(lines)}</table>"


def _figure(caption: str, content: bytes) -> str:
    kind = "gif" if content[:3] == b"GIF" else "png"
    data = base64.b64encode(content).decode()
    text = html.escape(caption)
    return f'<figure><img alt="{text}" src="data:image/{kind};base64,{data}"><figcaption>{text}</figcaption></figure>'


def _learning(learning: Learning) -> str:
    """What was trained, for how long, and what it came to."""
    count = learning.after["episodes"]
    told = (
        f"PQN learned {learning.env_id} in {learning.seconds:.0f} s, {learning.steps:,} steps, from the gain in "
        f"similarity alone. Below, before and after on the same {count} starts of subjects that it never saw in "
        f"training; the median start is {learning.start_mm:.1f} mm off. Harmed: ended over 1 mm worse than it started."
    )
    caption = (
        f"The same start before and after training ({learning.case}), the start with the median final error of the "
        "trained agent: fixed, moved, and both laid over each other; what agrees is grey."
    )
    head, *rows = learning.table()
    lines = [f"<tr>{''.join(f'<th>{cell}</th>' for cell in map(html.escape, head))}</tr>"]
    lines += [f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in rows]
    return f"""<h2>Learned in {learning.seconds:.0f} seconds</h2>
<p>{html.escape(told)}</p>
<div class="wide"><table class="small">{"".join(lines)}</table></div>
{_figure(caption, learning.film)}
<p>Median error of the last training episodes against steps; the dashed line is where they start.</p>
{learning_svg(learning)}"""


def learning_svg(learning: Learning) -> str:
    """The learning curve as an SVG, the level of the starts dashed across it."""
    steps, errors = np.array(learning.curve, dtype=np.float64).reshape(-1, 2).T
    right, top = _WIDTH - _RIGHT, float(10 * np.ceil(1.5 * learning.start_mm / 10))

    def x(step: float) -> float:
        return float(_LEFT + step / learning.steps * (right - _LEFT))

    def y(error: float) -> float:
        return float(_HEIGHT - _BOTTOM - min(error / top, 1.0) * (_HEIGHT - _BOTTOM - _TOP))

    parts = [f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="Learning curve" font-size="12">']
    parts += [_level(y(mm), f"{mm:g} mm", right) for mm in np.arange(0.0, top + 1, 10.0)]
    for share in (0, 0.25, 0.5, 0.75, 1):
        anchor = "end" if share == 1 else "middle"
        label = f"{share * learning.steps:,.0f}"
        parts.append(f'<text x="{x(share * learning.steps):.1f}" y="{y(0) + 18}" text-anchor="{anchor}" ')
        parts.append(f'fill="#48545c">{label}</text>')
    middle = (_LEFT + right) / 2
    parts.append(f'<text x="{middle}" y="{_HEIGHT - 8}" text-anchor="middle" fill="#48545c">steps of training</text>')
    level = f'y1="{y(learning.start_mm):.1f}" y2="{y(learning.start_mm):.1f}"'
    parts.append(f'<line x1="{_LEFT}" x2="{right}" {level} stroke="#d1495b" stroke-dasharray="5 4"/>')
    parts.append(f'<text x="{right}" y="{y(learning.start_mm) - 6:.1f}" text-anchor="end" fill="#d1495b">start</text>')
    points = " ".join(f"{x(s):.1f},{y(e):.1f}" for s, e in zip(steps, errors, strict=True))
    parts.append(f'<polyline points="{points}" fill="none" stroke="#0b6e99" stroke-width="2"/>')
    return "".join([*parts, "</svg>"])


def _level(y: float, label: str, right: float) -> str:
    """A level of the vertical axis, with its label."""
    return (
        f'<line x1="{_LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}" stroke="#e7eaed"/>'
        f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end" fill="#48545c">{label}</text>'
    )


def success_svg(errors: Mapping[str, Sequence[float]], scale: Scale) -> str:
    """Success curves as an SVG: thresholds of the scale in mm on a log axis, one line a row, a legend beside them."""
    low, high = np.log(scale.curve_range_mm)
    right = _WIDTH - _RIGHT - 210

    def x(threshold: float) -> float:
        return float(_LEFT + (np.log(threshold) - low) / (high - low) * (right - _LEFT))

    def y(share: float) -> float:
        return float(_HEIGHT - _BOTTOM - share * (_HEIGHT - _BOTTOM - _TOP))

    parts = [f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="Success curves" font-size="12">']
    for mm in (scale.success_mm * factor for factor in (0.02, 0.04, 0.1, 0.2, 0.4, 1, 2, 4)):
        parts.append(f'<line x1="{x(mm):.1f}" x2="{x(mm):.1f}" y1="{y(0)}" y2="{y(1)}" stroke="#e7eaed"/>')
        parts.append(f'<text x="{x(mm):.1f}" y="{y(0) + 18}" text-anchor="middle" fill="#48545c">{mm:g}</text>')
    parts += [_level(y(share), f"{100 * share:.0f} %", right) for share in (0, 0.25, 0.5, 0.75, 1)]
    middle = (_LEFT + right) / 2
    axis = "error threshold (mm, log)"
    parts.append(f'<text x="{middle}" y="{_HEIGHT - 8}" text-anchor="middle" fill="#48545c">{axis}</text>')
    for number, (name, values) in enumerate(errors.items()):
        colour = COLOURS[number % len(COLOURS)]
        dash = "" if number < len(COLOURS) else ' stroke-dasharray="5 3"'
        thresholds, share = success_curve(values, scale)
        points = " ".join(f"{x(t):.1f},{y(s):.1f}" for t, s in zip(thresholds, share, strict=True))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>')
        level = _TOP + 12 + 20 * number
        parts.append(
            f'<line x1="{right + 14}" x2="{right + 36}" y1="{level - 4}" y2="{level - 4}" stroke="{colour}" '
            f'stroke-width="3"{dash}/><text x="{right + 42}" y="{level}" fill="#1c2329">{html.escape(name)}</text>'
        )
    return "".join([*parts, "</svg>"])
