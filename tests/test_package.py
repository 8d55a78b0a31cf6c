"""The package as an outsider meets it: how it imports, what it ships, what `regenv doctor` says."""

from __future__ import annotations

import importlib
import json
import re
import statistics
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import typer

import regenv
from regenv import resources

doctor = importlib.import_module("regenv.cli.doctor")  # regenv.cli names its function alike

ROOT = Path(__file__).resolve().parents[1]
HEAVY = ("torch", "SimpleITK", "numba", "matplotlib", "onnxruntime", "stable_baselines3", "scipy", "PIL")


def run_python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT).stdout


def test_import_loads_nothing_heavy():
    code = f"import regenv, sys, json; print(json.dumps([m for m in {HEAVY!r} if m in sys.modules]))"
    assert json.loads(run_python(code)) == []


def test_import_time_beyond_gymnasium():
    code = "import time, {0}; start = time.perf_counter(); import regenv; print(time.perf_counter() - start)"
    seconds = [float(run_python(code.format("gymnasium"))) for _ in range(5)]
    assert statistics.median(seconds) < 0.5, seconds


def test_version_is_stated_once():
    stated = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert stated is not None
    assert regenv.__version__ == stated[1]
    assert f"version: {stated[1]}" in (ROOT / "CITATION.cff").read_text()


def test_lazy_names_are_listed_and_reachable():
    assert {"align", "to_sitk"} <= set(regenv.__all__)
    for name in regenv.__all__:
        assert getattr(regenv, name) is not None
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = regenv.no_such_name


def test_every_pinned_version_lies_in_its_range():
    from packaging.requirements import Requirement

    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)
    pins = {name.lower().replace("_", "-"): version for name, version in pins.items()}
    listed = re.findall(r'"([A-Za-z][\w.\[\]-]*[><=][^"]*)"', (ROOT / "pyproject.toml").read_text())
    requirements = {r.name.lower(): r for r in map(Requirement, listed)}
    assert {"gymnasium", "torch", "numba"} <= set(requirements)
    for name, requirement in requirements.items():
        if name in pins:
            assert requirement.specifier.contains(pins[name]), f"{requirement} is pinned at {pins[name]}"


def test_ray_does_not_hold_all_to_its_gymnasium():
    text = (ROOT / "pyproject.toml").read_text()
    gathered = re.search(r'^all = \["regenv\[(.+)\]"\]$', text, re.MULTILINE)
    assert gathered is not None
    assert set(gathered[1].split(",")) == {"align", "agents", "classical", "plots", "video", "marl", "offline"}


def test_resource_finds_files_of_the_clone(tmp_path):
    track = resources.resource("tracks", "ctcbct-rigid.toml")
    assert track.read_text().strip()
    assert track.name in resources.resource_names("tracks")


def test_resource_prefers_what_the_wheel_ships(tmp_path, monkeypatch):
    package = tmp_path / "regenv"
    (package / "_data" / "tracks").mkdir(parents=True)
    (package / "_data" / "tracks" / "a.toml").write_text("")
    monkeypatch.setattr(resources, "_PACKAGE", package)
    assert resources.resource("tracks", "a.toml") == package / "_data" / "tracks" / "a.toml"
    assert resources.resource_dir("policies") == package / "_data" / "policies"
    assert resources.resource_names("policies") == []


def test_unknown_resources_name_the_near_miss(tmp_path, monkeypatch):
    (tmp_path / "benchmarks" / "tracks").mkdir(parents=True)
    (tmp_path / "benchmarks" / "tracks" / "ctcbct-rigid.toml").write_text("")
    monkeypatch.setattr(resources, "_PACKAGE", tmp_path / "regenv")
    with pytest.raises(FileNotFoundError, match=r"ctcbct-rigd.*did you mean 'ctcbct-rigid.toml'"):
        resources.resource("tracks", "ctcbct-rigd.toml")
    with pytest.raises(ValueError, match=r"'track'.*did you mean 'tracks'"):
        resources.resource("track", "ctcbct-rigid.toml")


def test_doctor_reports_versions_and_how_to_get_what_is_missing(monkeypatch):
    import numpy

    rows = {(row.topic, row.name): row for row in doctor.report()}
    assert rows["core", "numpy"].value == numpy.__version__
    assert rows["core", "gymnasium"].ok
    assert {"align", "agents", "classical", "plots", "video", "ray", "marl", "offline", "dev"} <= {
        name for topic, name in rows if topic == "extras"
    }
    monkeypatch.setattr(doctor, "_version", lambda package: None if package == "onnxruntime" else "1.0")
    align = next(row for row in doctor.report() if row.name == "align")
    assert not align.ok
    assert align.fix == "pip install 'regenv[align]'"


def test_doctor_fails_only_where_the_core_is_incomplete(monkeypatch, capsys):
    doctor.doctor()
    assert "kernels" in capsys.readouterr().out
    monkeypatch.setattr(doctor, "_version", lambda package: None if package == "scipy" else "1.0")
    with pytest.raises(typer.Exit) as left:
        doctor.doctor()
    assert left.value.exit_code == 1
    assert "pip install scipy" in capsys.readouterr().out


def copy_of_the_set_up(folder: Path) -> Path:
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        (folder / name).write_text((ROOT / name).read_text())
    return folder


def test_make_sets_up_through_the_pinned_versions(tmp_path):
    command = ["make", "-n", "setup", f"PYTHON={sys.executable}"]
    done = subprocess.run(command, cwd=copy_of_the_set_up(tmp_path), check=True, capture_output=True, text=True)
    assert f"{sys.executable} -m venv .venv" in done.stdout
    assert "pip install --quiet --constraint constraints.txt --editable" in done.stdout
    assert "regenv doctor --compile" in done.stdout


def test_make_names_the_python_it_needs(tmp_path):
    command = ["make", "-s", "setup", "PYTHON="]
    done = subprocess.run(command, cwd=copy_of_the_set_up(tmp_path), capture_output=True, text=True)
    assert done.returncode != 0
    assert "Python 3.11, 3.12 or 3.13" in done.stderr
    assert not (tmp_path / ".venv").exists()


@pytest.mark.slow
def test_wheel_ships_tracks_rows_and_the_default_policy(tmp_path):
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("regenv-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "regenv/py.typed" in names
    assert "regenv/_data/tracks/ctcbct-rigid.toml" in names
    assert "regenv/_data/policies/greedy_supervised_rigid.onnx" in names
    assert any(name.startswith("regenv/_data/submissions/ctcbct-rigid/") for name in names)
    assert not any(name.startswith(("agents/", "benchmarks/", "tests/")) for name in names)
