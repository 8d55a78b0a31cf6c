"""Proves that a refactoring changes no behaviour: records what every environment does, and compares two recordings.

    python -m benchmarks.tools.behaviour record BASE.json                         # in a checkout of the base
    python -m benchmarks.tools.behaviour record NEW.json --starts BASE.json       # in the changed one
    python -m benchmarks.tools.behaviour compare BASE.json NEW.json

Both run on the same machine, in the same environment and with the same cache: floats are compared to the last bit, and
recordings are not kept. A checkout without this file runs it by its path (``cd CHECKOUT && PYTHONPATH=. python PATH``).
Only the public interface is used, so that the two may have nothing in common inside. Every number has a key of its own,
such as ``CTCBCT-Rigid-v0/train/default/step 7/reward``, so that a difference
names what has changed.
"""

from __future__ import annotations

import argparse
import contextlib
import fnmatch
import hashlib
import io
import itertools
import json
import os
import runpy
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

# rigid, similarity, affine and sdm on 2-D images, volumes, slices, radiographs and depth, as far as there are such ids,
# with labels and without; --quick is content with the first eight
REPRESENTATIVES = (
    *("CTCBCT-Rigid-v0", "CTMR-Similarity2D-v0", "KneeMR-Affine-v0", "CardiacMR-SDM-v0", "ChestXRay-SDM2D-v0"),
    *("XRayCT-Rigid-v0", "SliceMR-Rigid-v0", "DepthCT-Rigid-v0"),
    *("ChestXRay-Affine2D-v0", "LungCT-Affine-v0", "CTMR-SDM-v0"),
)
PRESETS = ("liao2017", "ma2017", "miao2018", "krebs2017", "hu2021")
OBSERVATIONS = ("slices", "volume", "difference", "volume_difference", "zoom", "volume_zoom")
SIMILARITIES = ("gradient_correlation", "lc2", "lncc", "mi", "mind", "ncc", "ngf", "nmi", "ssd", "ssim")
SETTINGS = ("reward", "reward_scale", "step_cost", "horizon", "view_size", "view_spacing_mm")
RESULT = ("observation", "reward", "terminated", "truncated", "info")
STEPS, QUICK_STEPS, DRIVE_STEPS = 12, 4, 30


