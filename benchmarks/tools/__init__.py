"""Measures and makes what is shipped: calibration, population models, tracks; proves that a refactoring is one."""
