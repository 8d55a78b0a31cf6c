"""Pages of environments: the fixed sections, in order, with what the environment really has."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields

import pytest

from regenv.catalogue import TASKS
from regenv.envs.config import Config
from regenv.envs.presets import PRESETS, fits
from regenv.pages import SECTIONS, attributes_of, environment_page, environment_table


@pytest.mark.parametrize("env_id", TASKS)
def test_page_has_the_fixed_sections_in_order(env_id):
    page = environment_page(env_id)
    assert page.startswith(f"# {env_id}\n")
    assert tuple(re.findall(r"^## (.+)$", page, re.MULTILINE)) == SECTIONS


@pytest.mark.parametrize("env_id", TASKS)
def test_every_keyword_is_on_the_page_and_explained(env_id):
    page = environment_page(env_id)
    for field in fields(Config):
        if field.name != "task":
            assert f"| `{field.name}` | `" in page
    for preset in PRESETS:
        assert (f'"{preset}"' in page) == fits(preset, TASKS[env_id])
    assert ":class:" not in page


def test_actions_are_numbered_as_the_scheme_numbers_them():
    page = environment_page("CTCBCT-Rigid-v0")
    assert "| `tx`, translation along x | mm | 0: +4, 1: -4, 2: +0.5, 3: -0.5 |" in page
    assert "| `rz`, rotation about z | degrees | 20: +4, 21: -4, 22: +0.5, 23: -0.5 |" in page
    assert "| STOP | | 24 |" in page


def test_page_states_the_horizon_and_the_reward_of_its_id():
    for env_id, task in TASKS.items():
        page = environment_page(env_id)
        assert f"`truncated` after {task.horizon} steps" in page
        assert f"x (gain in {task.similarity} of the step) - {task.step_cost:g}`" in page


def test_page_says_what_the_reward_means_where_it_was_measured():
    for env_id, task in TASKS.items():
        seen, page = task.calibration.get("meaning"), environment_page(env_id)
        assert (f"benchmarks.tools.reward_meaning {env_id}`" in page) == bool(seen)
        for entry in (seen or {"blind": {}})["blind"].values():
            assert re.search(rf", {entry['steps']} steps? \| {entry['return']:g} \|$", page, re.MULTILINE)


def test_unknown_id_names_the_near_miss():
    with pytest.raises(ValueError, match=r"CTCBCT-Rigid-v9.*did you mean 'CTCBCT-Rigid-v0'"):
        environment_page("CTCBCT-Rigid-v9")


def test_table_has_a_row_for_each_id():
    rows = environment_table().splitlines()
    assert len(rows) == 2 + len(TASKS)
    first = (
        r"\| `CTCBCT-Rigid-v0` \| CT to cone-beam CT of the torso, rigid \| 6 degrees of freedom \| `\(6, 64, 64\)` \|"
    )
    assert re.match(first + r" [\d.]+, [\d.]+ \| [\d,]+ \|$", rows[2])
    bare = [row for row in rows[2:] if not re.search(r"\| [\d.]+, [\d.]+ \| [\d,]+ \|$", row)]
    assert bare == [], "run: python -m benchmarks.tools.calibrate ID --write"


def test_attributes_are_read_from_a_docstring():
    @dataclass
    class Example:
        """Something.

        Attributes:
            first: One, that goes on
                in the next line.
            second (int): Two.

        Raises:
            ValueError: Never.
        """

        first: int

    assert attributes_of(Example) == {"first": "One, that goes on in the next line.", "second": "Two."}
    assert attributes_of(int) == {}
