"""``regenv list``, ``info``, ``render`` and ``bench``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from regenv.cli.options import DatasetOption, SeedOption, Settings, SplitOption, known_id, parse_settings

EnvironmentId = Annotated[str, typer.Argument(metavar="ID", help="Such as CTCBCT-Rigid-v0.")]


def list_environments() -> None:
    """The environments and the tracks."""
    from rich.console import Console
    from rich.table import Table

    from regenv.catalogue import TASKS
    from regenv.evaluation.track import find_track, track_names

    console = Console()
    table = Table("environment", "what (fixed, moving)", "reward", "horizon", "steps/s", box=None, header_style="bold")
    table.columns[0].no_wrap = True
    for task in TASKS.values():
        speed = task.calibration.get("steps_per_second")
        what = f"{task.title} ({', '.join(task.modalities)})"
        table.add_row(task.id, what, task.similarity, str(task.horizon), "" if speed is None else f"{speed:,.0f}")
    console.print(table)
    console.print(
        "steps/s: one environment on one core of the machine that regenv is calibrated on; here: regenv bench ID"
    )
    console.print()
    table = Table("track", "what", "cases", box=None, header_style="bold")
    for name in track_names():
        track = find_track(name)
        table.add_row(name, track.title, "from --data PATH" if track.is_template else str(len(track.cases)))
    console.print(table)


def info(env_id: EnvironmentId) -> None:
    """The page of one environment."""
    from rich.console import Console
    from rich.markdown import Markdown

    from regenv.pages import environment_page

    console = Console()
    page = environment_page(known_id(env_id))
    if console.is_terminal:
        console.print(Markdown(page))
    else:
        print(page)


def render(
    env_id: EnvironmentId,
    output: Annotated[Path, typer.Option("-o", "--output", help="A .gif, or a .png of the last frame.")] = Path(
        "episode.gif"
    ),
    agent: Annotated[
        str, typer.Option(help="MODULE:FACTORY, policy.onnx, random, or expert (who knows the truth).")
    ] = "expert",
    dataset: DatasetOption = "phantom",
    split: SplitOption = "train",
    seed: SeedOption = 0,
    steps: Annotated[int, typer.Option(help="At most so many steps.")] = 100,
    fps: Annotated[float, typer.Option(help="Pictures a second.")] = 6.0,
    settings: Settings = None,
) -> None:
    """An episode as moving pictures."""
    from regenv.cli.episode import film, save_pictures

    keywords = {"dataset": dataset, "split": split, **parse_settings(settings)}
    frames, ending = film(known_id(env_id), agent, seed, steps, keywords)
    save_pictures(frames, output, fps)
    typer.echo(f"{output}: {len(frames)} pictures; {ending}")


def bench(
    env_id: EnvironmentId,
    num_envs: Annotated[int, typer.Option(help="Lanes of the vector environment.")] = 64,
    seconds: Annotated[float, typer.Option(help="How long to measure each.")] = 3.0,
    dataset: DatasetOption = "phantom",
    threads: Annotated[
        int | None, typer.Option(help="Threads of the vector environment; default all processors.")
    ] = None,
    settings: Settings = None,
) -> None:
    """Steps per second, here: one environment, and many lanes side by side."""
    import time

    import gymnasium as gym

    import regenv  # noqa: F401  (registers the environments)

    keywords: dict[str, Any] = {"dataset": dataset, **parse_settings(settings)}
    keywords.setdefault("horizon", 1_000_000)  # steps are measured; what a reset takes is said apart
    env = gym.make(known_id(env_id), disable_env_checker=True, **keywords)
    pair = {"pair": env.reset(seed=0)[1]["pair_id"]}  # one pair for all lanes: nothing is generated while time runs
    single = _steps_per_second(env, 1, seconds, pair)
    began = time.perf_counter()
    for _ in range(20):
        env.reset(options=pair)
    reset_ms = (time.perf_counter() - began) / 20 * 1000
    env.close()
    typer.echo(f"{env_id}, one environment: {single:,.0f} steps a second; a reset takes {reset_ms:.1f} ms")
    extra: dict[str, Any] = {} if threads is None else {"threads": threads}
    envs = gym.make_vec(env_id, num_envs=num_envs, **keywords, **extra)
    many = _steps_per_second(envs, num_envs, seconds, pair)
    envs.close()
    typer.echo(f"{env_id}, {num_envs} lanes: {many:,.0f} steps a second, {many / single:.1f} times as many")


def _steps_per_second(env: Any, lanes: int, seconds: float, pair: dict[str, Any]) -> float:
    """Random actions, STOP left out, for a while."""
    import time

    import gymnasium as gym
    import numpy as np

    env.reset(seed=0, options=pair)
    env.action_space.seed(0)
    single = env.action_space if lanes == 1 else env.single_action_space
    stop = int(single.n) - 1 if isinstance(single, gym.spaces.Discrete) else None
    actions = [env.action_space.sample() for _ in range(64)]
    if stop is not None:
        actions = [np.where(action == stop, action - 1, action) for action in actions]
    actions = [np.int64(action) if stop is not None and lanes == 1 else action for action in actions]
    env.step(actions[0])  # kernels are loaded
    env.reset(options=pair)
    busy, count = 0.0, 0
    while busy < seconds:
        began = time.perf_counter()
        _, _, terminated, truncated, _ = env.step(actions[count % len(actions)])
        busy += time.perf_counter() - began
        count += 1
        if lanes == 1 and (terminated or truncated):
            env.reset(options=pair)
    return count * lanes / busy
