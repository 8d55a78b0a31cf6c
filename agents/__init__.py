"""Reference agents, and the classical methods that they are compared with: one file each, run as ``module:factory``."""
