"""Files are written whole or not at all; locks hold between processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from regenv.files import take_alone, write_atomically, written_whole


def test_what_was_there_stays_until_the_new_file_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "image.nii.gz"
    write_atomically(path, b"old")
    with pytest.raises(KeyboardInterrupt), written_whole(path) as beside:
        assert beside.name.endswith(".nii.gz") and beside.parent == tmp_path  # writers choose a format by the ending
        beside.write_bytes(b"ne")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"old"
    with written_whole(path) as beside:
        beside.write_bytes(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_block_that_writes_nothing_is_an_error_and_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with pytest.raises(FileNotFoundError), written_whole(path):
        pass
    assert path.read_bytes() == b"old"


def test_a_file_is_taken_by_one_process(tmp_path: Path) -> None:
    path = tmp_path / "a"
    script = f"from regenv.files import take_alone; f = open({str(path)!r}, 'r+b'); print(take_alone(f.fileno()))"

    def another() -> str:
        return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip()

    with path.open("w+b") as stream:
        assert take_alone(stream.fileno())
        assert another() == "False"
    assert another() == "True"
