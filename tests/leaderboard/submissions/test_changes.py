"""A review sees what a change adds, supersedes, removes and moves."""

from sample_board import on_record, sample, write_results

from recombine.leaderboard.submissions.changes import diff


def kinds(changes):
    return [(one.kind, one.entry) for one in changes]


def test_nothing_changed(tmp_path):
    files = write_results(tmp_path)
    assert diff(files, files) == []


def test_an_added_entry_is_named_with_its_score(tmp_path):
    files = write_results(tmp_path, indices=[1, 2])
    new = on_record([sample(4).save(tmp_path / "new.json")])[0]
    changes = diff(files, [*files, new])
    first = changes[0]
    assert (first.kind, first.entry) == ("added", "autoencoder-replay-search")
    estimate = sample(4).scores.ooc_test.estimate
    assert (first.before, first.after) == ("", f"{estimate:.4f}")
    assert {one.kind for one in changes[1:]} == {"verdict"}


def test_a_newer_file_supersedes(tmp_path):
    old = sample(0).save(tmp_path / "a.json")
    new = sample(0, created="2026-02-01T00:00:00Z").save(tmp_path / "b.json")
    (change,) = diff([old], [old, new])
    assert change.kind == "superseded"
    assert change.before == change.after


def test_a_missing_file_is_removed_even_if_replaced(tmp_path):
    old = sample(0).save(tmp_path / "a.json")
    new = sample(0, created="2026-02-01T00:00:00Z").save(tmp_path / "b.json")
    assert kinds(diff([old], [new])) == [("removed", "supervised")]
    assert kinds(diff([old], [])) == [("removed", "supervised")]
    assert kinds(diff([], [old])) == [("added", "supervised")]
