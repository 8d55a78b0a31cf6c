"""Pairs of images: procedural anatomy and the physics of each modality, real data sets and folders."""
