"""How long ``gym.make(ID); env.reset(seed=0)`` takes: ``python -m benchmarks.tools.at_once [ID ...]``.

For each id in processes of their own, with kernels compiled: with an empty cache, with a warm one, and warm again in
the same process, where nothing is imported or loaded any more.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile

from regenv.catalogue import TASKS

_SCRIPT = """
import sys, time
import gymnasium as gym, regenv
for _ in range(2):
    began = time.perf_counter()
    gym.make(sys.argv[1]).reset(seed=0)
    print(time.perf_counter() - began)
"""


def measure(env_id: str) -> tuple[float, float, float]:
    """Seconds from an empty cache, from a warm one, and again in the same process."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "REGENV_CACHE": folder}
        runs = [
            subprocess.run(
                [sys.executable, "-c", _SCRIPT, env_id],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                check=True,
            ).stdout.split()
            for _ in range(2)
        ]
    return float(runs[0][0]), float(runs[1][0]), float(runs[1][1])


def main() -> None:
    """Measures the ids that are named, or all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tools.at_once", description=__doc__)
    parser.add_argument("ids", nargs="*", metavar="ID", help="default all")
    print("| id | empty cache | warm cache | again |\n| --- | --- | --- | --- |")
    for env_id in parser.parse_args().ids or TASKS:
        print(f"| {env_id} | " + " | ".join(f"{seconds:.2f} s" for seconds in measure(env_id)) + " |", flush=True)


if __name__ == "__main__":
    main()
