"""Finding an agent by its name, and what the evaluation knows of it.

An agent is named ``package.module:factory`` or is a policy file ``policy.onnx``. A factory is called as
``factory(seed=int)``. Nothing in regenv has to be edited to run one.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from regenv.errors import near_miss

FAMILIES = ("rl", "classical", "supervised", "unsupervised", "adversarial", "learned-metric", "reference")
ENV_KEYWORDS = (
    "observation",
    "dtype",
    "parameters",
    "actions",
    "steps",
    "stop",
    "reward",
    "reward_region",
    "reward_scale",
    "step_cost",
    "preset",
    "horizon",
    "view_size",
    "view_spacing_mm",
    "threads",
)
"""What an agent may ask of an environment. Data set, split and starts belong to the track."""


class AgentError(ValueError):
    """An agent cannot be found, made or used; the message names it and the mend."""


@dataclass(frozen=True)
class Method:
    """What a row says of an agent: attributes of the agent, or entries of its ``method`` mapping.

    Attributes:
        name: Short, for the table.
        family: One of :data:`FAMILIES`.
        description: One line.
        code: Where the code is.
        training_data: What it was trained on; empty where nothing was trained.
        test_time_optimisation: Whether it optimises for each pair.
        uses_truth: Whether it is told the truth (reference bounds only).
    """

    name: str
    family: str = "rl"
    description: str = ""
    code: str = ""
    training_data: str = ""
    test_time_optimisation: bool = False
    uses_truth: bool = False


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
            f"{spec} gave {type(agent).__name__}, which has neither act(observation) nor register(fixed, "
            "moving, initial)"
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


def answers_at_once(agent: Any) -> bool:
    """Whether the agent registers two images in one call instead of acting step by step."""
    return callable(getattr(agent, "register", None))


def environment_keywords(agent: Any) -> dict[str, Any]:
    """The agent's ``env_kwargs``, checked.

    Raises:
        AgentError: If it asks for something that belongs to the track.
    """
    keywords = dict(getattr(agent, "env_kwargs", None) or {})
    for key in keywords:
        if key not in ENV_KEYWORDS:
            raise AgentError(
                f"env_kwargs may not set {key!r}: data, split and starts belong to the track; "
                f"{near_miss(key, ENV_KEYWORDS)}"
            )
    return keywords


def describe(agent: Any, spec: str) -> Method:
    """What the row says of the agent, from its attributes.

    Raises:
        AgentError: If it declares an unknown family.
    """
    declared = getattr(agent, "method", None)
    declared = declared if isinstance(declared, Mapping) else {}
    fallback = asdict(Method(name=_short_name(spec)))
    values = {key: declared.get(key, getattr(agent, key, default)) for key, default in fallback.items()}
    values = {key: value if isinstance(value, type(fallback[key])) else fallback[key] for key, value in values.items()}
    if values["family"] not in FAMILIES:
        raise AgentError(f"{spec}: family={values['family']!r} is unknown; {near_miss(values['family'], FAMILIES)}")
    return Method(**values)


def _short_name(spec: str) -> str:
    """``agents.greedy.agent:make`` -> ``greedy``; ``weights/mine.onnx`` -> ``mine``."""
    if spec.endswith(".onnx"):
        return re.sub(r"[^A-Za-z0-9_.-]", "-", Path(spec).stem)
    module, _, attribute = spec.partition(":")
    generic = {"make", "agent", "factory", "create", "make_agent", "agents", "build"}
    for part in (attribute, *reversed(module.split("."))):
        if part not in generic:
            return re.sub(r"[^A-Za-z0-9_.-]", "-", part.removeprefix("make_"))
    return "agent"


def code_digest(spec: str) -> str:
    """Hash of the policy file or of the factory's source, so that a changed agent is not taken for the old one."""
    if spec.endswith(".onnx"):
        path: str | None = spec
    else:
        found = importlib.util.find_spec(spec.partition(":")[0])
        path = found.origin if found is not None else None
    if path is None or not os.path.isfile(path):
        return ""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16]
