"""Two images in, a transform out: ``regenv.align`` and the refinement behind it."""
