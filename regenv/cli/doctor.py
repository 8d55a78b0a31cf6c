"""``regenv doctor``: versions, devices, what is missing and how to get it.

Extras and their packages are read from the installed package's own metadata, so nothing here repeats pyproject.toml.
"""

from __future__ import annotations

import importlib
import os
import platform
import re
import shutil
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from regenv.data.dataset import Dataset

_REQUIREMENT = re.compile(r"^(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)")
_EXTRA = re.compile(r"extra\s*==\s*['\"](?P<extra>[^'\"]+)['\"]")
_LOW_DISK_GIB = 2.0


@dataclass(frozen=True)
class DoctorRow:
    """One finding.

    Attributes:
        topic: What the rows are grouped under: ``"core"``, ``"machine"``, ``"caches"``, ``"shipped"``, ``"extras"``.
        name: What was looked at.
        value: What was found.
        ok: False where something is missing; only in ``"core"`` does it keep regenv from working.
        fix: The command or setting that fixes it, or empty.
    """

    topic: str
    name: str
    value: str
    ok: bool = True
    fix: str = ""


def report() -> list[DoctorRow]:
    """All findings, in the order in which they are printed. Looks only; changes nothing."""
    return [*_core_rows(), *_machine_rows(), *_cache_rows(), *_shipped_rows(), *_extra_rows()]


def requirements() -> dict[str, list[str]]:
    """Names of the packages that the installed regenv asks for, by extra; ``""`` holds the core's.

    The extra ``all``, which gathers others, is left out.
    """
    packages: dict[str, list[str]] = {}
    for line in metadata.requires("regenv") or []:
        name = _REQUIREMENT.match(line)
        extra = _EXTRA.search(line)
        if name is None or (extra and extra["extra"] == "all"):
            continue
        packages.setdefault(extra["extra"] if extra else "", []).append(name["name"])
    return packages


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _core_rows() -> list[DoctorRow]:
    rows = [
        DoctorRow("core", "regenv", f"{_version('regenv')} in {Path(__file__).resolve().parents[1]}"),
        DoctorRow("core", "Python", f"{platform.python_version()}, {sys.executable}"),
    ]
    for package in requirements().get("", []):
        version = _version(package)
        fix = "" if version else f"pip install {package}"
        rows.append(DoctorRow("core", package, version or "not installed", version is not None, fix))
    return rows


def _machine_rows() -> list[DoctorRow]:
    from regenv.core.lanes import get_num_threads

    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return [
        DoctorRow("machine", "system", platform.platform()),
        DoctorRow("machine", "processors", f"{usable} usable of {os.cpu_count()}"),
        DoctorRow(
            "machine", "threads", f"{get_num_threads()} for many lanes (REGENV_NUM_THREADS sets it); one lane uses one"
        ),
        DoctorRow("machine", "GPU", _gpu()),
    ]


def _gpu() -> str:
    if _version("torch") is None:
        return "not looked for: torch is not installed, environments run on the CPU"
    try:
        torch = importlib.import_module("torch")
    except Exception as error:  # a broken install must not end the report that is to tell of it
        return f"not looked for: torch does not import ({error})"
    if not torch.cuda.is_available():
        return f"none that torch {torch.__version__} can use; environments run on the CPU"
    return ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))


def _cache_rows() -> list[DoctorRow]:
    from regenv.data.cache import cache_dir

    folder = cache_dir()
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(existing).free / 2**30
    writable = os.access(existing, os.W_OK)
    held = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 2**20 if folder.is_dir() else 0.0
    ok = writable and free >= _LOW_DISK_GIB
    fix = "" if ok else "set REGENV_CACHE to a folder that can be written to, with a few GiB free"
    state = f"{folder}: {held:.0f} MiB of generated cases, {free:.0f} GiB free"
    return [DoctorRow("caches", "cases", state if writable else f"{state}, not writable", ok, fix), _kernel_row()]


def _kernel_row() -> DoctorRow:
    from regenv.core.compile import kernels_compiled

    if kernels_compiled():
        return DoctorRow("caches", "kernels", "compiled")
    return DoctorRow("caches", "kernels", "the first use compiles them", True, "regenv doctor --compile")


