"""Runs an agent on a track and writes its leaderboard row.

The environment is on the test split, where its interface tells nothing of the truth; the runner measures by the track's
numbers. An agent that runs in this process can reach either, so a row is a claim until others have reproduced it. Every
finished case is on disk before the next begins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from regenv.agent import Problem, answer, answers_at_once, play, reseed
from regenv.core.scene import Scene
from regenv.data.cache import progress
from regenv.data.pair import ImagePair
from regenv.evaluation.agents import code_digest, environment_keywords, load_agent
from regenv.evaluation.answers import Answer, PoseAnswer, answer_of
from regenv.evaluation.cases import generator_of, load_pair, track_dataset
from regenv.evaluation.episodes import Episode, PartialRun, RunError
from regenv.evaluation.method import AgentError, describe
from regenv.evaluation.score import case_score
from regenv.evaluation.submission import Submission, read_submission, software_versions
from regenv.evaluation.track import Track, TrackCase, track_names

Ended = tuple[list[Any] | None, Answer, float]
"""Actions (None of a method that answers at once), final transform and seconds."""


def metrics_of(case: TrackCase, final: Answer) -> dict[str, float]:
    """The metrics of a final transform: ``tre_start``, ``tre``, ``score``, ``landmark_tre``."""
    tre = case.tre(final)
    metrics = {"tre_start": case.tre_start, "tre": tre, "score": float(case_score(case.tre_start, tre))}
    landmark_tre = case.landmark_tre(final)
    if landmark_tre is not None:
        metrics["landmark_tre"] = landmark_tre
    return metrics


class CaseRunner:
    """One agent, made once, and what it runs on.

    Args:
        track: A bound track.
        spec: The agent's name.
        seed: The agent's seed.

    Raises:
        AgentError: If the agent asks for what belongs to the track, or for more steps than it allows.
        RunError: If the data set's generator is not the one that the track was frozen with.
    """

    def __init__(self, track: Track, spec: str, seed: int) -> None:
        self.track = track
        self.spec = spec
        self.seed = seed
        self.agent = load_agent(spec, seed)
        self.at_once = answers_at_once(self.agent)
        self.keywords = environment_keywords(self.agent)
        self.method = describe(self.agent, spec)
        if self.method.uses_truth and self.method.family != "reference":
            raise AgentError(f"{spec} uses the truth, so its family must be 'reference', not {self.method.family!r}")
        self._dataset = track_dataset(track)
        generator = generator_of(self._dataset)
        if generator != track.generator:
            raise RunError(
                f"track {track.name} was frozen with {track.generator!r}, this regenv makes {generator!r}: its numbers "
                "belong to other images. Use the track that comes with this version"
            )
        self._env: Any = None

    def environment(self) -> Any:
        """The environment on the track's pairs, made on first use."""
        if self._env is None:
            import gymnasium as gym

            import regenv  # noqa: F401  (registers the environments)

            track = self.track
            own = {"split": track.split, "dataset": track.dataset, "field_of_view": track.field_of_view}
            # The passive checker looks at every step and would count as the agent's time.
            self._env = gym.make(track.env_id, disable_env_checker=True, **{**self.keywords, **own})
            horizon = self._env.unwrapped.config.horizon
            if horizon > track.max_steps:
                raise AgentError(f"{self.spec} asks for a horizon of {horizon}; the track allows {track.max_steps}")
            if self._env.unwrapped.reward.uses_truth:
                raise AgentError(f"{self.spec} asks for a reward that uses the truth")
        return self._env

    def run(self, case: TrackCase) -> Episode:
        """Registers one case.

        Raises:
            RunError: If the agent fails, or answers something that is no transform; the message names the case.
        """
        seed_of_case = int(np.random.SeedSequence([self.seed, int(case.id)]).generate_state(1)[0])
        reseed(self.agent, seed_of_case)  # so that a run that was stopped and goes on draws the same
        try:
            actions, final, seconds = self._at_once(case) if self.at_once else self._act(case, seed_of_case)
            metrics = metrics_of(case, final)
        except (KeyboardInterrupt, RunError, AgentError):
            raise
        except Exception as error:
            raise RunError(f"{self.spec} failed on case {case.id}: {type(error).__name__}: {error}") from error
        steps = 0 if actions is None else len(actions)
        evaluations = int(getattr(self.agent, "evaluations", 0) or 0) or steps
        if evaluations > self.track.max_evaluations:
            raise RunError(
                f"{self.spec} took {evaluations} evaluations on case {case.id}; the track allows "
                f"{self.track.max_evaluations}"
            )
        return Episode(
            case=case.id,
            seed=self.seed,
            actions=actions,
            transform=final.value,
            steps=steps,
            evaluations=evaluations,
            seconds=round(seconds, 6),
            metrics=metrics,
        )

    def _act(self, case: TrackCase, seed: int) -> Ended:
        env = self.environment()
        options = {"pair": case.pair, "start": case.start}
        target = case.target if self.method.uses_truth else None
        played = play(self.agent, env, seed=seed, options=options, target=target)
        _check_geometry(case, env.unwrapped._engine.case(0).scene)
        pose = np.asarray(played.last["transform"], dtype=np.float64)
        return played.actions, PoseAnswer(pose, case.poses, case.scene), played.seconds

    def _at_once(self, case: TrackCase) -> Ended:
        import time

        pair = load_pair(self._dataset, case)
        _check_geometry(case, self.track.config().imaging.scene(pair))
        problem = problem_of(pair, case, uses_truth=self.method.uses_truth)
        began = time.perf_counter()
        found = answer(self.agent, problem)
        seconds = time.perf_counter() - began
        if found is problem.initial:
            return None, case.answer(case.start.tolist()), seconds
        return None, answer_of(found, case.scene, case.poses), seconds


