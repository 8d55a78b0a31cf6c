"""Progress of a training run for people: a bar on a terminal, now and then a line elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

Show = Callable[[float, str], None]
"""Takes the share that is done and a line of text."""


@contextlib.contextmanager
def progress_bar(title: str, wanted: bool = True) -> Iterator[Show]:
    """Gives a function that shows how far the run is.

    Args:
        title: What is trained.
        wanted: False for silence.
    """
    if not wanted:
        yield lambda done, text: None
        return
    if not sys.stderr.isatty():
        yield _line_printer(title)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(), TextColumn("{task.fields[text]}"))
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=1.0, text="")
        yield lambda done, text: bar.update(task, completed=done, text=text)


def _line_printer(title: str, seconds: float = 20.0) -> Show:
    last = [0.0]

    def show(done: float, text: str) -> None:
        if time.monotonic() - last[0] > seconds:
            last[0] = time.monotonic()
            print(f"{title}: {100 * done:.0f} %, {text}", file=sys.stderr, flush=True)

    return show
