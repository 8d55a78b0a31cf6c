"""``regenv doctor``."""

from __future__ import annotations

from typing import Annotated

import typer


def doctor(
    compile_kernels: Annotated[bool, typer.Option("--compile", help="Build the cache of compiled kernels.")] = False,
) -> None:
    """Versions, devices, what is missing and how to get it."""
    from regenv.doctor import run_doctor

    raise typer.Exit(run_doctor(compile_kernels=compile_kernels))
