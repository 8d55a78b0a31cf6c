"""The table of real pairs: its pairs are right by what can be seen in them, and its page says what was measured."""

from __future__ import annotations

from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

from benchmarks import real_table
from benchmarks.real import classical, methods
from benchmarks.real.experiments import EXPERIMENTS, Experiment, run_experiment
from benchmarks.real.folders import CASES, smooth_population, write_folders
from benchmarks.real.wrist import (
    FOLDER,
    FRAMES,
    REFERENCES,
    WristDataset,
    read_calibration,
    read_views,
)
from benchmarks.real.wrist_reference import CLICKS, where_rays_meet
from benchmarks.real_table import cell, main, report, run, section
from regenv.catalogue import TASKS
from regenv.core.geometry import transform_points
from regenv.core.sitk import image_to_sitk, to_sitk
from regenv.data.folder import FolderDataset


@pytest.fixture(scope="module")
def folders(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Hearts and the rat: the quick ones."""
    out = tmp_path_factory.mktemp("pairs")
    write_folders(shared_data, out, ["heart", "rat"])
    return out


def experiment_of(title: str) -> Experiment:
    return next(e for e in EXPERIMENTS if e.title == title)


def test_every_experiment_names_an_environment() -> None:
    assert {e.env_id for e in EXPERIMENTS} <= set(TASKS)
    assert len({e.slug for e in EXPERIMENTS}) == len(EXPERIMENTS)


def test_a_cell_shows_the_best_first() -> None:
    assert cell([3.0, 1.0, 8.0], "tre") == "3.0 (1.0 to 8.0)"
    assert cell([0.5, 0.25, 0.75], "dice") == "0.500 (0.750 to 0.250)"
    assert cell([2.0], "tre") == "2.0"
    assert cell([], "ncc") == "-"


def test_a_section_has_a_line_for_each_pair_and_measure() -> None:
    experiment = Experiment("Two", "T1T2-Rigid-v0", "brain", ("tre", "ncc"), "mi")
    rows = [
        {"pair": pair, "start": k, "method": method, "tre": tre + k}
        for pair, tre in (("a", 1.0), ("b", 5.0))
        for method in ("start", "classical")
        for k in (0, 1, 2)
    ]
    lines = section(experiment, rows).splitlines()
    assert "| pair | measure | start | SimpleITK, MI |" in lines
    assert "| a | TRE, mm | 2.0 (1.0 to 3.0) | 2.0 (1.0 to 3.0) |" in lines
    assert "| b | NCC | - | - |" in lines
    assert "moved by up to 1.25 mm" in " ".join(report([rows], [experiment], 3, "1.25").split())


def test_smooth_fields_have_their_size_and_do_not_fold() -> None:
    model = smooth_population(100.0, subjects=40, modes=8)
    rng = np.random.default_rng(1)
    points = rng.uniform(-40, 40, (200, 2))
    moved = np.stack([model.displacement(c, points) for c in model.sample(rng, 20)])
    assert 1.5 < moved.std() < 3.5  # 3 mm, of which the modes hold most
    assert model.least_determinants(np.zeros((1, 8)))[0] == pytest.approx(1.0)


def test_the_cameras_of_the_wrist_see_one_world(shared_data: Path) -> None:
    """Rays through clicks on one point of the bone meet within the clicks' own error, and not with v upwards."""
    cameras = [read_calibration(shared_data / FOLDER / f"xr_calib_wrist_cam0{c}.txt") for c in (1, 2)]
    for frame in FRAMES:
        right = [where_rays_meet(cameras, [CLICKS[frame][c][k] for c in (0, 1)])[1] for k in (0, 1)]
        turned = [
            where_rays_meet(cameras, [(CLICKS[frame][c][k][0], 1759 - CLICKS[frame][c][k][1]) for c in (0, 1)])[1]
            for k in (0, 1)
        ]
        assert max(right) < 3.0
        assert max(turned) > max(right)


def test_a_part_of_a_radiograph_is_seen_where_the_calibration_says(shared_data: Path) -> None:
    dataset = WristDataset(shared_data, 1)
    pair = dataset.load(dataset.ids.index("0099#0"))
    assert pair.truth is not None and pair.truth.points_fixed is not None
    middle = pair.cameras[0].isocentre
    for c, (camera, log, seen) in enumerate(read_views(shared_data, "0099", middle, 100.0, 4), 1):
        calibration = read_calibration(shared_data / FOLDER / f"xr_calib_wrist_cam0{c}.txt")
        corners = pair.truth.points_fixed
        whole = np.array([calibration.pixel(point) for point in corners])
        part = camera.pixels(corners)
        np.testing.assert_allclose(np.ptp(whole, axis=0), 4 * np.ptp(part, axis=0), rtol=1e-6)
        np.testing.assert_allclose(calibration.source, camera.source)
        assert seen.mean() > 0.6 and log[seen].std() > 0.1


def test_the_wrist_is_best_seen_at_its_reference(shared_data: Path) -> None:
    env = gym.make("XRayCT-Rigid-v0", split="validation", dataset=WristDataset(shared_data, 2), field_of_view="biplane")
    for frame in FRAMES:
        _, info = env.reset(seed=0, options={"pair": f"{frame}#1"})
        assert info["tre"] > 10
        wrong = [env.reset(seed=k, options={"pair": f"{frame}#1"})[1]["similarity"] for k in range(20)]
        truth = env.unwrapped.truth()
        _, info = env.reset(options={"pair": f"{frame}#1", "start": truth})
        assert info["tre"] < 1e-6
        assert info["similarity"] > max(wrong)
    rotation = np.array(REFERENCES["0099"])[:, :3]
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-5)
    assert np.linalg.det(rotation) == pytest.approx(1, abs=1e-5)


