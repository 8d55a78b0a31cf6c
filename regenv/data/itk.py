"""How this package calls ITK: without its warnings, and with its messages in one line."""

from __future__ import annotations

import contextlib
import locale
from collections.abc import Iterator


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keeps ITK's own warnings off stderr: what matters of them is raised as an error.

    And keeps the process's locale: one of ITK's readers leaves it at "C", after which Python decodes text as ASCII.
    """
    import SimpleITK as sitk

    spoken = locale.setlocale(locale.LC_ALL)
    shown = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(shown)
        locale.setlocale(locale.LC_ALL, spoken)


def last_line(error: Exception) -> str:
    """What one of ITK's errors says: its last line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1].removeprefix("sitk::ERROR: ") if lines else type(error).__name__
