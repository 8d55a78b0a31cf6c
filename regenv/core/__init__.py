"""Numbers only: geometry, transform models, resampling kernels, similarities. Imports nothing else of the project."""
