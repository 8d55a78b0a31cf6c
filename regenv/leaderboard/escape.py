"""What others wrote, on its way into a Markdown page: it shows as it is and does nothing."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable


def markdown(text: str) -> str:
    """Text for Markdown or HTML.

    Character references, not backslashes: they hold in Markdown, inside its tables, and in HTML alike.
    """
    # "<" and ":" before a space begin no tag and no link.
    kept = re.sub(r"[^\w ,;'()/+%=.<:-]|_|[<:](?! )", lambda match: f"&#{ord(match[0])};", text)
    return re.sub(r"(?i)\bwww\.", lambda match: f"{match[0][:3]}&#46;", kept)


def code(text: str) -> str:
    """A code span of one line, whatever the text holds, backticks too."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    space = " " if longest else ""
    return f"{'`' * (longest + 1)}{space}{text}{space}{'`' * (longest + 1)}"


def command(words: Iterable[str]) -> str:
    """A command for a shell, quoted, as a code span."""
    return code(shlex.join(words))
