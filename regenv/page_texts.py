"""Sentences of an environment's page that depend on its kind of transform and of imaging."""

from __future__ import annotations

MODALITIES = {
    "ct": "CT",
    "cbct": "cone-beam CT",
    "mr": "MR",
    "t1": "T1-weighted MR",
    "t2": "T2-weighted MR",
    "pet": "PET",
    "us": "ultrasound",
    "xray": "X-ray",
    "depth": "a depth map",
}
"""How a modality is called."""
