"""Greedy supervised action values from matched features (after Liao et al., AAAI 2017)."""
