"""Rows made to harm: each is refused by its kind, hides no row beside it, and writes nothing of its own on the page."""

from __future__ import annotations

import gzip
import json
import os
import re
import tomllib
from dataclasses import replace

import pytest
import tomli_w

from regenv.evaluation.episodes import EPISODES
from regenv.evaluation.method import Method
from regenv.evaluation.submission import HEADER, read_header
from regenv.evaluation.track import find_track
from regenv.fields import FieldError, check_transform, lookalike
from regenv.leaderboard import escape, table
from regenv.leaderboard.migrate import SAME_NUMBERS, migrate
from regenv.leaderboard.verify import find_rows, verify

from .conftest import write_row
from .test_verify import edit_header, edit_lines, kinds


@pytest.fixture()
def row(root, track, honest):
    return write_row(root, track, "expert", honest)


def test_what_the_others_are_changed_from(row):
    """Every edit below starts from a row that holds, with a method of these entries."""
    edit_header(row, method={"name": "expert", "family": "reference", "description": "Müller's; 24 of 25 – fine"})
    assert kinds(row) == set()


FAKE_TABLE = "good\n\n| row | score |\n| --- | --- |\n| mine | 1.000 |"
TEXTS = {
    "a table of its own": FAKE_TABLE,
    "a carriage return": "good\rbad",
    "a terminal's escape": "good \x1b[2Jbad",
    "text from right to left": "good \u202ebad",
    "zero width": "go\u200bod",
    "a filler": "go\u3164od",
    "a next line": "good\u2028bad",
    "marks piled up": "o" + "\u0336" * 8,
    "not composed": "Mu\u0308ller",
    "too long": "x" * 201,
    "a number": 7,
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("field", ["description", "code", "family"])
def test_text_that_is_not_one_plain_line(row, field, text):
    edit_header(row, method={"name": "expert", "family": "reference", field: text})
    assert kinds(row) == {"schema"}


@pytest.mark.parametrize(
    "name", ["../../up", "..", ".hidden", "-rf", "a/b", "a b", "x" * 41, "", "d\u0443n", "dqn\n", "<b>", "a|b", "`a`"]
)
def test_names(row, name):
    edit_header(row, row=name)
    assert kinds(row) == {"schema"}
    edit_header(row, row="expert", method={"name": name, "family": "rl"})
    assert kinds(row) == {"schema"}


@pytest.mark.parametrize(
    "changes",
    [
        {"agent": "a:b\x1b]0;title\x07"},
        {"seeds": [-1]},
        {"seeds": list(range(101))},
        {"cases": 10**15},
        {"timing": "guessed"},
        {"timing": None},
        {"score_version": None},
        {"track_digest": "<script>"},
        {"versions": {"regenv": "x" * 100}},
        {"versions": {f"p{n}": "1" for n in range(40)}},
        {"env_kwargs": {"steps": [float("inf")]}},
        {"env_kwargs": {"steps": [1.0] * 300}},
        {"env_kwargs": {"view_size": 10**9}},
        {"env_kwargs": {"actions": ["unit", ["unit"]]}},
        {"method": {"name": "x", "training": {"subjects": "many"}}},
        {"method": {"name": "x", "training": {"subjects": 0}}},
        {"method": {"name": "x", "training": {"seeds": [1.5]}}},
        {"method": {"name": "x", "training": {"data": "ct"}}},
        {"method": {"name": "x", "training": {"colour": "red"}}},
        {"method": {"name": "x", "commit": "HEAD"}},
        {"method": {"name": "x", "uses_truth": "no"}},
        {"method": "x"},
    ],
)
def test_fields_beyond_their_bounds(row, changes):
    edit_header(row, **changes)
    assert kinds(row) == {"schema"}


@pytest.mark.parametrize(
    "text",
    [
        "cases = " + "9" * 5000,
        "cases = 1e400",
        "x = " + "[" * 3000 + "]" * 3000,
        ".".join("a" * 2000) + " = 1",
        "x = 1979-05-27",
        "\ufeffx",
        "x = '" + "y" * 5000 + "'",
    ],
)
def test_headers_that_break_parsers(row, text):
    (row / HEADER).write_text(text)
    assert kinds(row) == {"schema"}


@pytest.mark.parametrize("content", [b"\xff\xfe", b"\x00" * 10])
def test_headers_that_are_no_text(row, content):
    (row / HEADER).write_bytes(content)
    assert kinds(row) == {"schema"}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("transform", "9" * 5000),
        ("transform", "1e400"),
        ("transform", "NaN"),
        ("transform", "[[1e999]]"),
        ("transform", "[]"),
        ("transform", '"' + "x" * 1000 + '"'),
        ("transform", "{" + ",".join(f'"k{n}":1' for n in range(100)) + "}"),
        ("transform", '{"lattice":"' + "A" * 100_000 + '"}'),
        ("transform", '{"../up":1}'),
        ("actions", "[" * 5000 + "]" * 5000),
        ("actions", "[1e400]"),
        ("actions", "[null]"),
        ("actions", "[[[0]]]"),
        ("seconds", "1e400"),
        ("seconds", "-Infinity"),
        ("steps", "1" + "0" * 400),
        ("seed", "1e3"),
        ("metrics", '{"tre":1e400}'),
        ("metrics", '{"\\u001b[2J":1}'),
        ("case", '"../000"'),
    ],
)
def test_lines_that_break_parsers(row, key, value):
    lines = gzip.decompress((row / EPISODES).read_bytes()).decode().splitlines()
    record = json.loads(lines[0])
    record[key] = "HERE"
    lines[0] = json.dumps(record).replace('"HERE"', value)
    (row / EPISODES).write_bytes(gzip.compress("\n".join(lines).encode()))
    assert kinds(row) == {"schema"}


