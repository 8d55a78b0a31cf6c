"""The table of real pairs: where each environment's start, bounds and methods end on public images.

    python -m benchmarks.real_table DATA [--work DIR] [--starts 10]

writes ``benchmarks/REAL.md`` and prints it; about 20 minutes on one core. ``DATA`` holds the public images; pairs made
of them, and the rows of each finished experiment, lie in the work folder, so that a run that was cut off goes on there.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np

import regenv
from benchmarks.real.experiments import EXPERIMENTS, STARTS, Experiment, Row, run_experiment
from benchmarks.real.folders import CASES
from regenv.catalogue import get_task
from regenv.data.cache import digest
from regenv.errors import DataError
from regenv.files import write_atomically

OUT = Path(__file__).with_name("REAL.md")
METHODS = ("given", "start", "oracle", "greedy", "classical")
NAMES = {"mi": "SimpleITK, MI", "ncc": "SimpleITK, NCC", "spline": "SimpleITK, B-spline", "simplex": "simplex"}
MEASURES = {"tre": "TRE, mm", "dice": "Dice", "ncc": "NCC"}
DIGITS = {"tre": 1, "dice": 3, "ncc": 3}

HEAD = """# On real images

Made by `python -m benchmarks.real_table DATA` from the public images that [real/folders.py](real/folders.py) and
[real/wrist.py](real/wrist.py) name, and never edited. {starts} starts a pair: seeds 0 to {last} of `reset`, or as
many cases, each with a random frame and start. Shown are the median and, in brackets, the best and the worst.

- **start**: drawn as the id draws it: about the truth, or about the given alignment where a deformation is to be
  found (coefficients within one standard deviation).
- **given**: the linear alignment that a deformable environment is given, before any coefficient; one figure a pair.
- **oracle**: `expert_action` to STOP; where labels are all that is known (hearts), greedy steps on the true Dice.
- **greedy**: `agents.greedy_search`, one step of look-ahead on the environment's own similarity.
- **SimpleITK** begins where the agents begin (linear: `agents.simpleitk`), or at the given alignment (B-splines by
  correlation on three levels, control points at last 48 mm apart in volumes and 24 mm in slices); it has no 2-D/3-D
  registration, where **simplex** is Nelder-Mead on the environment's own similarity, 400 evaluations.

All measures are taken from a SimpleITK transform outside the environment: TRE over the landmarks (lung), over a
lattice in the head (brain, MNI), at the corners of the bone's box (wrist); Dice of the left ventricle's cavity;
correlation within the fixed mask where both images are of one modality, which nothing but the deformable SimpleITK
optimises as it is measured.

What the truths are worth: the lung's 51 landmarks are corresponding points of the elastix test data; the brain's
scanner frames are good to about 2 mm, less for the diffusion scans, which are distorted; MNI is exact by
construction; the wrist's reference poses are our own, fitted to both views, repeatable to 0.15 mm, each view alone
agreeing across its line of sight within 0.4 mm; the knee has none, so its TRE is the distance to SimpleITK's affine,
which five starts moved by up to {knee} mm; the rat has none.
"""


def run(data: Path, work: Path, starts: int, experiments: Sequence[Experiment] = EXPERIMENTS) -> list[list[Row]]:
    """The rows of each experiment; those of finished ones are read from the work folder.

    Args:
        data: Holds the public images.
        work: Pairs and rows are written there.
        starts: Starts of each pair.
        experiments: Which to run.
    """
    work.mkdir(parents=True, exist_ok=True)
    tables = []
    for experiment in experiments:
        path = work / f"{_rows_key(experiment, starts)}.json"
        if not path.is_file():
            rows = list(run_experiment(experiment, data, work, starts, lambda line: print(line, file=sys.stderr)))
            write_atomically(path, json.dumps(rows).encode())
        tables.append(json.loads(path.read_text(encoding="utf-8")))
    return tables


def _rows_key(experiment: Experiment, starts: int) -> str:
    """Name of an experiment's rows: another for other starts, options, version or population model."""
    options = {field.name: getattr(experiment, field.name) for field in fields(experiment)}
    return digest(
        experiment.slug, 1, regenv=regenv.__version__, starts=starts, model=_population(experiment), **options
    )


def cell(values: Sequence[float], measure: str) -> str:
    """Median, best and worst of some values; a dash for none."""
    if not values:
        return "-"
    digits = DIGITS[measure]
    ends = (min(values), max(values)) if measure == "tre" else (max(values), min(values))
    if len(values) == 1:
        return f"{values[0]:.{digits}f}"
    return f"{float(np.median(values)):.{digits}f} ({ends[0]:.{digits}f} to {ends[1]:.{digits}f})"


def section(experiment: Experiment, rows: Iterable[Row]) -> str:
    """One experiment as Markdown: a line for each pair and measure."""
    rows = list(rows)
    methods = [m for m in METHODS if any(row["method"] == m for row in rows)]
    heads = [NAMES[experiment.classical] if m == "classical" else m for m in methods]
    changed = ", ".join(f"`{k}={v!r}`" for k, v in experiment.keywords.items())
    lines = [
        f"## {experiment.title}",
        "",
        f"`{experiment.env_id}`{f', {changed}' if changed else ''}{_population(experiment)}",
        "",
        "| pair | measure | " + " | ".join(heads) + " |",
        "| --- | --- |" + " --- |" * len(heads),
    ]
    for pair in dict.fromkeys(row["pair"] for row in rows):
        for measure in experiment.measures:
            cells = [
                cell([r[measure] for r in rows if (r["pair"], r["method"]) == (pair, m) and measure in r], measure)
                for m in methods
            ]
            lines.append(f"| {pair} | {MEASURES[measure]} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _population(experiment: Experiment) -> str:
    """What a deformable environment's model was fitted to."""
    task = get_task(experiment.env_id)
    if task.model != "sdm":
        return ""
    if experiment.folder == "rat":
        return "; model: smooth random displacements of 3 mm"
    from regenv.synthesis.population import load_population

    return f"; model: {load_population(task.recipe, task.field_of_view).source}"


def report(tables: Sequence[Sequence[Row]], experiments: Sequence[Experiment], starts: int, knee_mm: str) -> str:
    """The whole page."""
    parts = [HEAD.format(starts=starts, last=starts - 1, knee=knee_mm)]
    parts += [section(experiment, rows) for experiment, rows in zip(experiments, tables, strict=True)]
    return "\n".join(parts)


def main(argv: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder that holds the public images")
    parser.add_argument("--work", type=Path, default=Path("build/real"), help="folder for pairs and rows")
    parser.add_argument(
        "--starts", type=int, default=STARTS, help=f"starts of each pair (default {STARTS}, at most {CASES})"
    )
    parser.add_argument("--out", type=Path, default=OUT, help="the page (default benchmarks/REAL.md)")
    given = parser.parse_args(argv)
    if not 1 <= given.starts <= CASES:
        parser.error(f"--starts {given.starts} must be 1 to {CASES}: pairs that lie in one frame have so many cases")
    try:
        tables = run(given.data, given.work, given.starts)
    except DataError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    spread = (given.work / "knee" / "spread_mm.txt").read_text(encoding="utf-8").strip()
    page = report(tables, EXPERIMENTS, given.starts, spread)
    write_atomically(given.out, page.encode())
    print(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
