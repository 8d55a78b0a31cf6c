"""Measures what the confidence of ``regenv.align`` is worth: wrong answers, and how many of them it warns of.

    python -m benchmarks.real_pairs DATA OUT
    python -m benchmarks.tools.confidence folder:OUT --pair PAIR --starts 40

An answer is wrong where its TRE is over 5 mm.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
import typer

import regenv
from agents.greedy_supervised.measure import draw_starts, target
from regenv.catalogue import get_task
from regenv.core.points import point_errors
from regenv.core.sitk import image_to_sitk, matrix_from_sitk, matrix_to_sitk

WRONG_MM = 5.0


def main(
    pairs: Annotated[str, typer.Argument(help="folder:PATH of real pairs, or phantom")],
    pair: Annotated[str, typer.Option(help="id of the pair")],
    starts: Annotated[int, typer.Option(help="how many")] = 40,
    degrees: Annotated[float, typer.Option(help="largest rotation of a start")] = 20.0,
    millimetres: Annotated[float, typer.Option(help="largest shift of a start")] = 30.0,
    split: Annotated[str, typer.Option(help="of the pair")] = "test",
    seed: Annotated[int, typer.Option(help="of the starts")] = 0,
) -> None:
    """Prints one line a start, and the counts."""
    dataset = get_task("CTCBCT-Rigid-v0").dataset(pairs, split)
    chosen = dataset.load(dataset.ids.index(pair))
    truth = target(chosen)
    images = image_to_sitk(chosen.fixed), image_to_sitk(chosen.moving)
    errors, sure = [], []
    for start in draw_starts(chosen, starts, degrees, millimetres, np.random.default_rng(seed)):
        found = regenv.align(*images, initial=matrix_to_sitk(start))
        errors.append(float(point_errors(matrix_from_sitk(found.transform), truth.points, truth.partners).mean()))
        sure.append(found.confidence == 1.0 and not found.warnings)
        print(f"{errors[-1]:.1f} mm, confidence {found.confidence:.2f}, {len(found.warnings)} warnings", flush=True)
    wrong = np.array(errors) > WRONG_MM
    unseen = wrong & np.array(sure)
    print(f"{pair}: {wrong.sum()} of {starts} answers are over {WRONG_MM:g} mm off; {unseen.sum()} of these had a")
    print(f"confidence of 1 and no warning, {np.round(np.array(errors)[unseen], 1).tolist()} mm off")


if __name__ == "__main__":
    typer.run(main)
