"""Parallelised Q-learning (Gallici et al., ICLR 2025): many lanes, Q(lambda) returns, normalised layers, no replay.

Train it with ``python -m agents.pqn.train --env ID --out runs/pqn``; run it as ``agents.pqn:ctmr_similarity2d``.
"""

from agents.pqn.agent import PQNAgent, ctcbct_rigid, ctmr_similarity2d, factory

__all__ = ["PQNAgent", "ctcbct_rigid", "ctmr_similarity2d", "factory"]
