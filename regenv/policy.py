"""Policy files: a trained agent as one ONNX file, run by onnxruntime alone.

A policy file takes the environment's observations and gives values of actions, or actions. It needs neither torch
nor its author's code, and holds no code of its own, so that it is safe to run for a stranger.

Inputs:
    ``observation``: ``(B, *shape)``, of the type of the environment's observation space or float32.
    any others: recurrent state ``(B, ...)``, zero at the start of an episode.

Outputs:
    ``values``: ``(B, A)`` for ``Discrete(A)``, or ``(B, K, N)`` for ``MultiDiscrete([N] * K)``: the largest is
    taken; or
    ``action``: what the environment's action space holds, ``(B, ...)``.
    ``confidence`` (optional): ``(B,)``.
    ``next_<input>`` for each recurrent input.

Metadata (strings): ``regenv_policy`` = ``"1"``; ``env_kwargs``, the JSON of the keywords of the environment that
it wants; optional: ``max_steps``, after which it stops by itself (multi-discrete: all zero; discrete: the last action);
``min_confidence``, below which its answers are not to be trusted; ``name``, ``family``, ``description``, ``code``,
``training_data``, which go to the leaderboard's row.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regenv.errors import DataError, require

FORMAT = "1"
METHOD_KEYS = ("name", "family", "description", "code", "training_data")


@lru_cache(maxsize=8)
def _session(path: str, modified_ns: int, threads: int) -> Any:
    """The onnxruntime session of a file, kept: it is stateless, and reading a file takes longer than a registration."""
    runtime = require("onnxruntime", "align")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own exceptions share no base class
        raise DataError(f"{path} cannot be read as an ONNX file ({error}); export the policy again") from error


class PolicyAgent:
    """An agent from a policy file.

    Args:
        path: The ``.onnx`` file.
        seed: Not used: the largest value is taken.
        threads: Of onnxruntime.

    Attributes:
        env_kwargs: Keywords of the environment that the policy wants.
        method: What the file says of itself (name, family, description, code, training_data).
        confidence: Of the last answer, ``(B,)``, or None where the policy gives none.
        min_confidence: Below it an answer is not to be trusted; None where the file does not say.

    Raises:
        MissingExtraError: Without onnxruntime: ``pip install 'regenv[align]'``.
        DataError: If the file cannot be read or is no policy file.
    """

    def __init__(self, path: str | Path, seed: int = 0, threads: int = 1) -> None:
        require("onnxruntime", "align")
        self.path = Path(path)
        if not self.path.is_file():
            raise DataError(f"no policy file {self.path}")
        self._session = _session(str(self.path.resolve()), self.path.stat().st_mtime_ns, threads)
        self._read_metadata(self._session.get_modelmeta().custom_metadata_map)
        self._read_interface()
        self._state: dict[str, NDArray[Any]] = {}
        self._taken = 0
        self.confidence: NDArray[np.float32] | None = None

    def _read_metadata(self, found: dict[str, str]) -> None:
        if found.get("regenv_policy") != FORMAT:
            raise DataError(
                f"{self.path} is no policy file of this version: its metadata has regenv_policy="
                f"{found.get('regenv_policy')!r}, expected {FORMAT!r}; export it again"
            )
        try:
            self.env_kwargs: dict[str, Any] = json.loads(found.get("env_kwargs", ""))
            self.max_steps = int(found["max_steps"]) if "max_steps" in found else None
            self.min_confidence = float(found["min_confidence"]) if "min_confidence" in found else None
        except ValueError as error:
            raise DataError(
                f"{self.path}: its metadata env_kwargs or a number in it is unreadable ({error})"
            ) from error
        if not isinstance(self.env_kwargs, dict):
            raise DataError(f"{self.path}: env_kwargs in its metadata must be a JSON object, got {self.env_kwargs!r}")
        self.method = {key: found[key] for key in METHOD_KEYS if key in found}

    def _read_interface(self) -> None:
        inputs = {i.name: i for i in self._session.get_inputs()}
        self._outputs = [o.name for o in self._session.get_outputs()]
        if "observation" not in inputs or not {"values", "action"} & set(self._outputs):
            raise DataError(
                f"{self.path}: a policy has the input 'observation' and the output 'values' or 'action', this file has "
                f"{sorted(inputs)} and {self._outputs}"
            )
        self._takes_bytes = inputs["observation"].type == "tensor(uint8)"
        self._shape = tuple(inputs["observation"].shape[1:])
        self._recurrent = {name: i.shape[1:] for name, i in inputs.items() if name != "observation"}
        if missing := [name for name in self._recurrent if f"next_{name}" not in self._outputs]:
            raise DataError(f"{self.path}: recurrent input {missing[0]!r} has no output 'next_{missing[0]}'")

    def reset(self, observation: NDArray[Any], info: dict[str, Any] | None = None) -> None:
        """A new episode."""
        self._state, self._taken = {}, 0

    def reset_batch(self, observations: NDArray[Any], infos: Any = None) -> None:
        """New episodes in all lanes."""
        self.reset(observations)

    def act(self, observation: NDArray[Any]) -> Any:
        """The action for one observation."""
        action = self.act_batch(np.asarray(observation)[None])[0]
        return int(action) if np.ndim(action) == 0 and np.issubdtype(np.asarray(action).dtype, np.integer) else action

    def act_batch(self, observations: NDArray[Any]) -> NDArray[Any]:
        """The actions for ``(B, *shape)`` observations of lanes that were reset together.

        Raises:
            ValueError: If the observations have another shape than the policy was made for.
        """
        batch = np.asarray(observations)
        if len(self._shape) != batch.ndim - 1 or any(
            isinstance(n, int) and n != m for n, m in zip(self._shape, batch.shape[1:], strict=True)
        ):
            raise ValueError(
                f"{self.path.name} wants observations of shape {self._shape}, got {batch.shape[1:]}; make "
                "the environment with the policy's env_kwargs"
            )
        feed = {"observation": batch if self._takes_bytes else batch.astype(np.float32)}
        for name, shape in self._recurrent.items():
            zero = np.zeros((len(batch), *(n if isinstance(n, int) else 1 for n in shape)), np.float32)
            feed[name] = self._state.get(name, zero)
        result = dict(zip(self._outputs, self._session.run(self._outputs, feed), strict=True))
        self._state = {name: result[f"next_{name}"] for name in self._recurrent}
        self.confidence = result.get("confidence")
        self._taken += 1
        if "action" in result:
            return result["action"]
        values = result["values"]
        actions = values.argmax(axis=-1)
        if self.max_steps is not None and self._taken > self.max_steps:
            actions[:] = 0 if values.ndim == 3 else values.shape[-1] - 1
        return actions