def test_the_simplex_goes_uphill(shared_data: Path) -> None:
    env = gym.make(
        "XRayCT-Rigid-v0",
        split="validation",
        dataset=WristDataset(shared_data, 1),
        field_of_view="biplane",
        misalignment={"mm": 3.0, "deg": 3.0},
    )
    _, info = env.reset(seed=3, options={"pair": "0099#0"})
    pose = classical.simplex(env, info["transform"], evaluations=60)
    state = env.unwrapped.get_state()
    np.testing.assert_array_equal(state["transform"], pose)
    _, after = env.unwrapped.set_state(state)
    assert after["similarity"] > info["similarity"]


def test_hearts_are_cut_to_their_ventricle(folders: Path) -> None:
    dataset = FolderDataset(folders / "heart", split="validation", modalities=("mr", "mr"), model="sdm", ndim=2)
    assert len(dataset.ids) == 9 and len(set(dataset.subjects)) == 3
    for index in range(9):
        pair = dataset.load(index)
        assert pair.truth is not None and pair.truth.labels_fixed is not None and pair.truth.labels_moving is not None
        np.testing.assert_array_equal(pair.alignment, np.eye(3))
        diastole, systole = pair.truth.labels_moving > 0, pair.truth.labels_fixed > 0
        assert systole.sum() < diastole.sum()  # the heart has emptied
        centre = np.mean(pair.moving.grid.points()[diastole], axis=0) - pair.moving.grid.centre
        np.testing.assert_allclose(centre, [8.0, 0.0], atol=1.5)
        # blood is bright
        assert pair.moving.array[diastole].mean() > 1.5 * pair.moving.array[~diastole].mean()


def test_a_heart_is_brought_together(folders: Path, shared_data: Path) -> None:
    """Every method's row is there, the bound is above the start, and SimpleITK mends what is given."""
    experiment = experiment_of("Hearts, end-diastole to end-systole")
    only = "scd201_slice6"
    one = Experiment(
        experiment.title, experiment.env_id, "heart", experiment.measures, experiment.classical, only, "labels"
    )
    rows = {row["method"]: row for row in run_experiment(one, shared_data, folders, 1, lambda line: None)}
    assert set(rows) == {"given", "start", "greedy", "oracle", "classical"}
    assert all(row["pair"] == only for row in rows.values())
    assert rows["oracle"]["dice"] > rows["start"]["dice"]
    assert rows["classical"]["ncc"] > rows["given"]["ncc"] + 0.05
    assert rows["greedy"]["ncc"] > rows["start"]["ncc"]


