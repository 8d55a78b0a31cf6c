"""Tables come from recomputed numbers, refuse what does not verify, and go stale visibly."""

import json
from dataclasses import replace

import numpy as np
import pytest

from regenv.evaluation.runner import metrics_of
from regenv.leaderboard import table
from regenv.leaderboard.verify import find_rows, verify
from regenv.resources import resource_dir

from .conftest import greedy_episode, make_track, write_row


def shifted(episodes, track, mm, at_once=True):
    """The same transforms, further from the truth."""
    result = []
    for episode, case in zip(episodes, track.cases, strict=True):
        transform = np.asarray(episode.transform)
        transform[0, 3] += mm
        result.append(
            replace(
                episode,
                actions=None,
                steps=0,
                transform=transform.tolist(),
                metrics=metrics_of(case, case.answer(transform.tolist())),
            )
        )
    return result


@pytest.fixture()
def rows(root, track, honest):
    write_row(root, track, "expert", honest)
    write_row(root, track, "simpleitk-mi", shifted(honest, track, 4), family="classical")
    write_row(root, track, "poor", shifted(honest, track, 12), family="rl")
    return root


def test_rows_are_ordered_by_score(rows, track):
    found, problems = table.collect(rows, track)
    assert not problems
    assert [row.submission.row for row in found] == ["expert", "simpleitk-mi", "poor"]
    assert found[0].level == "replayed"
    assert found[1].steps is None
    assert found[0].score.low is None  # three subjects


def test_table_shows_the_numbers(rows, track):
    found, problems = table.collect(rows, track)
    assert not problems
    text = table.markdown_table(found)
    assert "| simpleitk-mi | classical |" in text
    assert f"{100 * found[1].summary.success[5.0]:.0f} %" in text
    assert "at once" in text
    details = table.details_table(found)
    assert "P(better than simpleitk-mi)" in details
    assert "score / oracle's" in details
    assert "| expert |" in details and "| 1.00 |" in details


def test_scores_are_shown_as_a_share_of_the_oracles(rows, track, honest):
    write_row(rows, track, "oracle", shifted(honest, track, 2))
    found = {row.submission.row: row for row in table.collect(rows, track)[0]}
    share = found["poor"].score.value / found["oracle"].score.value
    assert share < 1
    assert f"| poor | {share:.3f} |" in table.details_table(list(found.values()))


def test_ten_subjects_have_intervals(tmp_path, process):
    track = make_track(10)
    track = replace(track, cases=tuple(replace(case, subject=case.id) for case in track.cases))
    track.save(tmp_path / track.name / f"{track.name}.toml")
    episodes = [greedy_episode(track, process, case) for case in track.cases]
    found = table.table_row(verify(write_row(tmp_path, track, "expert", episodes)), track)
    assert found.success.low < found.success.value == 1.0
    assert found.score.low < found.score.value < found.score.high
    assert "100 % (" in table.markdown_table([found])


def test_one_subject_has_no_interval(tmp_path, honest, track):
    alone = replace(track, cases=tuple(replace(case, subject="one") for case in track.cases))
    alone.save(tmp_path / alone.name / f"{alone.name}.toml")
    row = write_row(tmp_path, alone, "expert", honest)
    found = table.table_row(verify(row), alone)
    assert table.interval_text(found.score) == f"{found.score.value:.3f}"


def test_a_row_that_does_not_verify_hides_no_other(rows, track, tmp_path):
    header = rows / track.name / "poor" / "submission.toml"
    header.write_text(header.read_text().replace("score_version = ", "score_version = 9"))
    found, problems = table.collect(rows, track)
    assert [row.submission.row for row in found] == ["expert", "simpleitk-mi"]
    assert len(problems) == 1 and problems[0].startswith("poor: [score-version]")
    page = tmp_path / "LEADERBOARD.md"
    with pytest.raises(table.LeaderboardError, match=r"^poor: \[score-version\]"):
        table.build(rows, page)
    assert "expert" in page.read_text() and "poor" not in page.read_text()


def test_trials_must_be_of_the_same_cases(rows, track, honest):
    write_row(rows, track, "short", honest[:3])
    found, problems = table.collect(rows, track)
    assert len(found) == 3 and problems[0].startswith("short: [missing-case]")
    found, problems = table.collect(rows, track, trial=True)
    assert len(found) == 3
    assert problems == ["short: [missing-case] 3 cases, others have 6: run it on as many"]


@pytest.mark.parametrize("twin", ["Expert", "expert-1", "expert_I", "expert.l"])
def test_names_that_a_reader_takes_for_one(rows, track, honest, twin):
    write_row(rows, track, twin, honest)
    if twin != "Expert":
        write_row(rows, track, "expert-l", honest)
    found, problems = table.collect(rows, track)
    assert [row.submission.row for row in found if "xpert-" not in row.submission.row][-2:] == ["simpleitk-mi", "poor"]
    assert twin not in [row.submission.row for row in found]
    assert len(problems) == 2 and all("[confusable]" in problem for problem in problems)


def test_the_page_is_checked_against_its_sources(rows, track, tmp_path):
    page = tmp_path / "LEADERBOARD.md"
    assert not table.build(rows, page, check=True)
    assert table.build(rows, page)
    assert table.build(rows, page, check=True)
    text = page.read_text()
    assert track.digest in text and "regenv evaluate ctcbct-rigid-real --agent tests.somewhere:make --seed 0" in text
    page.write_text(text.replace("expert", "champion"))
    assert not table.build(rows, page, check=True)
    assert table.build(rows, page)
    first = page.read_text()
    assert table.build(rows, page) and page.read_text() == first


def test_the_projects_own_page_is_current():
    """Every row in the tree verifies, and LEADERBOARD.md is what the rows give."""
    rows = resource_dir("submissions")
    for row in find_rows(rows):
        assert verify(row).ok, row.name
    assert table.build(rows, rows.parent / "LEADERBOARD.md", check=True), "run: regenv leaderboard build"


def test_seconds_and_steps_are_medians(root, track, honest):
    timed = [replace(e, seconds=float(n)) for n, e in enumerate(honest)]
    found = table.table_row(verify(write_row(root, track, "timed", timed)), track)
    assert found.seconds == 2.5
    assert found.steps == np.median([e.steps for e in honest])
    assert json.dumps(found.summary.success)  # plain numbers


def test_a_track_of_ones_own_is_on_the_page(tmp_path, track, honest):
    own = replace(track, name="mine", title="<b>Mine</b>", dataset="phantom")
    own.save(tmp_path / "mine" / "mine.toml")
    write_row(tmp_path, own, "expert", honest)
    text, problems = table.leaderboard_page(tmp_path)
    assert not problems
    assert "## mine" in text and own.digest in text and "| expert | reference |" in text
    assert "<b>" not in text  # the title came with a stranger's rows


def test_other_numbers_under_a_shipped_name_are_not(tmp_path, track, honest):
    easy = replace(track, max_steps=track.max_steps + 1)
    easy.save(tmp_path / track.name / f"{track.name}.toml")
    write_row(tmp_path, easy, "expert", honest)
    text, problems = table.leaderboard_page(tmp_path)
    assert f"## {track.name}" not in text
    assert len(problems) == 1 and "is not the track of that name" in problems[0]
