"""Policy files: a trained agent as one ONNX file, run by onnxruntime alone.

A policy file takes the environment's observations and gives values of actions, or actions. It needs neither torch
nor its author's code and holds no code of its own. A file that does not ship with regenv runs in a process of its own
that can open no file and has bounded memory and time (:mod:`regenv.policy.sessions`), and its metadata can name only
built-in options, so that a stranger's file can give wrong answers and do nothing else.

Inputs:
    ``observation``: ``(B, *shape)``, of the type of the environment's observation space or float32.
    any others: recurrent state ``(B, ...)``, float32, zero at the start of an episode.

Outputs:
    ``values``: ``(B, A)`` for ``Discrete(A)``, or ``(B, K, N)`` for ``MultiDiscrete([N] * K)``: the largest is
    taken; or
    ``action``: what the environment's action space holds, ``(B, ...)``.
    ``confidence`` (optional): ``(B,)``.
    ``next_<input>`` for each recurrent input.

Metadata (strings): ``regenv_policy`` = ``"1"``; ``env_kwargs``, the JSON of the keywords of the environment that
it wants; optional: ``max_steps``, after which it stops by itself (multi-discrete: all zero; discrete: the last action);
``min_confidence``, below which its answers are not to be trusted; ``name``, ``family``, ``description``, ``code``,
``commit``, ``training_data`` and ``training`` (JSON), which go to the leaderboard's row
(:class:`regenv.evaluation.method.Method`).
"""

from regenv.policy.agent import PolicyAgent

__all__ = ["PolicyAgent"]