@pytest.mark.parametrize("line", [b"[]", b"1", b"null", b'"x"', b"{}", b"\xff", b"{" * 100_000])
def test_lines_that_are_no_episodes(row, line):
    (row / EPISODES).write_bytes(gzip.compress(line))
    assert kinds(row) == {"schema"}


def test_files_that_unpack_without_end(row, monkeypatch):
    (row / EPISODES).write_bytes(gzip.compress(b" " * (4 << 20)))
    assert kinds(row) == {"unsafe-file"}
    monkeypatch.setattr("regenv.evaluation.submission.UNPACKED_BYTES", 100)
    (row / EPISODES).write_bytes(gzip.compress(b'{"case": "000"}\n' * 100))
    assert kinds(row) == {"schema"}  # the first line is looked at before the next is unpacked


@pytest.mark.parametrize("name", [HEADER, EPISODES])
def test_files_that_are_no_regular_files(row, tmp_path, name):
    (row / name).rename(tmp_path / "elsewhere")
    (row / name).symlink_to(tmp_path / "elsewhere")
    assert kinds(row) == {"unsafe-file"}
    (row / name).unlink()
    os.mkfifo(row / name)  # reading it would wait for ever
    assert kinds(row) == {"unsafe-file"}
    (row / name).unlink()
    (row / name).mkdir()
    assert kinds(row) == {"unsafe-file"}


def test_files_that_are_too_large(row):
    with open(row / HEADER, "a") as stream:
        stream.write("# padding\n" * 7000)
    assert kinds(row) == {"unsafe-file"}


def test_a_row_that_is_a_link(row, tmp_path):
    link = row.parent / "twin"
    link.symlink_to(row)
    assert link in find_rows(row.parent)
    assert kinds(link) == {"unsafe-file"}


def test_half_a_row_is_found(row):
    (row / HEADER).unlink()
    assert find_rows(row.parent) == [row]


def test_a_crash_is_a_failure_of_the_row(row, monkeypatch):
    def crash(*_):
        raise ZeroDivisionError("no more strength")

    monkeypatch.setattr("regenv.leaderboard.verify.replay_episodes", crash)
    assert kinds(row) == {"crash"}


def test_messages_hold_no_control_sequences(row):
    edit_header(row, row="x\x1b[2J\u202e\nexpert: replayed")
    edit_lines(row, lambda records: records[0].update({"\x1b[2J": 1}))
    for failure in verify(row).failures:
        assert str(failure).isprintable() and len(str(failure)) < 600


def test_transforms_of_every_form():
    for good in ([[1.0, 0.0], [0.0, 1.0]], [0.5, 1, -2.0], {"matrix": [[1.0]], "lattice": "AAAA", "shape": [1, 2]}):
        check_transform(good)
    with pytest.raises(FieldError, match="90001 characters|at most 90000"):
        check_transform({"lattice": "A" * 89_990})
    with pytest.raises(FieldError, match=r"transform\.shape"):
        check_transform({"shape": [[[1]]]})


# --- the page ---

MARKDOWN = [
    "[click](javascript:alert(1))",
    "<script>alert(1)</script>",
    "`regenv` | x | **bold** _it_",
    "![x](http://evil.example/p.png)",
    "&lt;b&gt; ~~gone~~ $x$ @all #1 www.evil.example",
    "\\",
]


@pytest.mark.parametrize("text", MARKDOWN)
def test_text_shows_on_the_page_and_does_nothing(text):
    import html

    escaped = escape.markdown(text)
    assert html.unescape(escaped) == text  # HTML shows what was written
    assert not re.search(r"[`*_\[\]|\\~$@!>]|<(?! )|://|javascript:|www\.", escaped)


