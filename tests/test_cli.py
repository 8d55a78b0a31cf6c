"""The command line as a user runs it: real processes, exit codes, and words for slips."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from tests.evaluation.conftest import AGENTS, write_pairs


def regenv(*arguments, cwd=None, **environment):
    return subprocess.run(
        [sys.executable, "-m", "regenv", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=cwd,
        env={**os.environ, "COLUMNS": "100", "PYTHONPATH": os.getcwd(), **environment},
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_pairs(tmp_path_factory.mktemp("cli_pairs"))


def test_help_is_quick_and_names_every_command():
    began = time.perf_counter()
    result = regenv("--help")
    elapsed = time.perf_counter() - began
    assert result.returncode == 0
    for command in ("list", "info", "render", "bench", "evaluate", "align", "leaderboard", "data", "doctor"):
        assert command in result.stdout
    assert elapsed < 5  # generous: other tests may hold the processors
    loaded = subprocess.run(
        [sys.executable, "-c", "import sys, regenv.cli; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert not {"numba", "torch", "SimpleITK", "scipy", "rich.table"} & set(loaded)


def test_list_and_info():
    listed = regenv("list").stdout
    assert "CTCBCT-Rigid-v0" in listed and "ctcbct-rigid" in listed
    page = regenv("info", "CTCBCT-Rigid-v0")
    assert page.returncode == 0
    assert "## Action Space" in page.stdout


def test_data_is_made_listed_and_removed(tmp_path):
    made = regenv("data", "make", "BrainMR-SDM2D-v0", "--subjects", "3", "--workers", "2", REGENV_CACHE=tmp_path)
    assert made.returncode == 0, made.stderr
    assert "3 subjects made" in made.stdout and "3 of 3 done" in made.stderr
    listed = regenv("data", "list", REGENV_CACHE=tmp_path).stdout
    assert "phantom-brain_slices" in listed and "of 20 GB" in listed
    assert regenv("data", "clean", "--to", "1", REGENV_CACHE=tmp_path).stdout.count("0.00 GB removed")
    assert len(list(tmp_path.rglob("*.npz"))) == 3
    assert regenv("data", "clean", REGENV_CACHE=tmp_path).returncode == 0
    assert not list(tmp_path.rglob("*.npz"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("info", "CTCBCT-Rigd-v0"), "did you mean 'CTCBCT-Rigid-v0'"),
        (("evaluate", "ctcbct-rigd", "-a", "x:y"), "did you mean 'ctcbct-rigid"),
        (("evaluate", "ctcbct-rigid-real", "-a", "x:y"), "--data PATH"),
        (("evaluate", "ctcbct-rigid-real", "-a", "x:y", "--data", "nowhere"), "nowhere"),
        (("evaluate", "ctcbct-rigid", "-a", "x:y"), "no module 'x'"),
        (("evaluate", "ctcbct-rigid", "-a", "x:y", "--cases", "999"), "has 200"),
        (("render", "CTCBCT-Rigid-v0", "-s", "observation"), "KEY=VALUE"),
        (("align", "a.nii.gz", "b.nii.gz"), "a.nii.gz"),
        (("leaderboard", "verify", "nowhere"), "no folder nowhere"),
        (("evalute",), "evaluate"),
    ],
)
def test_slips_are_one_line_and_exit_code_2(arguments, words):
    result = regenv(*arguments)
    assert result.returncode == 2
    assert words in result.stderr
    assert "Traceback" not in result.stderr


def test_debug_shows_where():
    assert "Traceback" in regenv("info", "Nothing-v0", REGENV_DEBUG="1").stderr


def test_render_writes_a_picture_and_a_gif(folder, tmp_path):
    image = pytest.importorskip("PIL.Image")
    options = ("--dataset", f"folder:{folder}", "--split", "test", "--steps", 4, "-s", "observation=difference")
    result = regenv("render", "CTCBCT-Rigid-v0", "--agent", "random", "-o", tmp_path / "e.gif", *options)
    assert result.returncode == 0, result.stderr
    with image.open(tmp_path / "e.gif") as gif:
        assert gif.n_frames == 5
    assert regenv("render", "CTCBCT-Rigid-v0", "--agent", "random", "-o", tmp_path / "e.png", *options).returncode == 0
    wrong = regenv("render", "CTCBCT-Rigid-v0", "--agent", "random", "-o", tmp_path / "e.mov", *options)
    assert wrong.returncode == 2 and ".gif or .png" in wrong.stderr


def test_bench_counts_steps(folder):
    result = regenv(
        "bench",
        "CTCBCT-Rigid-v0",
        "--num-envs",
        4,
        "--seconds",
        0.3,
        "--dataset",
        f"folder:{folder}",
        "-s",
        "split=test",
    )
    assert result.returncode == 0, result.stderr
    assert "4 lanes:" in result.stdout


def test_evaluate_verify_and_build(folder, tmp_path):
    out = tmp_path / "rows"
    agents = ("-a", f"{AGENTS}:walker", "-a", f"{AGENTS}:at_once")
    result = regenv("evaluate", "ctcbct-rigid-real", *agents, "--data", folder, "--out", out)
    assert result.returncode == 0, result.stderr
    assert "40 cases" in result.stdout and "walker" in result.stdout
    verified = regenv("leaderboard", "verify", out)
    assert verified.returncode == 0, verified.stdout
    assert "walker: replayed" in verified.stdout and "at-once: recomputed" in verified.stdout
    page = tmp_path / "LEADERBOARD.md"
    build = ("leaderboard", "build", "--submissions", out, "--page", page)
    assert regenv(*build, "--check").returncode == 1
    assert regenv(*build).returncode == 0
    assert regenv(*build, "--check").returncode == 0
    assert "| at-once | classical |" in page.read_text()
    header = out / "ctcbct-rigid-real" / "walker" / "submission.toml"
    header.write_text(header.read_text().replace("cases = 40", "cases = 4"))
    row = out / "ctcbct-rigid-real" / "walker" / "episodes.jsonl.gz"
    row.write_bytes(row.read_bytes()[:100])
    refused = regenv("leaderboard", "verify", out)
    assert refused.returncode == 1
    assert "[schema]" in refused.stdout


def test_an_agent_that_fails_is_named_with_its_case(folder, tmp_path):
    arguments = ("evaluate", "ctcbct-rigid-real", "-a", f"{AGENTS}:stumbler", "--data", folder, "--out", tmp_path)
    result = regenv(*arguments, "--cases", 4, STUMBLE="2")
    assert result.returncode == 2
    assert "failed on case 002: ZeroDivisionError" in result.stderr
    stopped = regenv(*arguments, "--cases", 4, STUMBLE="1", STUMBLE_BY="interrupt")
    assert stopped.returncode == 130
    assert "The same command goes on" in stopped.stderr
    assert regenv(*arguments, "--cases", 4).returncode == 0


def test_align_writes_the_transform_and_the_moved_image(folder, tmp_path):
    sitk = pytest.importorskip("SimpleITK")
    fixed, moving, out, moved = folder / "fixed0.mha", folder / "moving0.mha", tmp_path / "t.tfm", tmp_path / "m.nii.gz"
    result = regenv("align", fixed, moving, "-a", "agents.identity:factory", "-o", out, "--moved", moved, "--runs", 1)
    assert result.returncode == 0, result.stderr
    assert sitk.ReadTransform(str(out)).TransformPoint((1.0, 2.0, 3.0)) == pytest.approx((1, 2, 3), abs=1e-6)
    assert sitk.ReadImage(str(moved)).GetSize() == sitk.ReadImage(str(fixed)).GetSize()
    missing = regenv("align", fixed, moving, "-o", tmp_path / "nowhere" / "t.tfm")
    assert missing.returncode == 2 and "no folder" in missing.stderr
    start = tmp_path / "start.tfm"
    start.write_text("#Insight Transform File V1.0\nTransform: Euler3DTransform_double_3_3\nParameters: nan\n")
    harmful = regenv("align", fixed, moving, "-o", out, "--initial", start)
    assert harmful.returncode == 2 and "Parameters of Euler3D is 'nan'" in harmful.stderr


def test_doctor():
    result = regenv("doctor")
    assert result.returncode in (0, 1)
    assert "gymnasium" in result.stdout
