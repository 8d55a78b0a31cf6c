"""The command that fits population models: what it writes, and what it refuses to write over."""

from __future__ import annotations

import gymnasium as gym
import pytest

import regenv  # noqa: F401  (registers the ids)
from benchmarks.tools.fit_deformations import main
from regenv.poses.deformation import StatisticalDeformation
from regenv.synthesis.population import population_path
from regenv.synthesis.recipe import get_recipe

ID = "BrainMR-SDM2D-v0"


def test_a_small_model_goes_to_its_own_file_and_serves_the_id(tmp_path, capsys):
    out = tmp_path / "own" / "small.npz"
    assert main([ID, "--subjects", "12", "--modes", "3", "--out", str(out)]) == 0
    assert "small.npz: 2-D, 192 mm" in capsys.readouterr().out
    model = StatisticalDeformation.load(out)
    assert (model.n_parameters, model.extent_mm) == (3, 192.0)
    env = gym.make(ID, deformation=str(out))
    assert env.action_space.n == 4 * 3 + 1


REFUSED = {
    (ID, "--subjects", "12"): "--subjects would not make the shipped model; name another file by --out",
    (ID, "--modes", "4", "--cells", "6"): "--modes --cells would not make",
    ("--recipe", "brain_slices", "--extent", "100"): "shipped brain_slices.npz spans 192 mm, not 100",
    (ID, "--field-of-view", "coronal"): "'coronal' is unknown; known: 'axial'",
    (ID, "--subjects", "4", "--out", "small.npz"): "16 modes cannot be told from 4 subjects",
    ("CTCBCT-SDM-v0", "--modes", "4", "--out", "small.npz"): "choose one by --field-of-view: torso, spine",
    ("CTCBCT-Rigid-v0",): "rigid, not a statistical deformation",
    ("BrainMR-SDM9D-v0",): "did you mean 'BrainMR-SDM2D-v0'",
    ("--recipe", "nothing", "--extent", "100"): "unknown recipe 'nothing'",
    (ID, "LungCT-SDM-v0", "--out", "small.npz"): "--out holds one model; name one id",
    (): "name ids, or give --stale, or both",
}


@pytest.mark.parametrize("arguments", REFUSED)
def test_refused(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    shipped = population_path(get_recipe("brain_slices"), "axial")
    before = shipped.read_bytes()
    with pytest.raises(SystemExit) as stopped:
        main(list(arguments))
    assert stopped.value.code == 2
    assert REFUSED[arguments] in capsys.readouterr().err
    assert shipped.read_bytes() == before
