"""Compiling ahead: every kernel is known, and whether the cache holds the default ones."""

import os
import subprocess
import sys
from pathlib import Path

import regenv.core
from regenv.core.compile import compile_kernels, kernel_modules, kernels_compiled


def test_every_file_with_kernels_is_known():
    folder = Path(regenv.core.__file__).parent
    found = {
        "regenv.core." + ".".join(file.relative_to(folder).with_suffix("").parts)
        for file in folder.rglob("*.py")
        if "@numba.njit([" in file.read_text()
    }
    assert found
    assert found <= set(kernel_modules())


def test_progress_names_each_module_and_ends():
    calls = []
    compile_kernels(lambda name, done, total: calls.append((name, done, total)))
    total = len(kernel_modules())
    assert [done for _, done, _ in calls] == list(range(total + 1))
    assert [name for name, _, _ in calls[:-1]] == list(kernel_modules())
    assert kernels_compiled()


def test_an_empty_cache_is_noticed(tmp_path):
    code = "from regenv.core.compile import kernels_compiled; print(kernels_compiled())"
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
