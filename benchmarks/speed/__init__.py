"""Speed against peers that do the same work, as ratios measured in one run: ``python -m benchmarks.speed``."""
