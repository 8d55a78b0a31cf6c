"""Registration measured on public images: pairs, methods and measures of ``python -m benchmarks.real_table``."""
