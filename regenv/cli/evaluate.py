"""``regenv evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from regenv.evaluation.track import Track
    from regenv.leaderboard.table import TableRow


def evaluate(
    track: Annotated[str, typer.Argument(metavar="TRACK", help="Name of a track, or the path of its .toml.")],
    agent: Annotated[
        list[str],
        typer.Option("--agent", "-a", metavar="MODULE:FACTORY", help="Or a policy.onnx. May be given again."),
    ],
    cases: Annotated[
        int | None, typer.Option(min=1, help="Only the first so many cases: a trial, no leaderboard row.")
    ] = None,
    seed: Annotated[list[int] | None, typer.Option(help="The agent's (training) seed. May be given again.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of submissions.")] = Path("submissions"),
    data: Annotated[
        Path | None, typer.Option(help="Folder of real pairs, or LAYOUT:PATH, for a track of one's own pairs.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
    name: Annotated[
        str | None, typer.Option(help="Name of the row: A-Z, a-z, 0-9, . _ -; default is the agent's.")
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Run although there is a finished row.")] = False,
) -> None:
    """Runs agents on a track and writes their leaderboard rows.

    Stop it at any time: what is finished is kept, and the same command goes on where it was.
    """
    from regenv.evaluation.cases import bind
    from regenv.evaluation.runner import run
    from regenv.evaluation.track import find_track

    if name is not None and len(agent) > 1:
        raise typer.BadParameter("--name is for one agent; several keep their own names")
    bound = bind(find_track(track), data)
    if cases is not None and cases > len(bound.cases):
        raise typer.BadParameter(f"--cases {cases}: track {bound.name} has {len(bound.cases)}")
    folders = []
    for spec in agent:
        try:
            row = run(bound, spec, seeds=seed or [0], out=out, cases=cases, workers=workers, name=name, again=again)
        except KeyboardInterrupt:
            typer.echo(f"\nstopped; finished cases are kept in {out / bound.name}. The same command goes on.", err=True)
            raise typer.Exit(130) from None
        if row.kept:
            typer.echo(f"{row.submission.row}: finished before, taken over from {row.folder} (--again runs it anew)")
        folders.append(row.folder)
    show(bound, folders, trial=cases is not None)


def show(track: Track, folders: list[Path], *, trial: bool) -> None:
    """Verifies the rows and prints their table."""
    from regenv.leaderboard.table import LeaderboardError, table_row
    from regenv.leaderboard.verify import verify

    rows: list[TableRow] = []
    for folder in folders:
        found = verify(folder, track=track, trial=trial)
        if not found.ok:
            raise LeaderboardError("\n".join(f"{folder}: {failure}" for failure in found.failures))
        rows.append(table_row(found, found.track or track))
    count = rows[0].summary.cases
    what = f"a trial on {count} of its {len(track.cases)} cases" if trial else f"{count} cases"
    print_rows(rows, f"{track.name}: {what}")
    for folder in folders:
        typer.echo(f"wrote {folder}")


def print_rows(rows: list[TableRow], title: str) -> None:
    """A table for the terminal."""
    from rich.console import Console
    from rich.table import Table

    from regenv.leaderboard.table import interval_text

    table = Table(title=title, title_justify="left", box=None, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("row", overflow="fold", min_width=max(len(row.submission.row) for row in rows))
    under = "/".join(f"{t:g}" for t in rows[0].summary.success)
    for column in ("score (95 %)", f"% < {under} mm", "TRE 50/90 %", "harmed", "s/case"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in sorted(rows, key=lambda r: -r.score.value):
        s = row.summary
        table.add_row(
            row.submission.row,
            interval_text(row.score, 2),
            "/".join(f"{100 * share:.0f}" for share in s.success.values()),
            f"{s.percentiles[50]:.2f}/{s.percentiles[90]:.1f}",
            f"{100 * s.harmed:.0f} %",
            f"{row.seconds:.2g}",
        )
    console = Console()
    if not console.is_terminal:  # a log is as wide as it needs to be
        console.width = max(console.width, 120)
    console.print(table)
