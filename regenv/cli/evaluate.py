"""``regenv evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from regenv.evaluation.track import Track
    from regenv.leaderboard.table import TableRow


def evaluate(
    tracks: Annotated[
        list[str] | None, typer.Argument(metavar="[TRACK]...", help="Names of tracks, or the paths of their .toml.")
    ] = None,
    agent: Annotated[
        list[str] | None,
        typer.Option("--agent", "-a", metavar="MODULE:FACTORY", help="Or a policy.onnx. May be given again."),
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="All tracks that regenv list shows; your own with --data.")
    ] = False,
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
    metrics: Annotated[str, typer.Option(help="Also labels, images, jacobians: any of them, with commas.")] = "",
    again: Annotated[bool, typer.Option("--again", help="Run although there is a finished row.")] = False,
) -> None:
    """Runs agents on tracks and writes their leaderboard rows.

    Stop it at any time: what is finished is kept, and the same command goes on where it was. Of several runs one that
    fails is named, the others go on, and the exit code is 1.
    """
    from regenv.evaluation.runner import run
    from regenv.evaluation.sweep import sweep

    if not agent:
        raise typer.BadParameter("name an agent: --agent MODULE:FACTORY, or --agent policy.onnx")
    if name is not None and len(agent) > 1:
        raise typer.BadParameter("--name is for one agent; several keep their own names")
    bound = _bound(tracks or [], every, data, cases)
    keywords: dict[str, Any] = {
        "seeds": seed or [0],
        "out": out,
        "cases": cases,
        "workers": workers,
        "name": name,
        "again": again,
    }
    failures: list[str] = []
    try:
        if len(bound) * len(agent) == 1:
            rows = [(bound[0], run(bound[0], agent[0], **keywords))]
        else:
            rows, failures = sweep(bound, agent, **keywords)
    except KeyboardInterrupt:
        typer.echo(f"\nstopped; finished cases are kept in {out}. The same command goes on.", err=True)
        raise typer.Exit(130) from None
    for row in (row for _, row in rows if row.kept):
        typer.echo(f"{row.submission.row}: finished before, taken over from {row.folder} (--again runs it anew)")
    for track in bound:
        folders = [row.folder for ran_on, row in rows if ran_on is track]
        try:
            if folders:
                show(track, folders, trial=cases is not None, metrics=[m for m in metrics.split(",") if m], data=data)
        except ValueError as error:  # a row that does not verify, a metric that cannot be had here
            if len(bound) == 1:
                raise
            failures.append(f"{track.name}: {error}")
    if failures:
        typer.echo(f"{len(failures)} failed:", err=True)
        typer.echo("\n".join(failures), err=True)
        raise typer.Exit(1)


def _bound(names: list[str], every: bool, data: Path | None, cases: int | None) -> list[Track]:
    """The tracks that are asked for, ready to run."""
    from regenv.evaluation.cases import bind
    from regenv.evaluation.track import find_track, track_names

    if every == bool(names):
        raise typer.BadParameter("name a track, or --all for every one that regenv list shows, not both")
    found = [find_track(name) for name in (track_names() if every else names)]
    if every:  # those of one's own pairs are among them once the pairs are named
        bound = [bind(t, data if t.dataset == "folder:" else None) for t in found if data or t.dataset != "folder:"]
    else:
        bound = [bind(track, data) for track in found]
    if len({track.name for track in bound}) < len(bound):
        raise typer.BadParameter("two tracks have one name, and their rows would lie in one folder")
    for track in bound:
        if cases is not None and cases > len(track.cases) and not every:
            raise typer.BadParameter(f"--cases {cases}: track {track.name} has {len(track.cases)}")
    return bound


def show(
    track: Track, folders: list[Path], *, trial: bool, metrics: list[str] | None = None, data: Path | None = None
) -> None:
    """Verifies the rows and prints their table, and further metrics where they are asked for."""
    from regenv.leaderboard.extras import extra_metrics
    from regenv.leaderboard.table import LeaderboardError, table_row
    from regenv.leaderboard.verify import verify

    verified = [verify(folder, track=track, trial=trial) for folder in folders]
    wrong = [f"{found.folder}: {failure}" for found in verified for failure in found.failures]
    if wrong:
        raise LeaderboardError("\n".join(wrong))
    rows: list[TableRow] = [table_row(found, track) for found in verified]
    count = rows[0].summary.cases
    what = f"a trial on {count} of its {len(track.cases)} cases" if trial else f"{count} cases"
    print_rows(rows, f"{track.name}: {what}")
    for folder in folders:
        typer.echo(f"wrote {folder}")
    for found in verified if metrics else ():
        for kind, values in extra_metrics(found, metrics or [], data).items():
            typer.echo(f"{found.folder.name} {kind}: {values}")


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