def closeness(fixed: np.ndarray, moved: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """A reward that is a callable: minus the mean absolute difference, ``(B,)``."""
    return -np.abs(np.where(valid, fixed - moved, 0)).mean(axis=(1, 2, 3), dtype=np.float64)


VARIATIONS: tuple[dict[str, Any], ...] = (
    *({"observation": name} for name in OBSERVATIONS),
    {"dtype": "float32"},
    {"parameters": True},
    {"dtype": "float32", "observation": "zoom", "parameters": True, "render_mode": "rgb_array"},
    {"render_mode": "ansi"},
    {"stop": False},
    {"horizon": 5},
    *({"actions": name} for name in ("unit", "multidiscrete", "continuous")),
    {"actions": "multidiscrete", "steps": (4.0, 0.5), "stop": False},
    {"actions": "continuous", "stop": True},
    *({"reward": name} for name in (*SIMILARITIES, "tre", "parameter_distance", "dice", closeness)),
    *({"reward": name, "reward_region": "volume"} for name in (None, "lncc", closeness)),
    {"goal": 30.0, "goal_bonus": 5.0, "goal_measure": "tre"},
    *({"preset": name} for name in PRESETS),
    {"dataset": "shapes"},
    *({"field_of_view": name} for name in ("biplane", "stack")),
)
"""Keywords of ``gym.make``; where they do not fit an id, the error's type is recorded."""

TEST_VARIATIONS = ({"reward": "tre"}, {"goal": 1.0}, *({"preset": name} for name in PRESETS))


class Recorder:
    """Digests by key, in the order in which they are recorded.

    Args:
        starts: Pair and start by ``ID/split`` of an earlier recording; those that are missing are drawn.
    """

    def __init__(self, starts: dict[str, Any]) -> None:
        self.digests: dict[str, str] = {}
        self.starts = dict(starts)

    def put(self, key: str, value: Any) -> None:
        """Records a value, nested ones item by item: SHA-256 of an array, and of anything else its type and repr."""
        if isinstance(value, tuple) and value and isinstance(value[-1], dict):  # what reset and step return
            value = dict(zip(RESULT if len(value) == len(RESULT) else (RESULT[0], RESULT[-1]), value, strict=True))
        if isinstance(value, dict):
            for name, item in value.items():
                self.put(f"{key}/{'pose' if name == 'parameters' else name}", item)  # the pose has had both names
        elif isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.dtype == object):
            for number, item in enumerate(value):
                self.put(f"{key}/{number}", item)
        else:
            assert key not in self.digests, f"{key} is recorded twice"
            text = f"{type(value).__name__} {value!r}"
            if isinstance(value, np.ndarray):
                text = f"{value.dtype} {value.shape} {hashlib.sha256(value.tobytes()).hexdigest()[:32]}"
            self.digests[key] = text

    def call(self, key: str, function: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
        """Records what a call returns and returns it; of an exception its type, and None."""
        value = self.attempt(key, function, *arguments, **keywords)
        if value is not None:
            self.put(key, value)
        return value

    def attempt(self, key: str, function: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
        """As :meth:`call`, but records nothing where there is no exception."""
        try:
            return function(*arguments, **keywords)
        except Exception as error:  # whatever it is, it has to be the same in both checkouts
            self.digests[key] = f"error: {type(error).__name__}"
            return None


def make(rec: Recorder, key: str, task_id: str, **keywords: Any) -> Any:
    """The bare environment, or None where it cannot be made."""
    made = rec.attempt(f"{key}/make", gym.make, task_id, **keywords)
    if made is None:
        return None
    env = made.unwrapped
    rec.put(f"{key}/spaces", str((env.observation_space, env.action_space)).replace("'parameters'", "'pose'"))
    for name in SETTINGS:
        value = getattr(env.config, name, "gone")
        rec.put(f"{key}/config/{name}", getattr(value, "__name__", value))
    return env


def moves(space: gym.Space[Any], count: int | None) -> list[Any]:
    """Of a Discrete space ``count`` actions spread over it (None for all), then its last, STOP; of others as many."""
    if isinstance(space, gym.spaces.Discrete):
        rest = int(space.n) - 1
        return [np.int64(i * 7 % rest) for i in range(count or rest)] + [np.int64(rest)]
    space.seed(0)
    return [space.sample() for _ in range(count or STEPS)]


def rollout(rec: Recorder, key: str, env: Any, actions: Sequence[Any], seed: int, options: Any = None) -> None:
    """An episode, step by step; where it ends before the actions do, the next begins as it did."""
    over = True
    for number, action in enumerate(actions, 1):
        if over and rec.call(f"{key}/reset {number}", env.reset, seed=seed, options=options) is None:
            return
        result = rec.call(f"{key}/step {number}", env.step, action)
        if result is None:
            return
        rec.put(f"{key}/step {number}/potential", env.potential)
        over = result[2] or result[3]
    if env.render_mode is not None:
        rec.call(f"{key}/render", env.render)


def planning(rec: Recorder, key: str, env: Any, pair: str, start: Any) -> None:
    """What training and planning call: truth, expert, state, images of any pose, the transform."""
    env.reset(seed=2, options={"pair": pair, "start": start})
    rec.call(f"{key}/truth", env.truth)
    for number, action in enumerate(moves(env.action_space, 3)[:-1], 1):
        rec.call(f"{key}/expert {number}", env.expert_action)
        env.step(action)
    state = env.get_state()
    rec.put(f"{key}/state", state)
    rec.call(f"{key}/after state", env.step, np.int64(0))
    rec.call(f"{key}/set_state", env.set_state, state)
    rec.call(f"{key}/again", env.step, np.int64(0))
    rec.call(f"{key}/observe", env.observe, pair, start)
    rec.call(f"{key}/observe two", env.observe, [pair, pair], np.stack([start, state["transform"]]))
    transform = env.to_sitk()
    rec.put(f"{key}/to_sitk", transform.GetName())
    corners = itertools.product((-20.0, 15.0), repeat=transform.GetDimension())
    rec.call(f"{key}/to_sitk/corners", lambda: [transform.TransformPoint(corner) for corner in corners])


def defaults(rec: Recorder, task_id: str, quick: bool) -> None:
    """One id on its three splits as it is: every action in training, STOP, two ways out, planning."""
    for split in ("train", "test", "validation"):
        key = f"{task_id}/{split}"
        env = make(rec, f"{key}/default", task_id, split=split)
        options: dict[str, Any] = {"pair": "0"} if split == "test" else {}
        seeded = env.reset(seed=0, options=options)
        start = seeded[1]["start"]
        if split == "test":
            rec.put(f"test-start/{task_id}", start)
            pinned = rec.starts.setdefault(key, {"pair": "0", "start": start.tolist()})
        else:
            rec.put(f"{key}/default/seeded", seeded)
            pinned = rec.starts.setdefault(key, {"pair": str(seeded[1]["pair_id"])})
        count = QUICK_STEPS if quick else None if split == "train" else STEPS
        rollout(rec, f"{key}/default", env, moves(env.action_space, count), 1, pinned)
        rec.attempt(
            f"{key}/planning", planning, rec, f"{key}/planning", env, pinned["pair"], pinned.get("start", start)
        )
        if split != "validation":
            for action in (0, 8):  # a coarse step along the first axis, and along the third, which a camera looks along
                rollout(rec, f"{key}/drive {action}", env, [np.int64(action)] * DRIVE_STEPS, 3, pinned)


def variations(rec: Recorder, task_id: str, quick: bool) -> None:
    """One id with each of :data:`VARIATIONS` in training, and of :data:`TEST_VARIATIONS` on the test split."""
    cases = [("train", keywords) for keywords in VARIATIONS] + [("test", keywords) for keywords in TEST_VARIATIONS]
    for split, keywords in cases:
        words = ", ".join(f"{name}={getattr(value, '__name__', value)}" for name, value in keywords.items())
        key = f"{task_id}/{split}/{words}"
        env = make(rec, key, task_id, split=split, **keywords)
        if env is not None:
            other_pairs = {"dataset", "field_of_view"} & set(keywords)
            options = None if other_pairs else rec.starts[f"{task_id}/{split}"]
            rollout(rec, key, env, moves(env.action_space, QUICK_STEPS if quick else STEPS), 4, options)


def lanes(rec: Recorder, task_id: str, quick: bool) -> None:
    """Three lanes with a short horizon in both autoreset modes, on one thread and on two."""
    for mode, threads in itertools.product(("NextStep", "SameStep"), (1, 2)):
        key = f"{task_id}/train/vector {mode}, threads={threads}"
        keywords = {"num_envs": 3, "horizon": 5, "autoreset_mode": mode, "threads": threads, "parameters": True}
        env: Any = gym.make_vec(task_id, **keywords).unwrapped
        rec.call(f"{key}/reset", env.reset, seed=5)
        stop = int(env.single_action_space.n) - 1
        for number in range(1, (6 if quick else STEPS) + 1):
            actions = (number * 7 + 5 * np.arange(3)) % stop
            actions[1] = stop if number == 3 else actions[1]
            rec.call(f"{key}/step {number}", env.step, actions)
        rec.call(f"{key}/truth", env.truth)
        rec.call(f"{key}/expert", env.expert_action)
        states = rec.call(f"{key}/states", env.get_state)
        rec.call(f"{key}/after state", env.step, np.zeros(3, np.int64))
        rec.call(f"{key}/set_state", env.set_state, states)
        rec.call(f"{key}/again", env.step, np.zeros(3, np.int64))
        rec.call(f"{key}/masked", env.reset, options={"reset_mask": np.array([True, False, True])})


def command(*arguments: str) -> list[Any]:
    """Exit code of ``python -m regenv`` and the lines that it prints; in this process, which has imported it all."""
    argv, sys.argv, output, code = sys.argv, ["regenv", *arguments], io.StringIO(), 0
    try:
        with contextlib.redirect_stdout(output):
            runpy.run_module("regenv", run_name="__main__")
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        sys.argv = argv
    return [code, *output.getvalue().splitlines()]


def evaluation(rec: Recorder) -> None:
    """The track's numbers, the rows that exist, and one alignment of two images."""
    import regenv
    from regenv.evaluation.track import find_track
    from regenv.testing.pairs import SmallPairs

    track = find_track("ctcbct-rigid")
    rec.put("track/digest", track.digest)
    for case in track.cases:
        truth = case.target.pose if hasattr(case, "target") else case.truth  # as tracks of schema 1 called it
        rec.put(f"track/{case.id}/start", np.round(case.start, 9) + 0.0)
        rec.put(f"track/{case.id}/truth", np.round(truth, 9) + 0.0)
    for row in sorted((Path(regenv.__file__).parents[1] / "benchmarks" / "submissions" / track.name).iterdir()):
        rec.call(f"rows/{row.name}", lambda row=row: command("leaderboard", "verify", str(row))[0])
    pair = SmallPairs().load(0)
    found = rec.attempt("align", regenv.align, regenv.to_sitk(pair.fixed), regenv.to_sitk(pair.moving), seed=0)
    rec.put("align/transform", np.round(found.transform.GetParameters(), 9) + 0.0)
    for name in ("similarity_start", "similarity_end", "confidence", "steps"):
        rec.put(f"align/{name}", getattr(found, name))


def record(path: Path, ids: Sequence[str], quick: bool, starts: Path | None) -> None:
    """Records the checkout that is the working directory; where ids are given only those, and no track or rows."""
    os.environ["REGENV_PREPARE"] = "0"  # only the pairs that are asked for are made
    sys.path.insert(0, os.getcwd())
    import regenv

    warnings.simplefilter("ignore")
    began = time.perf_counter()
    rec = Recorder(read(starts)["starts"] if starts else {})
    varied = REPRESENTATIVES[:8] if quick else REPRESENTATIVES
    known = [name for name, spec in gym.registry.items() if str(spec.entry_point).startswith("regenv.")]
    for task_id in ids or (varied if quick else known):
        since = time.perf_counter()
        rec.call(f"pages/{task_id}", command, "info", task_id)
        for part in (defaults, variations, lanes) if task_id in varied else (defaults,):
            rec.attempt(f"{task_id}/{part.__name__}", part, rec, task_id, quick)
        print(f"{task_id}: {time.perf_counter() - since:.1f} s", file=sys.stderr, flush=True)
    if not ids:
        rec.attempt("evaluation", evaluation, rec)
    path.write_text(json.dumps({"starts": rec.starts, "digests": rec.digests}, indent=0), encoding="utf-8")
    errors = Counter(text for text in rec.digests.values() if text.startswith("error: "))
    print(f"{regenv.__file__}: {len(rec.digests)} keys in {time.perf_counter() - began:.0f} s, {dict(errors)}")


def read(path: Path) -> dict[str, Any]:
    """A recording."""
    return json.loads(path.read_text(encoding="utf-8"))


def compare(first: Path, second: Path, ignore: Sequence[str], common: bool) -> bool:
    """Prints where two recordings differ and returns whether they are equal."""
    a, b = (
        {k: text for k, text in read(path)["digests"].items() if not any(fnmatch.fnmatch(k, i) for i in ignore)}
        for path in (first, second)
    )
    different = [key for key in a if key in b and a[key] != b[key]]
    print(f"{len(a.keys() & b.keys())} keys in both, {len(different)} of them differ")
    if different:
        print(f"first: {different[0]}\n  {first}: {a[different[0]]}\n  {second}: {b[different[0]]}")
    for group, count in Counter(key.split("/")[0] for key in different).items():
        print(f"  {group}: {count}, first {next(key for key in different if key.split('/')[0] == group)}")
    for path, alone in ((first, [key for key in a if key not in b]), (second, [key for key in b if key not in a])):
        if alone:
            print(f"{len(alone)} keys only in {path}, first {alone[0]}")
    return not different and bool(a.keys() & b.keys() if common else a.keys() == b.keys())


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    recording = commands.add_parser("record", help="record what this checkout does")
    recording.add_argument("path", type=Path, help="JSON file, outside the repository")
    recording.add_argument("--ids", nargs="+", default=(), help="only these ids")
    recording.add_argument("--quick", action="store_true", help="eight ids, fewer steps")
    recording.add_argument("--starts", type=Path, help="recording whose pairs and starts are used again")
    comparing = commands.add_parser("compare", help="exit code 1 where two recordings differ")
    comparing.add_argument("paths", type=Path, nargs=2)
    comparing.add_argument("--ignore", nargs="+", default=(), help="patterns of keys, such as 'test-start/*'")
    comparing.add_argument("--common", action="store_true", help="keys that only one has are no difference")
    arguments = parser.parse_args()
    if arguments.command == "record":
        record(arguments.path, arguments.ids, arguments.quick, arguments.starts)
    elif not compare(*arguments.paths, arguments.ignore, arguments.common):
        sys.exit(1)


if __name__ == "__main__":
    main()
