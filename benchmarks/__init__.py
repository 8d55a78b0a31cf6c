"""Frozen tasks, leaderboard rows, speed against peers, and the demo. Used from a clone."""