def problem_of(pair: ImagePair, case: TrackCase, *, uses_truth: bool = False) -> Problem:
    """A case as a method that answers at once is given it; the truth only where it declares that it uses it."""
    from regenv.core.sitk import image_to_sitk, mask_to_sitk, matrix_to_sitk

    return Problem(
        fixed=image_to_sitk(pair.fixed),
        moving=image_to_sitk(pair.moving),
        initial=case.poses.to_sitk_transform(case.start, case.scene),
        model=case.poses.name,
        fixed_mask=mask_to_sitk(pair.fixed_mask, pair.fixed.grid),
        moving_mask=mask_to_sitk(pair.moving_mask, pair.moving.grid),
        cameras=pair.cameras,
        slice_mm=case.scene.slice_mm,
        alignment=matrix_to_sitk(case.scene.alignment) if case.poses.takes_alignment else None,
        truth=case.poses.to_sitk_transform(case.target.pose, case.scene) if uses_truth else None,
    )


def _check_geometry(case: TrackCase, scene: Scene) -> None:
    """Raises where the pair at hand does not lie where the track's pair lay."""
    same = np.allclose(scene.frame, case.scene.frame, atol=1e-4) and np.allclose(
        scene.moving_grid.index_to_physical, case.scene.moving_grid.index_to_physical, atol=1e-4
    )
    if not same:
        raise RunError(
            f"pair {case.pair} does not lie where it lay when case {case.id} was frozen: the data set or its generator "
            "has changed. Clear the cache (regenv doctor names it), or use the track that belongs to this version"
        )


@dataclass(frozen=True)
class FinishedRow:
    """A finished row.

    Attributes:
        folder: Where it lies.
        submission: Its header.
        episodes: Its cases, in the track's order.
        kept: Whether it was finished before and is taken over unchanged.
    """

    folder: Path
    submission: Submission
    episodes: tuple[Episode, ...]
    kept: bool = False


