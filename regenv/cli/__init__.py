"""The command line: ``regenv``, and ``python -m regenv``.

One file per group of commands. Each command imports what it needs when it runs, so that ``regenv --help`` is quick.
"""

from __future__ import annotations

import os
import sys

import typer

from regenv.cli.align import align
from regenv.cli.data import data
from regenv.cli.doctor import doctor
from regenv.cli.environments import bench, info, list_environments, render
from regenv.cli.evaluate import evaluate
from regenv.cli.leaderboard import leaderboard
from regenv.cli.track import track
from regenv.fields import printable

app = typer.Typer(
    help="Reinforcement-learning environments for medical image registration.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("list")(list_environments)
app.command()(info)
app.command()(render)
app.command()(bench)
app.command()(evaluate)
app.command()(align)
app.add_typer(leaderboard, name="leaderboard", help="Verify rows and build the tables.")
app.add_typer(data, name="data", help="Make subjects ahead; see and bound what the cache holds.")
app.add_typer(track, name="track", help="Freeze tracks.")
app.command()(doctor)


def main() -> None:
    """Runs the command line. A user's mistake is one line on stderr and exit code 2; REGENV_DEBUG=1 shows where."""
    try:
        app()
    except (ValueError, OSError, ImportError, RuntimeError) as error:
        if os.environ.get("REGENV_DEBUG"):
            raise
        print(f"regenv: {printable(message_of(error))}", file=sys.stderr)
        sys.exit(2)
    except Exception as error:
        # Gymnasium's own errors (unknown id, bad keyword) derive from Exception alone.
        if os.environ.get("REGENV_DEBUG") or not type(error).__module__.startswith("gymnasium"):
            raise
        print(f"regenv: {printable(str(error))}", file=sys.stderr)
        sys.exit(2)


def message_of(error: Exception) -> str:
    """What to print of an error: ours says all there is to say, another gets its type and a way to see more."""
    text = str(error) or type(error).__name__
    if type(error).__module__.startswith("regenv") or type(error) is ValueError:
        return text
    if isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError):
        return text
    return f"{type(error).__name__}: {text} (REGENV_DEBUG=1 shows where)"
