"""Metrics, the score, statistics, tracks and the runner. Nothing here is imported by the environments."""
