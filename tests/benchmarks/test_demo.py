"""The demo's pictures and page, from rows that are run here; the whole demo is a slow test."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from benchmarks import demo, report
from regenv.evaluation.cases import bind
from regenv.evaluation.runner import run
from regenv.evaluation.score import Scale
from regenv.evaluation.track import find_track
from regenv.leaderboard.table import table_row
from regenv.leaderboard.verify import verify
from tests.evaluation.conftest import AGENTS, write_pairs


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The report of two methods on four cases of a folder of pairs."""
    pytest.importorskip("PIL.Image")
    data, out = write_pairs(tmp_path_factory.mktemp("pairs")), tmp_path_factory.mktemp("demo")
    track = bind(find_track("ctcbct-rigid-real"), data)
    rows = [
        run(track, f"{AGENTS}:walker", out=out / "submissions", cases=4, name=demo.TRAINED),
        run(track, f"{AGENTS}:at_once", out=out / "submissions", cases=4, name="simpleitk-mi"),
    ]
    table = [table_row(verify(row.folder, track=track, trial=True), track) for row in rows]
    settings = demo.Settings(data=data, cases=4, minutes=1, out=out)
    return track, rows, demo.write_report(track, settings, 4, rows, table, 12.0)


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
    assert len(checker.sources) == 2
    assert all(source.startswith("data:image/") for source in checker.sources)
    assert "4 of the 40 cases" in text and demo.TRAINED in text
    assert len(re.findall("<polyline", text)) == 2


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
    kept = [int(frame[0, 0, 0]) for frame in demo.thinned(frames, 7)]
    assert len(kept) == 7 and (kept[0], kept[-1]) == (0, 99)
    assert len(demo.thinned(frames[:3], 7)) == 3


def test_success_curve_rises_to_the_right_and_ends_where_all_succeed():
    svg = report.success_svg({"a & b": [0.5, 1.0, 2.0, 4.0]}, Scale(5.0, 5.0))
    assert "a &amp; b" in svg
    points = [tuple(map(float, p.split(","))) for p in re.search('points="([^"]+)"', svg).group(1).split()]
    x, y = zip(*points, strict=True)
    assert list(x) == sorted(x) and list(y) == sorted(y, reverse=True)
    assert y[0] - y[-1] == pytest.approx(316, abs=1)


def test_slips(tmp_path):
    result = subprocess.run(
        [sys.executable, "-m", "benchmarks.demo", "--data", str(tmp_path / "nowhere")], capture_output=True, text=True
    )
    assert result.returncode == 2
    assert "nowhere" in result.stderr and "Traceback" not in result.stderr


@pytest.mark.slow
def test_the_whole_demo(tmp_path):
    """Trains for three seconds and goes through all of it, on a folder of pairs."""
    data = write_pairs(tmp_path / "pairs")
    arguments = ["--data", str(data), "--cases", "2", "--minutes", "0.05", "--out", str(tmp_path / "out")]
    result = subprocess.run([sys.executable, "-m", "benchmarks.demo", *arguments], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "dqn-demo" in result.stdout and "report:" in result.stdout
    assert Path(tmp_path / "out" / "report.html").stat().st_size > 50_000
