"""The report of a run as one HTML file: table, success curves, pictures and an episode, all inside it."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regenv.evaluation.score import Scale, success_curve
from regenv.leaderboard.table import TableRow, interval_text

COLOURS = ("#0b6e99", "#d1495b", "#3a7d44", "#8e44ad", "#e08e0b", "#5c6b73", "#111111", "#17a398", "#a0522d", "#7f7fff")
_WIDTH, _HEIGHT = 820, 380
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 20, 16, 48


@dataclass(frozen=True)
class Report:
    """What goes on the page.

    Attributes:
        title: Heading.
        lead: Paragraphs before the table, plain text.
        rows: The table, best first.
        errors: Final TRE in mm of each row's cases, by row.
        pictures: Caption and PNG or GIF bytes, in order.
        notes: Paragraphs at the end, plain text.
    """

    title: str
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
{paragraphs}
<h2>Leaderboard</h2>
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
    for share in (0, 0.25, 0.5, 0.75, 1):
        parts.append(f'<line x1="{_LEFT}" x2="{right}" y1="{y(share):.1f}" y2="{y(share):.1f}" stroke="#e7eaed"/>')
        label = f"{100 * share:.0f} %"
        parts.append(f'<text x="{_LEFT - 8}" y="{y(share) + 4:.1f}" text-anchor="end" fill="#48545c">{label}</text>')
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


def png(picture: NDArray[np.uint8]) -> bytes:
    """A picture ``(H, W, 3)`` uint8 as PNG bytes."""
    from regenv.errors import require

    stream = io.BytesIO()
    image: Any = require("PIL.Image", "video")
    image.fromarray(picture).save(stream, "PNG", optimize=True)
    return stream.getvalue()


def side_by_side(pictures: Sequence[tuple[str, NDArray[np.uint8]]]) -> NDArray[np.uint8]:
    """Pictures ``(H, W, 3)`` of one height with a caption over each, stacked downwards."""
    from regenv.errors import require

    image, drawing = require("PIL.Image", "video"), require("PIL.ImageDraw", "video")
    rows = []
    for text, picture in pictures:
        bar = image.new("RGB", (picture.shape[1], 22), (0, 0, 0))
        drawing.Draw(bar).text((6, 5), text, fill=(255, 255, 255))
        rows += [np.asarray(bar), picture]
    return np.concatenate(rows)
