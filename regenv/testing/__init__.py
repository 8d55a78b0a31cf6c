"""The conformance kit: what an environment owes to agents, and an agent to the evaluation.

    from regenv.testing import check_agent, check_environment

    check_environment(gym.make("CTCBCT-Rigid-v0"))
    check_agent("my_package.agents:make")

Both raise AssertionError with what is wrong and how to fix it, and return nothing. They are for outsiders too: an
environment of your own that passes runs with the agents here, an agent that passes runs on every track.
"""

from regenv.testing.agents import check_agent
from regenv.testing.environments import check_environment
from regenv.testing.pairs import SmallPairs

__all__ = ["SmallPairs", "check_agent", "check_environment"]
