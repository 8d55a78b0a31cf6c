"""The learning curve on a terminal and off it."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import curve

LINES = [
    {"steps": 100, "minutes": 0.1, "exploration": 0.5},  # no episode has ended yet
    {"steps": 200, "minutes": 0.2, "exploration": 0.5, "tre_mm": 31.0, "under_10mm": 0.0},
    {"steps": 400, "minutes": 0.4, "exploration": 0.0, "tre_mm": 4.0, "under_10mm": 0.95},
]


def test_braille_dots_are_where_unicode_has_them():
    dots = np.zeros((4, 6), bool)
    dots[0, 0] = dots[3, 3] = True  # dot 1 of the first character, dot 8 of the second
    assert curve.braille(dots) == ["⠁⢀ "]


def test_the_curve_has_no_gaps_and_lies_where_its_values_are():
    points = [(200, 45.0), (300, 15.0), (400, 0.0)]
    dots = curve.curve_dots(points, total=400, top=45.0)
    rows, columns = dots.shape
    assert not dots[:, : columns // 2 - 1].any()  # before the first point
    assert dots[:, columns // 2 - 1 :].any(0).all() and dots.any(1).all()
    last = [int(np.flatnonzero(column)[-1]) for column in dots.T[columns // 2 - 1 :]]
    assert last == sorted(last) and (last[0], last[-1]) == (0, rows - 1)
    assert last[len(last) // 2] == pytest.approx(rows * 2 / 3, abs=1)
    assert not curve.curve_dots([], 400, 45.0).any()


def test_what_is_worse_than_the_axis_is_drawn_at_its_top():
    dots = curve.curve_dots([(1, 500.0), (400, 500.0)], total=400, top=40.0)
    assert dots[0].all() and not dots[1:].any()


def test_the_chart_marks_the_start_on_its_level():
    lines = curve.chart([(1, 30.0), (100, 30.0)], total=100, start_mm=20.0).plain.splitlines()
    (start,) = [i for i, line in enumerate(lines) if "start 20" in line]
    (drawn,) = [i for i, line in enumerate(lines) if line.count("⠉") + line.count("⣀") > 50]
    assert "30 mm" in lines[drawn] and drawn < start  # the axis ends at 30 mm
    assert set(lines[start].split("│")[1]) > {" "}
    assert "100 steps" in lines[-1]


def test_a_line_says_how_far_it_is():
    assert curve.told({"steps": 0}, 400) == "0 of 400 steps"
    assert curve.told(LINES[1], 400) == (
        "200 of 400 steps, median TRE 31.0 mm, 0 % under 10 mm, exploring 50 %, 12 s left"
    )
    assert "left" not in curve.told(LINES[2], 400)


def test_off_a_terminal_there_are_plain_lines_and_always_the_last(capsys):
    for seconds, wanted in ((0.0, 3), (1000.0, 1)):
        with curve.live_curve(400, 25.0, seconds) as watch:
            for line in LINES:
                watch(line)
        printed = capsys.readouterr().out.splitlines()
        assert len(printed) == wanted and printed[-1] == curve.told(LINES[-1], 400)
        assert not any("\x1b" in line or "│" in line for line in printed)


@pytest.mark.parametrize("kind", ["xterm", "dumb"])
def test_on_a_terminal_there_is_the_chart_unless_it_can_draw_none(kind, capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich's way to say that this is a terminal
    monkeypatch.setenv("TERM", kind)
    with curve.live_curve(400, 25.0) as watch:
        for line in LINES:
            watch(line)
    printed = capsys.readouterr().out
    assert "median TRE 4.0 mm, 95 % under 10 mm" in printed
    assert ("start 25" in printed and "\x1b" in printed) == (kind == "xterm")
