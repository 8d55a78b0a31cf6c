"""The demo's pictures and page, from rows that are run here; the whole demo is a slow test."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from benchmarks import demo, pictures, report
from benchmarks.report import Learning
from regenv.evaluation.cases import bind
from regenv.evaluation.runner import run
from regenv.evaluation.score import Scale
from regenv.evaluation.track import find_track
from regenv.leaderboard.table import table_row
from regenv.leaderboard.verify import verify
from tests.evaluation.conftest import AGENTS, write_pairs


def result(tre_mm, under_10mm):
    """A summary of two episodes, as far as the page shows it."""
    return {
        **{"episodes": 2, "success": {"5": 0.0, "10": under_10mm}, "harmed": 1.0 - under_10mm},
        **{"tre_mm": [1.0, tre_mm, 99.0], "start_tre_mm": [10.0, 25.5, 30.0]},
    }


LEARNING = Learning(
    **{"env_id": "Some-Id-v0", "steps": 2000, "seconds": 12.3, "curve": [(1000, 31.0), (2000, 5.0)]},
    **{"before": result(70.5, 0.0), "after": result(4.25, 1.0), "film": b"GIF89a", "case": "pair 3"},
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The report of two methods on four cases of a folder of pairs."""
    pytest.importorskip("PIL.Image")
    data, out = write_pairs(tmp_path_factory.mktemp("pairs")), tmp_path_factory.mktemp("demo")
    track = bind(find_track("ctcbct-rigid-real"), data)
    rows = [
        run(track, f"{AGENTS}:walker", out=out / "submissions", cases=4, name="greedy-supervised"),
        run(track, f"{AGENTS}:at_once", out=out / "submissions", cases=4, name="simpleitk-mi"),
    ]
    table = [table_row(verify(row.folder, track=track, trial=True), track) for row in rows]
    settings = demo.Settings(data=data, cases=4, steps=None, out=out)
    return track, rows, demo.write_report(track, settings, LEARNING, rows, table, 12.0)


class Checker(HTMLParser):
    """Collects open tags and everything that a browser would load."""

    VOID = {"meta", "img"}

    def __init__(self):
        super().__init__()
        self.open, self.sources = [], []

    def handle_starttag(self, tag, attributes):
        if tag not in self.VOID:
            self.open.append(tag)
        self.sources += [value for key, value in attributes if key in ("src", "href")]

    def handle_startendtag(self, tag, attributes):
        pass  # <line .../> opens and closes

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_whole_and_loads_nothing(made):
    text = made[2].read_text()
    checker = Checker()
    checker.feed(text)
    assert checker.open == []
    assert len(checker.sources) == 3
    assert all(source.startswith("data:image/") for source in checker.sources)
    assert "4 of the 40 cases" in text and "greedy-supervised" in text
    assert len(re.findall("<polyline", text)) == 3
    assert "2,000 steps" in text and "on the same 2 starts" in text and "25.5 mm off" in text
    for cells in (("before training", "70.5 mm", "0 %", "0 %", "100 %"), ("after training", "4.2 mm", "0 %", "100 %")):
        assert "".join(f"<td>{cell}</td>" for cell in cells) in text


def test_the_episode_is_the_rows(made):
    from PIL import Image

    track, rows, path = made
    with Image.open(path.with_name("episode.gif")) as gif:
        case = demo.median_case(track, rows[0])
        assert gif.n_frames == demo.episode_of(rows[0], case).steps + 1
    frames = demo.replay_frames(track, rows[0], case)
    assert not np.array_equal(frames[0], frames[2])


def test_thinned_keeps_first_and_last():
    frames = [np.full((1, 1, 3), i, np.uint8) for i in range(100)]
    kept = [int(frame[0, 0, 0]) for frame in pictures.thinned(frames, 7)]
    assert len(kept) == 7 and (kept[0], kept[-1]) == (0, 99)
    assert len(pictures.thinned(frames[:3], 7)) == 3


def test_success_curve_rises_to_the_right_and_ends_where_all_succeed():
    svg = report.success_svg({"a & b": [0.5, 1.0, 2.0, 4.0]}, Scale(5.0, 5.0))
    assert "a &amp; b" in svg
    points = [tuple(map(float, p.split(","))) for p in re.search('points="([^"]+)"', svg).group(1).split()]
    x, y = zip(*points, strict=True)
    assert list(x) == sorted(x) and list(y) == sorted(y, reverse=True)
    assert y[0] - y[-1] == pytest.approx(316, abs=1)


def test_the_learning_curve_falls_under_the_level_of_the_starts():
    svg = report.learning_svg(LEARNING)
    level = float(re.search('y1="([^"]+)" y2="[^"]+" stroke="#d1495b"', svg).group(1))
    (x0, y0), (x1, y1) = (map(float, p.split(",")) for p in re.search('points="([^"]+)"', svg).group(1).split())
    assert x0 < x1 == report._WIDTH - report._RIGHT
    assert y0 < level < y1  # downwards


def test_slips(tmp_path):
    result = subprocess.run(
        [sys.executable, "-m", "benchmarks.demo", "--data", str(tmp_path / "nowhere")], capture_output=True, text=True
    )
    assert result.returncode == 2
    assert "nowhere" in result.stderr and "Traceback" not in result.stderr


@pytest.mark.slow
def test_the_whole_demo(tmp_path):
    """Trains for seconds and goes through all of it, on a folder of pairs, into a pipe."""
    data = write_pairs(tmp_path / "pairs")
    arguments = ["--data", str(data), "--cases", "2", "--steps", "4096", "--out", str(tmp_path / "out")]
    result = subprocess.run([sys.executable, "-m", "benchmarks.demo", *arguments], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "4,096 of 4,096 steps, median TRE" in result.stdout and "after training" in result.stdout
    assert "simpleitk-mi" in result.stdout and "report:" in result.stdout
    assert Path(tmp_path / "out" / "report.html").stat().st_size > 50_000
