from __future__ import annotations

import json

import pytest

from regenv.errors import MissingExtraError, OptionError, check_option, near_miss, require


def test_near_miss_suggests_and_lists() -> None:
    assert near_miss("nccc", ("ssd", "ncc")) == "did you mean 'ncc'? Known: 'ssd', 'ncc'"
    many = [f"option-{i}" for i in range(40)]
    assert near_miss("optoin-7", many) == "did you mean 'option-7'? It is one of 40"
    assert "'option-39'" in near_miss("something else", many)


def test_near_miss_without_a_near_one_only_lists() -> None:
    assert near_miss("zebra", ("ssd", "ncc")) == "known: 'ssd', 'ncc'"


def test_near_miss_ignores_case() -> None:
    assert near_miss("CBCT", ("ct", "cbct")).startswith("did you mean 'cbct'?")


def test_check_option_names_keyword_and_value() -> None:
    with pytest.raises(OptionError, match=r"split='tset' is unknown; did you mean 'test'\?"):
        check_option("split", "tset", ("train", "test"))
    check_option("split", "test", ("train", "test"))


def test_require_returns_the_module() -> None:
    assert require("json", "any") is json


def test_require_names_the_extra() -> None:
    with pytest.raises(MissingExtraError, match=r"pip install 'regenv\[video\]'"):
        require("no_such_module_anywhere", "video")


def test_require_does_not_hide_a_broken_module(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "half_broken.py").write_text("import something_it_needs_that_is_missing\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ImportError) as raised:
        require("half_broken", "video")
    assert not isinstance(raised.value, MissingExtraError)
    assert "something_it_needs" in str(raised.value)