def run(
    track: Track,
    agent: str,
    *,
    seeds: Sequence[int] = (0,),
    out: Path | str = "submissions",
    cases: int | None = None,
    workers: int = 1,
    name: str | None = None,
    again: bool = False,
    on_case: Callable[[Episode], None] | None = None,
) -> FinishedRow:
    """Runs an agent on a track and writes ``OUT/<track>/<row>/``.

    A run that was stopped goes on where it was; a finished row of the same agent, track, seeds and cases is taken over.

    Args:
        track: A bound track (:func:`regenv.evaluation.cases.bind`).
        agent: ``"package.module:factory"`` or ``"policy.onnx"``.
        seeds: The agent's (training) seeds; each runs all cases.
        out: Folder of submissions.
        cases: Only the first so many cases; such a row is a trial and never complete.
        workers: Processes.
        name: The row's name; default is what the agent calls itself.
        again: Run although there is a finished row.
        on_case: Called with each case that finishes.

    Raises:
        AgentError: If the agent cannot be used on the track.
        RunError: If it fails on a case; what was finished is kept.
    """
    if track.is_template:
        raise RunError(f"track {track.name} has no cases yet: bind it to a folder of pairs first (--data PATH)")
    first = CaseRunner(track, agent, seeds[0])
    method = first.method if name is None else replace(first.method, name=name)
    if method.training.seeds == (seeds[0],):  # each seed is that of a training of its own
        method = replace(method, training=replace(method.training, seeds=tuple(seeds)))
    folder = Path(out) / track.name / method.name
    chosen = track.cases[:cases] if cases is not None else track.cases
    submission = Submission(
        row=method.name,
        track=track.name,
        track_digest=track.digest,
        score_version=track.score_version,
        cases=len(chosen),
        agent=Path(agent).name if Path(agent).is_absolute() else agent,
        agent_digest=code_digest(agent),
        method=method,
        seeds=tuple(seeds),
        env_kwargs=first.keywords,
        versions=software_versions(track),
    )
    if not again:
        finished = _finished(folder, submission)
        if finished is not None:
            return FinishedRow(folder, finished[0], finished[1], kept=True)
    save_bound_track(track, Path(out))
    with PartialRun(folder, submission.identity()) as partial:
        done = {episode.key for episode in partial.episodes}
        todo = [(seed, case) for seed in seeds for case in chosen if (case.id, seed) not in done]
        with progress(f"{method.name} on {track.name}", len(todo)) as advance:
            for episode in _episodes(track, agent, todo, workers, first):
                partial.append(episode)
                advance()
                if on_case is not None:
                    on_case(episode)
        order = {(case.id, seed): n for n, (seed, case) in enumerate((s, c) for s in seeds for c in chosen)}
        episodes = tuple(sorted((e for e in partial.episodes if e.key in order), key=lambda e: order[e.key]))
        try:
            submission.write(folder, episodes)
        except OSError as error:
            raise RunError(f"cannot write {folder}: {error.strerror}; all cases are kept in {partial.path}") from error
        partial.remove()
    return FinishedRow(folder, submission, episodes)


def save_bound_track(track: Track, out: Path) -> None:
    """Keeps the numbers of a track that does not ship beside its rows, which are verified against them."""
    if ":" in track.dataset or track.name not in track_names():
        track.save(out / track.name / f"{track.name}.toml")


def _finished(folder: Path, wanted: Submission) -> tuple[Submission, tuple[Episode, ...]] | None:
    """The row in the folder, if it is what would be run."""
    if (folder / "episodes.partial.jsonl").exists():
        return None
    try:
        submission, episodes = read_submission(folder)
    except (OSError, ValueError):
        return None
    same = submission.identity() == wanted.identity() and submission.cases == wanted.cases
    return (submission, episodes) if same and submission.seeds == wanted.seeds else None


def _episodes(
    track: Track, spec: str, todo: Sequence[tuple[int, TrackCase]], workers: int, first: CaseRunner
) -> Iterator[Episode]:
    """Runs the cases, here or in worker processes, and yields each as it finishes."""
    if workers <= 1:
        runner = first
        for seed, case in todo:
            if runner.seed != seed:
                runner = CaseRunner(track, spec, seed)
            yield runner.run(case)
        return
    # Spawned, not forked: a child must not inherit the parent's threads, and each makes its own agent.
    with ProcessPoolExecutor(workers, get_context("spawn"), _start_worker, (track, spec)) as pool:
        futures = [pool.submit(_work, seed, case) for seed, case in todo]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            for future in futures:
                future.cancel()


_worker: dict[str, Any] = {}


def _start_worker(track: Track, spec: str) -> None:
    _worker.update(track=track, spec=spec, runners={})


def _work(seed: int, case: TrackCase) -> Episode:
    runners = _worker["runners"]
    if seed not in runners:
        runners[seed] = CaseRunner(_worker["track"], _worker["spec"], seed)
    return runners[seed].run(case)
