"""Raw files say nothing of their size: the tables of sizes become those of the miniature trees."""

from __future__ import annotations

from importlib import import_module

import pytest

from tests.data.layouts import trees


@pytest.fixture(autouse=True)
def small_grids(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "true_sizes" in request.fixturenames:
        return
    for name in ("dirlab", "copdgene"):
        module = import_module(f"regenv.data.layouts.{name}")
        monkeypatch.setattr(module, "GRIDS", dict.fromkeys(module.GRIDS, (trees.SIZE, trees.SPACING)))
    monkeypatch.setattr(import_module("regenv.data.layouts.jsrt"), "SIZE", (64, 64))


@pytest.fixture
def true_sizes() -> None:
    """Asked for by tests that need the sizes of the originals."""
