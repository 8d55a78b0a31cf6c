"""``regenv track new``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from regenv.cli.options import DatasetOption, SplitOption

track = typer.Typer(no_args_is_help=True)


@track.callback()
def _group() -> None:
    """Keeps ``new`` a command of its own while it is the only one."""


@track.command()
def new(
    env_id: Annotated[str, typer.Argument(metavar="ID", help="Environment, such as T1T2-Rigid-v0.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE.toml", help="Header; the cases lie beside it.")],
    cases: Annotated[int | None, typer.Option(min=1, help="How many; default a start of every pair.")] = None,
    dataset: DatasetOption = "phantom",
    split: SplitOption = "test",
    field_of_view: Annotated[str | None, typer.Option(help="Of the embedded anatomy; default the id's.")] = None,
    starts_per_pair: Annotated[int, typer.Option(min=1, help="Starts of each pair.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Of the starts.")] = 2026,
    min_tre: Annotated[
        float | None, typer.Option(help="Smallest error of a start in mm; default the id's threshold of success.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Default is the file's name.")] = None,
    title: Annotated[str, typer.Option(help="One line; default the id's.")] = "",
    max_steps: Annotated[int | None, typer.Option(help="Of an episode; default three of the id's horizons.")] = None,
    max_evaluations: Annotated[int, typer.Option(min=1, help="Of a similarity, in one case.")] = 20000,
    force: Annotated[
        bool, typer.Option("--force", help="Write over a track; rows that were run on it no longer verify.")
    ] = False,
) -> None:
    """Freezes a track: draws its cases and writes their numbers. A frozen track is not changed, a new one gets a name.

    With --dataset folder: it is a template, whose cases are drawn from the folder that regenv evaluate --data names.
    """
    from regenv.evaluation.cases import new_track
    from regenv.evaluation.track import TrackError

    if out.suffix != ".toml":
        raise TrackError(f"-o {out} must end in .toml")
    if out.exists() and not force:
        raise TrackError(f"{out} is frozen: give a new track a new name, or --force before anything was run on it")
    made = new_track(
        env_id,
        name or out.stem,
        cases=cases,
        title=title,
        dataset=dataset,
        split=split,
        field_of_view=field_of_view,
        per_pair=starts_per_pair,
        seed=seed,
        min_tre_mm=min_tre,
        max_steps=max_steps,
        max_evaluations=max_evaluations,
    )
    made.save(out)
    far = f", starts from {made.scale.smallest_start_mm:.1f} mm" if made.cases else ""
    typer.echo(f"wrote {out}: {len(made.cases) or 'a template without'} cases{far}, digest {made.digest}")
