"""Compiling the kernels ahead of their first use.

Kernels are compiled when their module is first imported and kept in numba's cache on disk (beside the source, or under
``NUMBA_CACHE_DIR``); later processes load them in a few tenths of a second. The cache of a kernel is renewed when
its own file changes, not when a helper it calls in another file does: after an edit of those, touch the kernel's
file too.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from pathlib import Path

_DEFAULT_PATH = ("_resample_kernels.render_lanes", "_matrix_kernels.steps")


def kernel_modules() -> tuple[str, ...]:
    """Names of the modules that hold kernels."""
    core = __name__.rpartition(".")[0]
    names = []
    for folder in (core, f"{core}.similarity"):
        package = importlib.import_module(folder)
        for module in pkgutil.iter_modules(package.__path__, prefix=f"{folder}."):
            leaf = module.name.rpartition(".")[2]
            if leaf.endswith("_kernels") or (folder != core and leaf != "_base"):
                names.append(module.name)
    return tuple(names)


def compile_kernels(progress: Callable[[str, int, int], None] | None = None) -> None:
    """Compiles every kernel that is not yet in the cache: about half a minute once, two seconds after.

    Args:
        progress: Called as ``progress(module, done, total)`` before each module, and at the end with ``done == total``.
    """
    names = kernel_modules()
    for done, name in enumerate(names):
        if progress is not None:
            progress(name, done, len(names))
        importlib.import_module(name)
    if progress is not None:
        progress("", len(names), len(names))


def kernels_compiled() -> bool:
    """Whether the kernels of the default environments are in numba's cache, so that a first use will not have to wait.

    Judged by the cache's files and their age; a change of numba's version or of the processor is not noticed.
    """
    from regenv.core._cache_probe import probe

    cache = Path(str(probe.stats.cache_path))
    for kernel in _DEFAULT_PATH:
        source = Path(__file__).with_name(kernel.partition(".")[0] + ".py")
        found = [path.stat().st_mtime for path in cache.glob(f"{kernel}-*.nbi")]
        if not found or max(found) < source.stat().st_mtime:
            return False
    return True
