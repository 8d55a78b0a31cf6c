from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs `pip install 'regenv[agents]'`")
pytest.importorskip("onnx", reason="needs `pip install 'regenv[agents]'`")

from benchmarks import generalisation


def test_finished_runs_are_kept_and_the_table_says_what_was_measured(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(generalisation, "SUBJECTS", (1, None))
    arguments = ["--out", str(tmp_path), "--steps", "2048", "--episodes", "3"]
    assert generalisation.main(arguments) == 0
    text = capsys.readouterr().out
    results = json.loads((tmp_path / generalisation.RESULT).read_text())
    assert [r["subjects"] for r in results] == [1, None]
    assert all(r[kind]["episodes"] == 3 for r in results for kind in ("trained", "unseen"))
    assert "| 1 |" in text and "| endless |" in text and "--steps 2048" in text

    monkeypatch.setattr(generalisation, "train", None)  # would fail if it were called again
    assert generalisation.main(arguments) == 0
    assert capsys.readouterr().out == text


def test_episodes_go_through_the_subjects_that_were_trained_on(monkeypatch) -> None:
    from agents.common import measure as measured
    from agents.random import factory

    pairs = []
    play = measured.play

    def watching(agent, env, *, seed, options):
        pairs.append(options["pair"])
        return play(agent, env, seed=seed, options=options, most=1)

    monkeypatch.setattr(measured, "play", watching)
    measured.measure(factory(seed=0), "CTMR-Similarity2D-v0", 5, split="train", subjects=2)
    assert [name.split("train-")[1] for name in pairs] == ["0000", "0001", "0000-v1", "0001-v1", "0000-v2"]