def test_text_shows_on_the_page_as_python_markdown_reads_it():
    markdown = pytest.importorskip("markdown")
    for text in MARKDOWN:
        shown = markdown.markdown(f"- **row**: {escape.markdown(text)}. {escape.code(text)}", extensions=["tables"])
        assert not re.search(r"<(script|a|img|b|del|table)\b", shown), shown
        assert shown.count("<code>") == 1 and shown.count("<strong>") == 1 and shown.count("<em>") == 0


def test_commands_are_quoted():
    assert escape.command(["regenv", "--agent", "a b; rm -rf ~"]) == "`regenv --agent 'a b; rm -rf ~'`"
    assert escape.command(["x`y`"]) == "`` 'x`y`' ``"
    assert escape.command(["$(reboot)"]) == "`'$(reboot)'`"


def test_a_row_writes_nothing_of_its_own(root, track, honest, tmp_path):
    folder = write_row(root, track, "expert", honest, agent="a:b; $(reboot) `x`")
    submission = read_header(folder)
    method = replace(submission.method, description="[good](http://evil.example) <b>best</b> | 1.000 |")
    replace(submission, method=method).write(folder, honest)
    page = tmp_path / "page.md"
    table.build(root, page)
    about = next(line for line in page.read_text().splitlines() if line.startswith("- **expert**"))
    assert "--agent 'a:b; $(reboot) `x`'" in about
    assert not re.search(r"[\[\]|]|<(?! )|://", about.partition("``")[0])


def test_a_fake_table_gets_nowhere(root, track, honest, row, tmp_path):
    """A newline in a description wrote a table of its own beside the real one."""
    bad = write_row(root, track, "mine", honest)
    edit_header(bad, method={"name": "mine", "family": "reference", "description": FAKE_TABLE})
    page = tmp_path / "page.md"
    with pytest.raises(table.LeaderboardError, match=r"mine: \[schema\]"):
        table.build(root, page)
    assert "mine" not in page.read_text() and "expert" in page.read_text()


def test_names_that_look_alike():
    assert lookalike("DQN-10_I") == lookalike("dqn.lo-1")
    assert lookalike("dqn") != lookalike("dqn2")


# --- the method, migration ---


def test_what_an_agent_says_of_its_training():
    method = Method.of({"name": "x", "family": "imitation", "training_data": "shapes"})
    assert (method.training.subjects, method.training.data) == ("unknown", ("shapes",))
    assert Method.of({"name": "x", "family": "classical"}).training.subjects == "none"
    training = {"subjects": 48, "seeds": [0, 1], "budget": "400,000 steps", "data": ["phantom 8"]}
    assert Method.of({"name": "x", "training": training}).training.seeds == (0, 1)
    with pytest.raises(FieldError, match="did you mean 'family'"):
        Method.of({"name": "x", "famly": "rl"})


def first_schema(folder):
    """The row as schema 1 had it."""
    document = tomllib.loads((folder / HEADER).read_text())
    document.update(schema=1)
    del document["timing"], document["method"]["training"], document["method"]["commit"]
    document["method"]["training_data"] = "pairs"
    (folder / HEADER).write_text(tomli_w.dumps(document))


def test_rows_of_the_first_schema_are_migrated(row):
    first_schema(row)
    found = verify(row)
    assert [failure.kind for failure in found.failures] == ["schema"]
    assert "regenv leaderboard migrate" in str(found.failures[0])
    episodes = (row / EPISODES).read_bytes()
    assert migrate(row)
    assert verify(row).level == "replayed"
    assert (row / EPISODES).read_bytes() == episodes
    assert read_header(row).method.training.data == ("pairs",)
    header = (row / HEADER).read_bytes()
    assert not migrate(row) and (row / HEADER).read_bytes() == header


def test_what_cannot_be_migrated_stays_as_it_is(row):
    first_schema(row)
    edit_header(row, seeds=[])
    header = (row / HEADER).read_bytes()
    with pytest.raises(ValueError, match="seeds"):
        migrate(row)
    edit_header(row, schema=0)
    with pytest.raises(ValueError, match="schema is 0"):
        migrate(row)
    assert sorted(p.name for p in row.iterdir()) == [EPISODES, HEADER]
    assert header != (row / HEADER).read_bytes()  # by this test alone


def test_rows_of_a_former_digest_of_the_same_numbers_are_migrated(root, track, honest):
    former = next(iter(SAME_NUMBERS))
    row = write_row(root, replace(track, name="ctcbct-rigid"), "expert", honest, track_digest=former, score_version=1)
    assert migrate(row)
    header = read_header(row)
    assert (header.track_digest, header.score_version) == (find_track("ctcbct-rigid").digest, 2)
    assert not migrate(row)
    edit_header(row, track="ctcbct-rigid-real", track_digest=former)
    with pytest.raises(FieldError, match="is of the track ctcbct-rigid, not of"):
        migrate(row)
