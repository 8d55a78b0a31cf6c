"""Finding an agent by its name, and what it may ask of an environment.

An agent is named ``package.module:factory`` or is a policy file ``policy.onnx``. A factory is called as
``factory(seed=int)``. Nothing in regenv has to be edited to run one.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import os
import sys
from pathlib import Path
from typing import Any

from regenv.errors import near_miss
from regenv.evaluation.method import AgentError, source_of
from regenv.fields import ENV_KEYWORDS, FieldError, table


def load_agent(spec: str, seed: int = 0) -> Any:
    """Makes the agent of a name.

    Args:
        spec: ``"package.module:factory"`` or the path of a policy file ending in ``.onnx``.
        seed: Handed to the factory.

    Returns:
        An object with ``act`` or ``register``.

    Raises:
        AgentError: If it cannot be found, its factory fails, or what it gives is no agent.
    """
    if spec.endswith(".onnx"):
        if not Path(spec).is_file():
            raise AgentError(f"no policy file {spec}")
        from regenv.policy import PolicyAgent

        agent: Any = PolicyAgent(spec)
    else:
        factory = _factory(spec)
        try:
            agent = factory(seed=seed)
        except TypeError as error:
            if "seed" in inspect.signature(factory).parameters or "seed" not in str(error):
                raise
            raise AgentError(f"{spec} must take the keyword seed: def factory(seed: int) -> agent ({error})") from error
    if not (callable(getattr(agent, "register", None)) or callable(getattr(agent, "act", None))):
        raise AgentError(
            f"{spec} gave {type(agent).__name__}, which has neither act(observation) nor register(problem)"
        )
    return agent


def _factory(spec: str) -> Any:
    module_name, colon, attribute = spec.partition(":")
    if not colon or not module_name or not attribute:
        raise AgentError(f"{spec!r} names no agent: write package.module:factory, or the path of a policy file .onnx")
    if os.getcwd() not in sys.path:  # `regenv` is a script: unlike `python -m`, it does not look where the user stands
        sys.path.insert(0, os.getcwd())
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not (module_name == error.name or module_name.startswith(error.name + ".")):
            raise AgentError(f"{spec} needs the module {error.name!r}, which is not installed") from error
        raise AgentError(f"{spec}: there is no module {error.name!r} here or among the installed packages") from error
    if not callable(getattr(module, attribute, None)):
        public = [name for name in vars(module) if not name.startswith("_") and callable(getattr(module, name))]
        raise AgentError(f"{module_name} has no factory {attribute!r}; {near_miss(attribute, public)}")
    return getattr(module, attribute)


def environment_keywords(agent: Any) -> dict[str, Any]:
    """The agent's ``env_kwargs``, checked.

    Raises:
        AgentError: If it asks for something that belongs to the track.
    """
    try:
        keywords = dict(table("env_kwargs", getattr(agent, "env_kwargs", None) or {}))
    except FieldError as error:
        raise AgentError(str(error)) from error
    for key in keywords:
        if key not in ENV_KEYWORDS:
            raise AgentError(
                f"env_kwargs may not set {key!r}: data, split and starts belong to the track; "
                f"{near_miss(key, ENV_KEYWORDS)}"
            )
    return keywords


def code_digest(spec: str) -> str:
    """Hash of the policy file or of the factory's source, so that a changed agent is not taken for the old one."""
    path = source_of(spec)
    return "" if path is None else hashlib.sha256(path.read_bytes()).hexdigest()[:16]