def _shipped_rows() -> list[DoctorRow]:
    from regenv.resources import resource_dir, resource_names

    rows = []
    for kind, wanted in (("tracks", ".toml"), ("submissions", ""), ("policies", ".onnx")):
        names = [name for name in resource_names(kind) if name.endswith(wanted)]
        fix = "" if names else f"{resource_dir(kind)} is empty: install regenv again"
        rows.append(DoctorRow("shipped", kind, ", ".join(names) or "none", bool(names), fix))
    return rows


def _extra_rows() -> list[DoctorRow]:
    rows = []
    for extra, packages in requirements().items():
        if not extra:
            continue
        versions = {package: _version(package) for package in packages}
        missing = [package for package, version in versions.items() if version is None]
        value = ", ".join(f"{package} {version or '-'}" for package, version in versions.items())
        rows.append(DoctorRow("extras", extra, value, not missing, f"pip install 'regenv[{extra}]'" if missing else ""))
    return rows


def compile_everything(processes: int | None = None) -> None:
    """Fills numba's cache, so that no first use has to wait: of the core's kernels by importing them, of others by use.

    Args:
        processes: How many share the work; default as many as there are processors.
    """
    from multiprocessing import get_context

    from regenv.catalogue import TASKS
    from regenv.core.compile import kernel_modules
    from regenv.core.lanes import get_num_threads
    from regenv.data.cache import progress

    recipes = {(task.recipe, task.modalities): name for name, task in TASKS.items()}
    first: list[Callable[[], object]] = [partial(importlib.import_module, module) for module in kernel_modules()]
    then: list[Callable[[], object]] = [_use_refinement, *(partial(_use_generator, name) for name in recipes.values())]
    with (
        progress("compiling kernels", len(first) + len(then)) as advance,
        ProcessPoolExecutor(processes or get_num_threads(), get_context("spawn")) as pool,
    ):
        for jobs in (first, then):  # what is used later uses the core's
            for done in as_completed([pool.submit(_run, job) for job in jobs]):
                done.result()
                advance()


def _run(job: Callable[[], object]) -> None:
    """A job without its result, which need not travel."""
    job()


def _use_generator(task_id: str) -> None:
    """Makes a subject, which stays in the cache for the first reset, and a variation of it."""
    from regenv.data.dataset import SPAN

    _made(task_id, "phantom").load(SPAN)


def _use_refinement() -> None:
    """Refines a pair of random shapes."""
    from regenv.alignment.refine import refine

    pair = _made("CTCBCT-Rigid-v0", "shapes").load(0)
    assert pair.truth is not None and pair.truth.transform is not None
    refine(pair.fixed, pair.moving, pair.truth.transform)


def _made(task_id: str, name: str) -> Dataset:
    """An embedded data set with its first subject in the cache, about which nothing is said."""
    from regenv.catalogue import get_task
    from regenv.synthesis.procedural import Procedural

    dataset = get_task(task_id).dataset(name)
    assert isinstance(dataset, Procedural)
    dataset.keep(0)
    return dataset


def doctor(
    compile_kernels: Annotated[bool, typer.Option("--compile", help="Build the cache of compiled kernels.")] = False,
) -> None:
    """Versions, devices, what is missing and how to get it."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    if compile_kernels:
        compile_everything()
    rows = report()
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    topic = ""
    for row in rows:
        if row.topic != topic:
            table.add_row(f"[bold]{row.topic}[/bold]", "", "")
            topic = row.topic
        mark = "[green]ok[/green]" if row.ok else "[red]no[/red]" if row.topic == "core" else "[yellow]--[/yellow]"
        value = escape(row.value) + (f"\n[cyan]{escape(row.fix)}[/cyan]" if row.fix else "")
        table.add_row(f"  {escape(row.name)}", mark, value)
    console.print(table)
    if not all(row.ok for row in rows if row.topic == "core"):
        raise typer.Exit(1)
