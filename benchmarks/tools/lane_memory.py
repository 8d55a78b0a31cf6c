"""Memory that many lanes take: ``python -m benchmarks.tools.lane_memory [ID] [--lanes 512] [--threads 2]``.

Steps the lanes as :mod:`benchmarks.speed.scaling` does, until each has begun several episodes, and prints what the
process takes at most, before the environment is made and after, and how many cases it holds then, in the cache and
beside it on lanes.
"""

from __future__ import annotations

import argparse
import os
import resource

from benchmarks.speed.scaling import Lanes


def _peak() -> float:
    """Largest resident size of this process so far, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Measures one id."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tools.lane_memory", description=__doc__)
    parser.add_argument("id", nargs="?", default="CTCBCT-Rigid-v0", help="default CTCBCT-Rigid-v0")
    parser.add_argument("--lanes", type=int, default=512, help="default 512")
    parser.add_argument("--threads", type=int, default=2, help="default 2")
    options = parser.parse_args()
    os.environ["REGENV_PREPARE"] = "0"
    before = _peak()
    stepped = Lanes(options.id, options.lanes, options.threads)
    stepped.step(60)
    engine = stepped.envs._engine
    cached, (held, size) = len(engine.source._prepared), engine.source.held
    print(f"{options.id}, {options.lanes} lanes: {held} cases ({cached} of them in the cache), {size / 2**20:.0f} MiB;")
    print(f"resident at most {_peak():.0f} MB, {before:.0f} before the environment was made")


if __name__ == "__main__":
    main()
