"""The README and the site do what they say: their Python and shell blocks are run for real, on small sizes.

Blocks run in order in one folder that holds what a reader would have: two image files, a folder of pairs, and the agent
that `docs/your-agent.md` shows. The set-up commands (`make`, `pip`) are what brought this test here.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    *("README.md", "CONTRIBUTING.md"),
    *(str(p.relative_to(ROOT)) for p in sorted((ROOT / "docs").glob("*.md")) if p.name != "leaderboard.md"),
]
BLOCK = re.compile(r"^```(python|bash)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NOT_RUN = ("make ", "pip ", "python -m agents.")  # set-up, and training for most of an hour
# The same commands on fewer cases and shorter training.
SMALLER = [
    (r"--cases \d+", "--cases 2"),
    (r"buffer_size=[\d_]+", "buffer_size=200"),
    (r"\.learn\([\d_]+", ".learn(200"),
]


def blocks(page: str) -> list[tuple[str, str]]:
    """Language and text of every block of a page that can be run."""
    return BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))


def commands(text: str) -> list[str]:
    """The lines of a shell block that are run."""
    lines = [line.split("#")[0].strip() for line in text.replace("\\\n", " ").splitlines()]
    return [line for line in lines if line and not line.startswith(NOT_RUN)]


def smaller(text: str) -> str:
    for pattern, replacement in SMALLER:
        text = re.sub(pattern, replacement, text)
    return text


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """What a reader has at hand."""
    import SimpleITK as sitk

    import regenv
    from regenv.core.sitk import image_to_sitk
    from regenv.datasets import make_dataset

    here = tmp_path_factory.mktemp("reader")
    pair = make_dataset("phantom", split="validation", modalities=("cbct", "ct")).load(0)
    sitk.WriteImage(image_to_sitk(pair.fixed), str(here / "fixed.nii.gz"))
    sitk.WriteImage(image_to_sitk(pair.moving), str(here / "moving.nii.gz"))
    (here / "my-pairs").mkdir()
    for name, image in (("cbct_01", pair.fixed), ("ct_01", pair.moving)):
        sitk.WriteImage(image_to_sitk(image), str(here / "my-pairs" / f"{name}.nii.gz"))
    sitk.WriteTransform(regenv.to_sitk(pair.truth.transform), str(here / "my-pairs" / "truth.tfm"))
    (here / "my-pairs" / "pairs.csv").write_text(
        "fixed,moving,fixed_modality,moving_modality,transform\ncbct_01.nii.gz,ct_01.nii.gz,cbct,ct,truth.tfm\n"
    )
    agent = next(text for language, text in blocks("docs/your-agent.md") if text.startswith("# my_agent.py"))
    (here / "my_agent.py").write_text(agent, encoding="utf-8")
    policies = sorted((ROOT / "agents" / "weights").glob("greedy_supervised_rigid.onnx"))
    if policies:
        shutil.copy(policies[0], here / "policy.onnx")
    (here / "agents").symlink_to(ROOT / "agents")  # the reference agents are used from a clone
    return here


def run(command: list[str], folder: Path) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, encoding="utf-8", timeout=300)
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


@pytest.mark.parametrize("page", PAGES)
def test_blocks_run(page, folder):
    for language, text in blocks(page):
        if language == "python":
            run([sys.executable, "-c", smaller(text)], folder)
        else:
            for command in commands(smaller(text)):
                run(["bash", "-c", command], folder)


def test_blocks_are_found():
    counts = {page: len(blocks(page)) for page in PAGES}
    assert counts["README.md"] >= 6
    assert counts["docs/quickstart.md"] >= 5
    assert commands("make demo\nregenv list  # the ids\n") == ["regenv list"]


def test_first_screen_names_the_two_commands():
    screen = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()[:30]
    assert any(line.startswith("make demo") for line in screen)
    assert any(line.startswith("make test") for line in screen)


def test_tables_of_the_readme_are_current():
    import importlib.util

    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    assert generate.readme() == (ROOT / "README.md").read_text(encoding="utf-8"), "run: make docs"


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_lead_somewhere(page):
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", (ROOT / page).read_text(encoding="utf-8"))
    targets += re.findall(
        r"`((?:regenv|agents|benchmarks|tests|docs)/[\w./-]*)`", (ROOT / page).read_text(encoding="utf-8")
    )
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_site_builds_and_shows_every_environment(tmp_path):
    pytest.importorskip("mkdocs", reason="needs regenv[dev]")
    from regenv.catalogue import TASKS

    run([sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)], ROOT)
    for env_id in TASKS:
        page = (tmp_path / "environments" / env_id / "index.html").read_text(encoding="utf-8")
        assert "Version History" in page
    assert "fixed_landmarks" in (tmp_path / "your-scans" / "index.html").read_text(encoding="utf-8")
    assert "agents.oracle:factory" in (tmp_path / "agents" / "index.html").read_text(encoding="utf-8")
