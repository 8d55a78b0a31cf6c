"""Stable-baselines3's DQN as it comes (``CnnPolicy``) on the batched environment: the plainest learning agent.

Train it with ``python -m agents.dqn.train --out runs/dqn``; run it as ``agents.dqn:factory``.
"""

from agents.dqn.agent import DQNAgent, factory

__all__ = ["DQNAgent", "factory"]
