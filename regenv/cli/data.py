"""``regenv data``: makes subjects ahead, says what the cache holds, bounds it."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from regenv.cli.options import SplitOption, known_id

data = typer.Typer(no_args_is_help=True)


@data.command()
def make(
    env_id: Annotated[str, typer.Argument(metavar="ID", help="Such as CTCBCT-Rigid-v0.")],
    subjects: Annotated[int | None, typer.Option(min=1, help="How many, from the first; 32 for training.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; default all processors.")] = None,
    split: SplitOption = "train",
    dataset: Annotated[str, typer.Option(help="phantom or shapes.")] = "phantom",
    field_of_view: Annotated[str | None, typer.Option(help="Variant of the anatomy.")] = None,
) -> None:
    """Makes subjects of an environment's embedded data set ahead, for the cache."""
    from regenv.catalogue import get_task
    from regenv.synthesis.make import make_subjects

    chosen = get_task(known_id(env_id)).dataset(dataset, split, field_of_view=field_of_view)
    made = make_subjects(chosen, subjects, workers)
    typer.echo(f"{env_id}: {made} subjects made")


@data.command("list")
def list_data() -> None:
    """What the cache holds, by generator."""
    from rich.console import Console
    from rich.table import Table

    from regenv.data.cache import cache_bound, cache_dir, kept_files

    files = kept_files()
    table = Table("generator", "subjects", "MB", "last used", box=None, header_style="bold")
    for name in sorted({kept.path.parent.name for kept in files}):
        own = [kept for kept in files if kept.path.parent.name == name]
        used = time.strftime("%Y-%m-%d %H:%M", time.localtime(max(kept.used for kept in own)))
        table.add_row(name, str(len(own)), f"{sum(kept.bytes for kept in own) / 1e6:,.0f}", used)
    Console().print(table)
    total = sum(kept.bytes for kept in files) / 1e9
    typer.echo(f"{cache_dir()}: {total:.2f} of {cache_bound() / 1e9:g} GB (REGENV_CACHE_GB)")


@data.command()
def clean(
    to_gb: Annotated[float, typer.Option("--to", min=0, metavar="GB", help="Stop when so many are left.")] = 0.0,
) -> None:
    """Removes what was used longest ago, all by default, but nothing that is being made."""
    from regenv.data.cache import cache_dir, make_room, remove_abandoned

    removed = make_room(int(to_gb * 1e9), recent_s=0.0)
    remove_abandoned()
    typer.echo(f"{cache_dir()}: {removed / 1e9:.2f} GB removed")
