"""Measures and makes what is shipped: calibration, population models, tracks."""
