"""Equal answers under several names are one line and one rank, and nothing else is."""

import pytest
import sample_board
from sample_board import declared, on_record, sample

from recombine.leaderboard.board.board import rank_board
from recombine.leaderboard.board.entries import duplicate_groups, load_boards
from recombine.leaderboard.exports.tables import markdown_table
from recombine.leaderboard.site.build import build_site

METHOD = {"inference": "direct", "kind": "inverter", "source": "", "note": ""}


def twin(name="twin", seeds=5, note="", role=None, **over):
    """Return an entry with the answers of the sample's autoencoder, read without search."""
    method = {**METHOD, "name": name.capitalize(), "note": note, **({"role": role} if role else {})}
    return sample(1, seeds, **{"entry": name, "method": method, **over})


def load(folder, *results):
    paths = on_record([result.save(folder) for result in results])
    (board,) = load_boards(paths)
    return board, paths


def found(folder, *results):
    board, _ = load(folder, *results)
    return {
        frozenset(board.entries[i].result.method.id for i in group)
        for group in duplicate_groups(board.entries)
        if len(group) > 1
    }


def test_one_encoder_under_three_names_is_one_group(tmp_path):
    entries = sample(1), twin(), twin("triplet"), sample(0), sample(2)
    assert found(tmp_path, *entries) == {frozenset({"autoencoder", "twin", "triplet"})}


@pytest.mark.parametrize(
    "other",
    [
        twin(**declared("control")),
        twin(seeds=4),
        twin(compute={"gflop_per_image": 0.032, "steps": 0}),
        twin(training={"generated_images_seen": 1}),
        twin(compute_curve={"gflop_per_image": [0.031]}),
    ],
    ids=["another role", "fewer seeds", "another cost", "another training", "no search"],
)
def test_what_differs_in_anything_stays_apart(tmp_path, other):
    assert found(tmp_path, sample(1), other) == set()


def test_one_image_more_is_another_answer(tmp_path, monkeypatch):
    inside, outside = sample_board.draw(1, 5)
    outside[0, 0] += 1 if outside[0, 0] < sample_board.IMAGES else -1
    first = sample(1)
    monkeypatch.setattr(sample_board, "draw", lambda *_: (inside, outside))
    assert found(tmp_path, first, twin()) == set()


def test_methods_without_search_stay_apart_even_when_they_agree(tmp_path):
    method = {**METHOD, "name": "Other", "kind": "encoder"}
    assert found(tmp_path, sample(0), sample(0, entry="other", method=method)) == set()


def test_they_share_a_line_and_a_rank_and_keep_their_pages(tmp_path):
    board, paths = load(tmp_path / "results", sample(1), twin(), sample(2), sample(3))
    ranked = rank_board(board)
    rows = {row.entry.result.method.id + str(row.entry.result.compute.steps): row
            for row in ranked.rows}  # fmt: skip
    both = rows["autoencoder0"], rows["twin0"]
    assert both[0].rank == both[1].rank
    unsupervised = [t for t in ranked.tracks if len(t.rows) > 1]
    assert sum(len(t.rows) - len(t.listed) for t in unsupervised) == 1
    assert sorted(row.listed for row in both) == [False, True]
    listed = next(row for row in both if row.listed)
    assert [e.result.result_id for e in listed.alike] == [
        row.entry.result.result_id for row in both if not row.listed
    ]
    assert len(ranked.family.members) == 3

    index = build_site(paths, tmp_path / "site", [])
    page = index.read_text()
    hidden = next(row.entry for row in both if not row.listed)
    assert page.count("1 more with these answers") == 1
    assert f'<tr role="row" data-entry="{hidden.result.result_id}"' not in page
    assert f'<li><a href="entries/{hidden.slug}.html">' in page
    assert (index.parent / "entries" / f"{hidden.slug}.html").is_file()
    text = markdown_table([ranked])
    assert text.count("\n| ") == 4  # the heading and three lines
    assert "autoencoder, twin, direct" in text or "twin, autoencoder, direct" in text


def test_every_position_is_in_one_group(tmp_path):
    board, _ = load(tmp_path, *(sample(i) for i in range(6)), twin(), twin("triplet"))
    positions = [i for group in duplicate_groups(board.entries) for i in group]
    assert sorted(positions) == list(range(8))
    firsts = [group[0] for group in duplicate_groups(board.entries)]
    assert firsts == sorted(firsts)
