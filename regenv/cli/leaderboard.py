"""``regenv leaderboard verify``, ``build`` and ``migrate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

leaderboard = typer.Typer(no_args_is_help=True)


@leaderboard.command()
def verify(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A row, or a folder of rows.")],
    trial: Annotated[bool, typer.Option("--trial", help="Accept rows of only the first cases.")] = False,
    track: Annotated[Path | None, typer.Option(help="A track of one's own (.toml) that the rows were run on.")] = None,
    labels: Annotated[bool, typer.Option("--labels", help="Also overlap and surface distances of the labels.")] = False,
    images: Annotated[bool, typer.Option("--images", help="Also CC, MSE and SSIM of fixed and moved image.")] = False,
    jacobians: Annotated[bool, typer.Option("--jacobians", help="Also SDlogJ and the share that folds.")] = False,
    distances: Annotated[
        str, typer.Option(help="Definition of the labels' surface distances: area, deepmind or monai.")
    ] = "area",
    data: Annotated[Path | None, typer.Option(help="Folder of the real pairs, for --labels and --images.")] = None,
) -> None:
    """Checks rows by replay: exit code 0 if all hold, 1 if any does not. Only --labels and --images need images."""
    from regenv.evaluation.track import read_track
    from regenv.leaderboard.extras import extra_metrics
    from regenv.leaderboard.verify import LEVELS, find_rows
    from regenv.leaderboard.verify import verify as verify_row

    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    rows = find_rows(folder) or [folder]
    asked = {"labels": labels, "images": images, "jacobians": jacobians}
    kinds = [kind for kind, wanted in asked.items() if wanted]
    own = read_track(track) if track is not None else None
    refused = 0
    for row in rows:
        found = verify_row(row, track=own, trial=trial)
        refused += not found.ok
        if found.level is not None:
            typer.echo(f"{row}: {found.level} ({LEVELS[found.level]})")
            if kinds and found.episodes:
                for kind, metrics in extra_metrics(found, kinds, data, definition=distances).items():
                    typer.echo(f"  {kind}: {metrics}")
        else:
            typer.echo(f"{row}: refused")
            for failure in found.failures[:20]:
                typer.echo(f"  {failure}")
            if len(found.failures) > 20:
                typer.echo(f"  and {len(found.failures) - 20} more")
    if refused:
        raise typer.Exit(1)


@leaderboard.command()
def build(
    submissions: Annotated[Path | None, typer.Option(help="Folder of submissions; default is the project's.")] = None,
    page: Annotated[Path | None, typer.Option(help="The page; default is LEADERBOARD.md beside that folder.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit code 1 if the page is stale.")] = False,
) -> None:
    """Makes LEADERBOARD.md from the rows that verify; names the others and exits with 1."""
    from regenv.leaderboard.table import LeaderboardError
    from regenv.leaderboard.table import build as build_page
    from regenv.resources import resource_dir

    source = submissions if submissions is not None else resource_dir("submissions")
    if not source.is_dir():
        raise FileNotFoundError(f"there is no folder {source}")
    target = page if page is not None else source.parent / "LEADERBOARD.md"
    try:
        current = build_page(source, target, check=check)
    except LeaderboardError as error:
        typer.echo(str(error), err=True)
        typer.echo(f"these rows are left out of {target}" if not check else "these rows do not verify", err=True)
        raise typer.Exit(1) from None
    if not current:
        typer.echo(f"{target} is stale: run regenv leaderboard build", err=True)
        raise typer.Exit(1)
    typer.echo(f"{target} is current" if check else f"wrote {target}")


@leaderboard.command()
def migrate(folder: Annotated[Path, typer.Argument(metavar="DIR", help="A row, or a folder of rows.")]) -> None:
    """Brings the headers of earlier rows up to date; exit code 1 if one cannot be. Episodes are kept."""
    from regenv.fields import printable
    from regenv.leaderboard.migrate import migrate as migrate_row
    from regenv.leaderboard.verify import find_rows

    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    failed = 0
    for row in find_rows(folder):
        try:
            changed = migrate_row(row)
        except (OSError, ValueError) as error:
            failed += 1
            typer.echo(f"{row}: {printable(str(error))}", err=True)
        else:
            typer.echo(f"{row}: {'migrated' if changed else 'is up to date'}")
    if failed:
        raise typer.Exit(1)
