"""Unknown keywords, answered in the caller's words: those of Gymnasium, stable-baselines3 and PettingZoo."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from regenv.errors import UnknownOptionError, near_miss

_CALLED: Mapping[str, tuple[str, ...]] = {
    "num_envs": ("n_envs", "nenvs", "num_lanes", "n_lanes", "lanes", "batch_size", "num_environments"),
    "agents": ("n_agents", "num_agents", "max_num_agents", "agent_ids", "possible_agents"),
    "horizon": (
        *("max_steps", "max_cycles", "n_steps", "num_steps", "time_limit", "episode_length", "max_episode_length"),
        *("max_ep_len", "max_num_frames_per_episode"),
    ),
    "observation": ("obs", "obs_type", "obs_mode", "observation_type", "observation_mode"),
    "dtype": ("obs_dtype", "image_dtype"),
    "actions": ("action_type", "action_mode", "action_space", "continuous", "continuous_actions", "control_mode"),
    "reward": ("reward_type", "reward_mode", "reward_fn", "reward_function", "similarity", "metric"),
    "channels": ("channels_last", "channels_first", "channel_order", "data_format", "image_format"),
    "view_size": ("size", "image_size", "img_size", "obs_size", "obs_shape", "screen_size", "resolution"),
    "view_spacing_mm": ("spacing", "spacing_mm"),
    "threads": ("n_threads", "num_threads", "num_workers", "n_jobs", "workers"),
    "subjects": ("num_levels", "n_subjects", "num_subjects", "patients"),
    "dataset": ("data", "data_dir", "data_path", "path", "root"),
    "split": ("train", "subset", "fold"),
    "render_mode": ("render",),
    "autoreset_mode": ("autoreset", "auto_reset"),
}
"""What other libraries call a keyword."""

_INSTEAD: Mapping[str, tuple[str, ...]] = {
    "make many environments with gym.make_vec(id, num_envs=...)": ("num_envs",),
    "gym.make_vec(id, autoreset_mode=...) takes one, a single environment is reset by reset()": ("autoreset_mode",),
    "make several agents with regenv.adapters.pettingzoo.parallel_env(id, agents=...)": ("agents",),
    "give a seed to reset(seed=...)": ("seed",),
    "give options to reset(options=...)": ("options",),
    "every action is one step: leave it out": ("frameskip", "frame_skip", "action_repeat"),
    "the environment is batched by itself: leave it out": ("vec_env_cls", "vectorization_mode", "start_index"),
    "wrap what is returned": ("wrapper_class", "wrapper_kwargs", "wrappers", "monitor_dir", "monitor_kwargs"),
    "pass keywords directly, such as split='test'": (
        *("env_kwargs", "make_kwargs", "env_config", "config", "vec_env_kwargs", "vector_kwargs", "kwargs"),
    ),
}
"""What to do instead of giving a keyword that there is not."""

_MEANT = {word: keyword for keyword, words in _CALLED.items() for word in words}
_ADVICE = {word: advice for advice, words in _INSTEAD.items() for word in words}


def check_keywords(of: str, given: Iterable[str], known: Sequence[str]) -> None:
    """Raises unless every keyword is known.

    Args:
        of: What was called, for the message.
        given: Names of the keywords.
        known: Those that it takes.

    Raises:
        UnknownOptionError: With what the caller may have meant, and the list of all. It begins as Python's own
            TypeError does: TorchRL tries keywords and reads the message.
    """
    for name in given:
        if name not in known:
            raise UnknownOptionError(f"{of} got an unexpected keyword argument {name!r}; {_advice(name, known)}")


def _advice(name: str, known: Sequence[str]) -> str:
    """What to say after an unknown keyword."""
    meant = _MEANT.get(name.lower(), name.lower())
    if meant in known:
        return f"did you mean {meant}? Known: {', '.join(known)}"
    return _ADVICE.get(meant) or near_miss(name, known)
