"""Procedural anatomies: implicit shapes with random variation per subject."""
