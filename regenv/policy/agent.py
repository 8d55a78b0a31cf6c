"""The agent of a policy file."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regenv.errors import DataError, require
from regenv.policy.metadata import Metadata
from regenv.policy.sessions import session_of
from regenv.resources import resource_dir

STATE_ELEMENTS = 1 << 24
"""Numbers that one recurrent input may have a lane."""


class PolicyAgent:
    """An agent from a policy file.

    Args:
        path: The ``.onnx`` file.
        seed: Not used: the largest value is taken.
        threads: Of onnxruntime.
        trusted: Run it in this process, without a limit on memory and time. The default trusts the files that ship with
            regenv and no other.

    Attributes:
        env_kwargs: Keywords of the environment that the policy wants.
        method: What the file says of itself: name, family, description, code, commit, training.
        confidence: Of the last answer, ``(B,)``, or None where the policy gives none.
        min_confidence: Below it an answer is not to be trusted; None where the file does not say.

    Raises:
        MissingExtraError: Without onnxruntime: ``pip install 'regenv[align]'``.
        DataError: If the file cannot be read, is no policy file, or takes too much memory or time.
    """

    def __init__(self, path: str | Path, seed: int = 0, threads: int = 1, trusted: bool | None = None) -> None:
        require("onnxruntime", "align")
        self.path = Path(path)
        if not self.path.is_file():
            raise DataError(f"no policy file {self.path}")
        if trusted is None:
            trusted = self.path.resolve().parent == resource_dir("policies").resolve()
        self._session = session_of(self.path, threads, trusted)
        try:
            found = Metadata.of(self._session.metadata)
        except ValueError as error:
            raise DataError(f"{self.path}: its metadata cannot be used: {error}") from error
        self.env_kwargs, self.method = dict(found.env_kwargs), dict(found.method)
        self.max_steps, self.min_confidence = found.max_steps, found.min_confidence
        self._read_interface()
        self._state: dict[str, NDArray[Any]] = {}
        self._taken = 0
        self.confidence: NDArray[np.float32] | None = None

    def _read_interface(self) -> None:
        inputs, outputs = self._session.inputs, self._session.outputs
        if "observation" not in inputs or not {"values", "action"} & set(outputs):
            raise DataError(
                f"{self.path}: a policy has the input 'observation' and the output 'values' or 'action', this file has "
                f"{sorted(inputs)} and {outputs}"
            )
        kind, shape = inputs["observation"]
        self._takes_bytes = kind == "tensor(uint8)"
        self._shape = tuple(shape[1:])
        # Recurrent state; an open dimension is 1.
        self._recurrent = {
            name: tuple(n if isinstance(n, int) else 1 for n in shape[1:])
            for name, (_, shape) in inputs.items()
            if name != "observation"
        }
        for name, state in self._recurrent.items():
            if f"next_{name}" not in outputs:
                raise DataError(f"{self.path}: recurrent input {name!r} has no output 'next_{name}'")
            if inputs[name][0] != "tensor(float)" or not 0 <= math.prod(state) <= STATE_ELEMENTS:
                raise DataError(
                    f"{self.path}: recurrent input {name!r} must be float32 of at most {STATE_ELEMENTS} numbers, it is "
                    f"{inputs[name][0]} of shape {state}"
                )

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
            known = self._state.get(name)
            feed[name] = np.zeros((len(batch), *shape), np.float32) if known is None else known
        result = self._session.run(feed)
        self._state = {name: result[f"next_{name}"] for name in self._recurrent}
        self.confidence = result.get("confidence")
        self._taken += 1
        for name, ndims in (("action", range(1, 9)), ("values", (2, 3)), ("confidence", (1,))):
            if name in result and (result[name].ndim not in ndims or len(result[name]) != len(batch)):
                raise DataError(
                    f"{self.path}: the output {name!r} has shape {result[name].shape} for {len(batch)} observations"
                )
        if "action" in result:
            return result["action"]
        values = result["values"]
        actions = values.argmax(axis=-1)
        if self.max_steps is not None and self._taken > self.max_steps:
            actions[:] = 0 if values.ndim == 3 else values.shape[-1] - 1
        return actions
