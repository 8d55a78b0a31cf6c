"""Measures and writes ``benchmarks/speed/RESULTS.md``: ``python -m benchmarks.speed [--seconds 8] [--output FILE]``."""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.speed import deformation, projection
from benchmarks.speed.environment import ENVIRONMENT, StepTimes, step_times
from benchmarks.speed.lanes import LANES, ThreadTiming, thread_scaling
from benchmarks.speed.peers import OURS, PEERS, make_task
from benchmarks.speed.timing import Timing, interleaved, ratio_table
from regenv.files import write_atomically

RESULTS = Path(__file__).with_name("RESULTS.md")
NOTE = """\
Contenders take turns in one process, four calls each. One-core figures are processor time, which does not run while
others have the processor; those of lanes and threads are wall-clock time, which tells of threads only while each has an
idle core, and the processor time of the busiest thread, which tells always but leaves out the waking of threads. The
fastest call found its data in the caches; the median one is slower the more the machine's other work uses them. The
moving image is 100 x 96 x 92 voxels of 3 mm, the transform rigid; all contenders give the same correlation to 1e-4.
SimpleITK, torch and SciPy compute no mask of validity and get the fixed image's half of the correlation for free."""
_KINDS = {"volume": "64 x 64 x 64 voxels", "slices": "three slices of 64 x 64"}


def compare(kind: str, seconds: float) -> tuple[dict[str, Timing], list[str]]:
    """Times ours and the peers that are installed on one task, after checking that they agree.

    Returns:
        Timings by name, and the names of peers that could not be imported.
    """
    task = make_task(kind)
    contenders: dict[str, Callable[[], object]] = {}
    missing = []
    want = next(iter(OURS.values()))(task)()
    for name, make in {**OURS, **PEERS}.items():
        try:
            call = make(task)
        except ImportError:
            missing.append(name)
            continue
        if abs(call() - want) > 1e-4:
            raise RuntimeError(f"{name} gives a correlation of {call():.6f} and not {want:.6f}: not the same work")
        contenders[name] = call
    return interleaved(contenders, seconds), missing


def comparison_table(kind: str, timings: dict[str, Timing], missing: list[str]) -> str:
    """Markdown rows: fastest and median, and the peers' time over ours."""
    return ratio_table(f"Resample and correlate {_KINDS[kind]}, one core", timings, missing)


def lanes_table(timings: dict[int, ThreadTiming]) -> str:
    """Markdown rows of the call over many lanes by threads."""
    lines = [
        f"### {LANES} lanes of three slices with sums and bytes",
        "",
        "| threads | fastest | median | one thread / this | busiest thread's processor time | one thread / this |",
        "| ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for threads, timing in timings.items():
        wall = f"{timing.wall.fastest * 1e3:.2f} ms | {timing.wall.median * 1e3:.2f} ms"
        ratio = timings[1].wall.fastest / timing.wall.fastest
        busiest = f"{timing.busiest * 1e3:.2f} ms | {timings[1].busiest / timing.busiest:.2f}"
        lines.append(f"| {threads} | {wall} | {ratio:.2f} | {busiest} |")
    return "\n".join(lines)


def environment_table(times: StepTimes) -> str:
    """Markdown rows of the default environment."""
    lines = [
        f"### A step of `{ENVIRONMENT}`, observation and reward included, one core",
        "",
        "| | a step | steps a second |",
        "| --- | ---: | ---: |",
        f"| `gym.make` | {times.single * 1e6:.0f} µs | {1 / times.single:,.0f} |",
        f"| of it Python, beyond the rendering kernel | {times.python * 1e6:.0f} µs | |",
        f"| `gym.make_vec`, {LANES} lanes, one thread, a lane | {times.lanes * 1e6:.0f} µs | {1 / times.lanes:,.0f} |",
    ]
    return "\n".join(lines)


def versions() -> str:
    """The libraries and the machine."""
    import importlib.metadata as metadata

    found = []
    for package in ("numpy", "numba", "SimpleITK", "torch", "scipy", "diffdrr", "gymnasium"):
        try:
            found.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            found.append(f"{package} not installed")
    return f"{platform.machine()}, Python {platform.python_version()}, " + ", ".join(found)


def processor() -> str:
    """The processor's name where the system tells it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} x {names[0]}" if names else platform.processor()


def main(arguments: list[str] | None = None) -> int:
    """Runs every part and writes the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__)
    parser.add_argument("--seconds", type=float, default=8.0, help="for each table (default 8)")
    parser.add_argument("--output", type=Path, default=RESULTS, help=f"default {RESULTS.name} beside this file")
    options = parser.parse_args(arguments)
    parts = [
        "# Speed",
        "",
        "`python -m benchmarks.speed` wrote this page.",
        "",
        f"{processor()}, {versions()}.",
        "",
        NOTE,
    ]
    for kind in _KINDS:
        print(f"measuring {_KINDS[kind]} ...", file=sys.stderr)
        parts += ["", comparison_table(kind, *compare(kind, options.seconds))]
    for kind in deformation.KINDS:
        print(f"measuring deformed {deformation.KINDS[kind]} ...", file=sys.stderr)
        parts += ["", deformation.table(kind, *deformation.compare(kind, options.seconds))]
    print("measuring radiographs ...", file=sys.stderr)
    parts += ["", projection.table(*projection.compare(options.seconds))]
    print("measuring lanes and threads ...", file=sys.stderr)
    parts += ["", lanes_table(thread_scaling(options.seconds))]
    print(f"measuring {ENVIRONMENT} ...", file=sys.stderr)
    parts += ["", environment_table(step_times(options.seconds))]
    page = "\n".join(parts) + "\n"
    write_atomically(options.output, page.encode())
    print(page)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
