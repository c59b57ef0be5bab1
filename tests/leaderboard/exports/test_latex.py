"""Tables hold the site's numbers, escape every name, and claim no more than the rank sets."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_board import sample, write_results

from recombine.leaderboard.board.board import rank_board
from recombine.leaderboard.board.entries import load_boards
from recombine.leaderboard.drawing import formatting as numbers
from recombine.leaderboard.exports import latex
from recombine.leaderboard.ledger.records import vouch

COMMANDS = {r"\textbackslash", r"\textasciitilde", r"\textasciicircum", r"\textless",
            r"\textgreater", r"\textbar", r"\textasciigrave"}  # fmt: skip


@pytest.fixture(scope="module")
def ranked(tmp_path_factory):
    (board,) = load_boards(write_results(tmp_path_factory.mktemp("results")))
    return rank_board(board)


def board_of(results, folder):
    return rank_board(load_boards([r.save(folder / f"{i}.json") for i, r in enumerate(results)])[0])


def lines(ranked):
    return latex.table([ranked]).splitlines()


def body(ranked):
    """Return the cells of every row, and check what LaTeX would trip over."""
    text = lines(ranked)
    rows = [line for line in text if line.endswith(r"\\") and "multicolumn" not in line]
    cells = [re.split(r"(?<!\\)&", row.removesuffix(r"\\")) for row in rows]
    assert {len(row) for row in cells} == {7}
    assert all(one.count("{") - one.count(r"\{") == one.count("}") - one.count(r"\}")
               for row in cells for one in row)  # fmt: skip
    return [[cell.strip() for cell in row] for row in cells]


def test_the_structure_is_that_of_a_booktabs_table(ranked):
    text = "\n".join(lines(ranked))
    for name in ("table", "tabular"):
        assert text.count(rf"\begin{{{name}}}") == text.count(rf"\end{{{name}}}") == 1
    assert text.index(r"\toprule") < text.index(r"\midrule") < text.index(r"\bottomrule")
    assert text.count(r"\midrule") == len(ranked.tracks) + 1
    assert "siunitx" not in text
    assert "\\hline" not in text
    assert latex.table([ranked]) == latex.table([ranked])


def test_every_number_is_that_of_the_site(ranked):
    above = body(ranked)[2:-1:2]
    below = body(ranked)[3:-1:2]
    listed = [row for track in ranked.tracks for row in track.rows]
    for row, first, second in zip(listed, above, below, strict=True):
        result = row.entry.result
        low, high = result.scores.id_test.ci95
        assert first[0].startswith(latex.escape(result.method.name))
        assert first[1] == numbers.percent(result.scores.id_test.estimate)
        assert f"[{numbers.percent(low)}, {numbers.percent(high)}]" in second[1]
        assert first[3] == numbers.points(result.gap.estimate).replace("\u2212", "$-$")
        assert first[4] == row.rank.words.replace("\u2013", "--")
        assert first[6] == numbers.count(result.training.generated_images_seen)
    assert above[4][5] == "--"
    assert body(ranked)[-1][:3] == ["Chance", "6.25", "6.25"]


def test_the_caption_names_data_metric_and_seeds(ranked):
    (caption,) = [line for line in lines(ranked) if line.startswith(r"\caption")]
    for words in ("smoke 1.0 (64 px", "abab", r"joint\_slot\_accuracy 1.0", "5 training seeds"):
        assert words in caption


def test_only_a_sure_best_is_bold(ranked, tmp_path):
    assert ranked.tracks[0].rows[0].rank.words == "1\u20132"
    assert r"\textbf" not in latex.table([ranked])
    apart = board_of([sample(1), sample(4)], tmp_path)
    (row,) = [row for row in body(apart) if r"\textbf" in row[2]]
    assert row[0].startswith("Autoencoder with replay")
    assert row[4] == "1"


def test_few_seeds_and_missing_intervals_are_said(tmp_path):
    text = latex.table([board_of([sample(0, seeds=1)], tmp_path)])
    assert r"encoder$^{\dagger}$$^{\ast}$ &" in text
    assert "Fewer than 5 seeds: a sketch" in text
    assert "no interval" in text


def test_what_nobody_checked_is_marked(tmp_path):
    results = [sample(1), sample(4)]
    for result in results:
        result.save(tmp_path)
    vouch(tmp_path, results[:1], "rescored", "2026-01-01T00:00:00Z")
    (board,) = load_boards(sorted(tmp_path.glob("*.json")))
    text = latex.table([rank_board(board)])
    assert r"Autoencoder with replay$^{\ast}$ &" in text
    assert "Autoencoder &" in text
    assert text.count("Self-reported") == 1


def test_a_strangers_name_stays_text(tmp_path):
    name = r"A_1 & \input{/etc/passwd} 5% $x$ #[*]"
    text = latex.table([board_of([sample(0, method={"name": name})], tmp_path)])
    assert r"A\_1 \& \textbackslash{}input\{/etc/passwd\} 5\% \$x\$ \#{[}{*}{]}" in text
    assert r"\input" not in text


@given(st.text(max_size=40))
def test_escaped_text_has_no_command_of_its_own(text):
    escaped = latex.escape(text)
    for command in re.findall(r"\\[A-Za-z]+", escaped):
        assert command in COMMANDS
    bare = re.sub(r"\\([A-Za-z]+\{\}|[{}$&#%_])|\{[\[\]*]\}|\$-\$", "", escaped)
    assert not set(bare) & set('\\{}$&#%_~^<>|"`[]*\n')
