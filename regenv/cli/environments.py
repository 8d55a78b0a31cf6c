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

    from regenv.evaluation.track import find_track, track_names
    from regenv.registration import TASKS

    console = Console()
    table = Table("environment", "what", "fixed, moving", "model", "reward", "horizon", box=None, header_style="bold")
    for task in TASKS.values():
        kind = f"{task.model}, {task.ndim}-D"
        table.add_row(task.id, task.title, ", ".join(task.modalities), kind, task.similarity, str(task.horizon))
    console.print(table)
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
    from regenv.cli.episode import play, save_pictures

    keywords = {"dataset": dataset, "split": split, **parse_settings(settings)}
    frames, ending = play(known_id(env_id), agent, seed, steps, keywords)
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
    import gymnasium as gym

    import regenv  # noqa: F401  (registers the environments)

    keywords: dict[str, Any] = {"dataset": dataset, **parse_settings(settings)}
    env = gym.make(known_id(env_id), **keywords)
    single = _steps_per_second(env, 1, seconds)
    env.close()
    typer.echo(f"{env_id}, one environment: {single:,.0f} steps a second")
    extra: dict[str, Any] = {} if threads is None else {"threads": threads}
    envs = gym.make_vec(env_id, num_envs=num_envs, **keywords, **extra)
    many = _steps_per_second(envs, num_envs, seconds)
    envs.close()
    typer.echo(f"{env_id}, {num_envs} lanes: {many:,.0f} steps a second, {many / single:.1f} times as many")


def _steps_per_second(env: Any, lanes: int, seconds: float) -> float:
    """Random actions for a while, resets left out of the time for the single face (they are part of it for lanes)."""
    import time

    env.reset(seed=0)
    env.action_space.seed(0)
    env.step(env.action_space.sample())  # kernels are loaded
    busy, count = 0.0, 0
    while busy < seconds:
        action = env.action_space.sample()
        began = time.perf_counter()
        _, _, terminated, truncated, _ = env.step(action)
        busy += time.perf_counter() - began
        count += lanes
        if lanes == 1 and (terminated or truncated):
            env.reset()
    return count / busy