def test_measures_are_those_of_the_transform(folders: Path) -> None:
    dataset = FolderDataset(folders / "heart", split="validation", modalities=("mr", "mr"), model="sdm", ndim=2)
    pair = dataset.load(0)
    assert pair.truth is not None and pair.truth.labels_fixed is not None and pair.truth.labels_moving is not None
    found = methods.measured(pair, to_sitk(np.eye(3)))
    a, b = pair.truth.labels_fixed > 0, pair.truth.labels_moving > 0
    assert found["dice"] == pytest.approx(2 * (a & b).sum() / (a.sum() + b.sum()))
    mask = pair.fixed_mask
    assert found["ncc"] == pytest.approx(np.corrcoef(pair.fixed.array[mask], pair.moving.array[mask])[0, 1], abs=1e-5)
    away = np.eye(3)
    away[0, 2] = 20.0
    assert methods.measured(pair, to_sitk(away))["dice"] < found["dice"] - 0.2


def test_the_rat_breathes_in_a_generic_model(folders: Path) -> None:
    env = gym.make(
        "CardiacMR-SDM2D-v0",
        split="validation",
        dataset=f"folder:{folders / 'rat'}",
        deformation=str(folders / "rat" / "smooth.npz"),
    )
    _, info = env.reset(seed=0)
    assert "tre" not in info  # nothing is known
    pair = FolderDataset(folders / "rat", split="validation", model="sdm", ndim=2).load(0)
    given = to_sitk(np.eye(3))
    fixed, moving = image_to_sitk(pair.fixed), image_to_sitk(pair.moving)
    spline = classical.spline_registration(fixed, moving, given, None)
    assert methods.measured(pair, spline)["ncc"] > methods.measured(pair, given)["ncc"] + 0.01


def test_affine_registration_from_a_rigid_start(folders: Path) -> None:
    import SimpleITK as sitk

    fixed = sitk.ReadImage(str(folders / "heart" / "101_5_ES.nrrd"), sitk.sitkFloat32)
    known = np.array([[1.06, 0.02, 2.0], [0.0, 0.96, -1.0], [0.0, 0.0, 1.0]])
    moving = sitk.Resample(fixed, fixed, to_sitk(np.linalg.inv(known)), sitk.sitkLinear)
    found = classical.affine_registration(fixed, moving, sitk.Euler2DTransform(), "ncc")
    points = np.array([[60.0, 60.0], [40.0, 80.0], [90.0, 50.0]])
    got = np.array([found.TransformPoint(p.tolist()) for p in points])
    assert np.abs(got - transform_points(known, points)).max() < 1.0
    assert classical.spread_mm(fixed, [found, found]) == 0.0


def test_rows_of_another_model_are_not_shown_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run goes on where it was cut off, with rows that what is there now would make."""
    made: list[int] = []

    def measured(experiment: Experiment, data: Path, work: Path, starts: int, say: object) -> list[dict[str, int]]:
        made.append(starts)
        return [{"start": starts, "run": len(made)}]

    monkeypatch.setattr(real_table, "run_experiment", measured)
    one = Experiment("Hearts", "CardiacMR-SDM2D-v0", "heart", ("dice",), "spline")
    for _ in range(2):
        assert run(tmp_path, tmp_path, 3, [one]) == [[{"start": 3, "run": 1}]]
    assert run(tmp_path, tmp_path, 2, [one]) == [[{"start": 2, "run": 2}]]
    monkeypatch.setattr(real_table, "_population", lambda experiment: "; model: fitted again")
    assert run(tmp_path, tmp_path, 3, [one]) == [[{"start": 3, "run": 3}]]
    finer = Experiment("Hearts", "CardiacMR-SDM2D-v0", "heart", ("dice",), "spline", keywords={"view_size": 32})
    assert run(tmp_path, tmp_path, 3, [finer]) == [[{"start": 3, "run": 4}]]
    assert made == [3, 2, 3, 3]


def test_more_starts_than_cases_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Pairs that lie in one frame have ten cases: the page would name more starts than were made."""
    with pytest.raises(SystemExit):
        main([str(tmp_path), "--work", str(tmp_path / "work"), "--starts", str(CASES + 1)])
    assert "--starts 11 must be 1 to 10" in capsys.readouterr().err


def test_a_folder_without_the_images_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path), "--work", str(tmp_path / "work"), "--out", str(tmp_path / "page.md")]) == 1
    assert f"error: {tmp_path}" in capsys.readouterr().err
    assert not (tmp_path / "page.md").exists()
