"""Tables say the same as the result files and the site, and claim no more."""

import csv
import io
import json
import re
from pathlib import Path

import pytest
from factories import make_result
from hypothesis import given
from hypothesis import strategies as st
from sample_board import on_record, sample, write_results

from recombine.leaderboard.board.board import rank_board
from recombine.leaderboard.board.entries import load_boards
from recombine.leaderboard.drawing import formatting as numbers
from recombine.leaderboard.exports import tables
from recombine.leaderboard.exports.tables import (
    COLUMNS,
    MEASURES,
    collapse_table,
    decoder_table,
    escape_latex,
    latex_table,
    markdown_table,
    to_csv,
    to_json,
    to_parquet,
)
from recombine.leaderboard.ledger.records import record_tier
from recombine.renderer.core.errors import InvalidInputError


@pytest.fixture
def boards(tmp_path):
    return [rank_board(board) for board in load_boards(write_results(tmp_path))]


def csv_rows(boards):
    return list(csv.DictReader(io.StringIO(to_csv(boards))))


def test_csv_has_one_row_per_entry_with_exact_numbers(boards):
    rows = csv_rows(boards)
    assert len(rows) == 6
    assert tuple(rows[0]) == tuple(COLUMNS)
    for row, entry in zip(rows, boards[0].board.entries, strict=True):
        result = entry.result
        assert float(row["ooc"]) == result.scores.ooc_test.estimate
        assert float(row["id_low"]) == result.scores.id_test.ci95[0]
        assert float(row["paired_gap_high"]) == result.paired_gap.ci95[1]
        assert int(row["generated_images_seen"]) == result.training.generated_images_seen
        assert row["result_id"] == result.result_id


def test_csv_ranks_are_the_ranks_of_the_board(boards):
    for row, one in zip(csv_rows(boards), boards[0].rows, strict=True):
        assert row["may_be_best"] == str(one.rank.best)
        assert row["against_reference"] == one.rank.side
        assert row["outside"] == one.rank.outside == ""


def test_missing_values_are_empty(boards):
    (pixels,) = [row for row in csv_rows(boards) if row["entry"] == "pixels"]
    assert pixels["gflop_per_image"] == ""


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@x"])
def test_a_name_is_never_a_formula(tmp_path, name):
    method = {**sample(0).model_dump(mode="json")["method"], "name": name}
    path = sample(0, method=method).save(tmp_path)
    (row,) = csv_rows([rank_board(b) for b in load_boards([path])])
    assert row["name"] == f"'{name}"


def test_json_holds_the_complete_results(boards):
    document = json.loads(to_json(boards))
    assert document["format"] == "recombine.boards/3"
    (board,) = document["boards"]
    assert board["identity"] == "ab" * 32
    members = [entry.result.result_id for entry in boards[0].family.members]
    assert board["family"] == members
    assert board["reference"] == boards[0].family.reference.result.result_id
    for item, row in zip(board["entries"], boards[0].rows, strict=True):
        assert item["result"] == json.loads(row.entry.path.read_text())
        assert item["rank"] == {
            "may_be_best": row.rank.best,
            "against_reference": row.rank.side,
            "outside": None,
        }


def test_no_boards_give_an_empty_table():
    assert to_csv([]).strip().split(",") == list(COLUMNS)
    assert json.loads(to_json([]))["boards"] == []


def test_parquet_says_the_same_as_the_table(boards):
    parquet = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(io.BytesIO(to_parquet(boards))).to_pylist()
    rows = csv_rows(boards)
    assert [row["result_id"] for row in table] == [row["result_id"] for row in rows]
    for row, text in zip(table, rows, strict=True):
        assert row["ooc"] == float(text["ooc"])
        assert row["n_train"] == int(text["n_train"])
        assert (row["gflop_per_image"] is None) == (text["gflop_per_image"] == "")


def test_parquet_columns_have_their_types_whatever_is_missing(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    empty = parquet.read_table(io.BytesIO(to_parquet([])))
    assert (tuple(empty.column_names), empty.num_rows) == (tuple(COLUMNS), 0)
    method = sample(5).model_dump(mode="json")["method"] | {"name": "2026-01-01"}
    (board,) = load_boards(on_record([sample(5, method=method).save(tmp_path / "a.json")]))
    table = parquet.read_table(io.BytesIO(to_parquet([rank_board(board)])))
    assert tuple(table.column_names) == tuple(COLUMNS)
    kinds = {field.name: str(field.type) for field in table.schema}
    assert (kinds["name"], kinds["version"], kinds["root"]) == ("string",) * 3, "no dates"
    assert (kinds["gflop_per_image"], kinds["ooc"]) == ("double", "double")
    assert (kinds["may_be_best"], kinds["against_reference"]) == ("bool", "string")
    assert (kinds["state"], kinds["state_reason"], kinds["state_date"]) == ("string",) * 3
    assert table.column("gflop_per_image").to_pylist() == [None]


def test_without_the_library_there_is_no_parquet(boards, monkeypatch):
    monkeypatch.setattr(tables.importlib.util, "find_spec", lambda name: None)
    assert to_parquet(boards) is None


COMMANDS = {r"\textbackslash", r"\textasciitilde", r"\textasciicircum", r"\textless",
            r"\textgreater", r"\textbar", r"\textasciigrave"}  # fmt: skip


@pytest.fixture(scope="module")
def ranked(tmp_path_factory):
    (board,) = load_boards(write_results(tmp_path_factory.mktemp("results")))
    return rank_board(board)


def board_of(results, folder, *, confirmed=False):
    files = [result.save(folder / f"{i}.json") for i, result in enumerate(results)]
    return rank_board(load_boards(on_record(files) if confirmed else files)[0])


def latex_lines(ranked):
    return latex_table([ranked]).splitlines()


def latex_body(ranked):
    """Return the cells of every row, and check what LaTeX would trip over."""
    text = latex_lines(ranked)
    rows = [line for line in text if re.search(r"\\\\\*?$", line) and "multicolumn" not in line]
    cells = [re.split(r"(?<!\\)&", re.sub(r"\\\\\*?$", "", row)) for row in rows]
    assert {len(row) for row in cells} == {8}
    assert all(one.count("{") - one.count(r"\{") == one.count("}") - one.count(r"\}")
               for row in cells for one in row)  # fmt: skip
    return [[cell.strip() for cell in row] for row in cells]


def test_the_structure_is_that_of_a_booktabs_table(ranked):
    text = "\n".join(latex_lines(ranked))
    for name in ("table", "tabular"):
        assert text.count(rf"\begin{{{name}}}") == text.count(rf"\end{{{name}}}") == 1
    assert text.index(r"\toprule") < text.index(r"\midrule") < text.index(r"\bottomrule")
    assert text.count(r"\midrule") == len(ranked.tracks) + 1
    assert "siunitx" not in text
    assert "\\hline" not in text
    assert latex_table([ranked]) == latex_table([ranked])


def test_every_number_is_that_of_the_site(ranked):
    body = latex_body(ranked)
    (chance,) = (i for i, line in enumerate(body) if line[0] == "Chance")
    above, below = body[2:chance:2], body[3:chance:2]
    listed = [row for track in ranked.tracks for row in track.rows]
    for row, first, second in zip(listed, above, below, strict=True):
        result = row.entry.result
        low, high = result.scores.id_test.ci95
        assert first[0].startswith(escape_latex(result.method.name))
        assert first[1] == numbers.percent(result.scores.id_test.estimate)
        assert f"[{numbers.percent(low)}, {numbers.percent(high)}]" in second[1]
        assert first[3] == numbers.points(result.gap.estimate).replace("\u2212", "$-$")
        assert first[4] == numbers.points(result.paired_gap.estimate).replace("\u2212", "$-$")
        assert first[5] == row.rank.words.replace("\u2013", "--")
        assert first[7] == numbers.count(result.training.generated_images_seen)
    assert above[4][6] == "--"
    assert body[chance][:3] == ["Chance", "6.25", "6.25"]
    assert [line[1:3] for line in body[chance + 1 :]] == [["25", "25"], ["50", "50"]]
    assert body[-1][0].startswith("Knows the ")


def test_the_caption_names_data_metric_and_seeds(ranked):
    (caption,) = [line for line in latex_lines(ranked) if line.startswith(r"\caption")]
    for words in ("smoke 1.0 (64 px", "abab", r"joint\_slot\_accuracy 2.0", "5 training seeds"):
        assert words in caption


def test_what_may_be_the_best_is_bold(ranked, tmp_path):
    best = {escape_latex(entry.result.method.name) for entry in ranked.family.best}
    rows = [row for row in latex_body(ranked) if r"\textbf" in row[2]]
    assert len(rows) == len(ranked.family.best)
    assert {row[0] for row in rows} == best
    apart = board_of([sample(1), sample(4)], tmp_path, confirmed=True)
    (row,) = [row for row in latex_body(apart) if r"\textbf" in row[2]]
    assert row[0].startswith("Autoencoder with replay")
    assert row[5] == "the best"


def test_a_long_board_breaks_over_pages(ranked, monkeypatch):
    monkeypatch.setattr(tables, "ON_ONE_PAGE", 3)
    text = latex_table([ranked])
    assert "\\begin{table}" not in text
    order = [r"\begin{longtable}", r"\caption", r"\endfirsthead", r"\endhead", r"\endfoot",
             r"\endlastfoot", r"\end{longtable}"]  # fmt: skip
    places = [text.index(one) for one in order]
    assert places == sorted(places)
    assert {text.count(one) for one in order} == {1}
    assert text.count("Method & ID & OOC & Gap & Paired gap") == 2  # on the first page and others
    # No page ends between the two lines of an entry, nor below the name of a track.
    assert text.count(r"\\*") == len(ranked.rows) + len(ranked.tracks)


def test_equal_answers_are_one_row_that_names_the_others(tmp_path):
    own = {"steps": (0, 30), "compute": {"steps": 0}}
    first = make_result(**own, method={"name": "First"})
    second = make_result(**own, method={"name": "Second", "id": "second", "entry": "second"})
    text = latex_table([board_of([first, second], tmp_path)])
    assert text.count(r" \\*") == 2  # the track and one row
    assert "same answers: " in text


def test_two_hyphens_are_no_dash():
    assert escape_latex("object-background--values-8") == "object-background{-}{-}values-8"


def test_credit_stands_in_the_table(tmp_path):
    said = {"authors": ["A. Name (0000-0002-1825-0097)", "B"], "paper": "https://example.org/p"}
    (row,) = csv_rows([board_of([make_result(credit=said)], tmp_path)])
    assert row["authors"] == "A. Name (0000-0002-1825-0097); B"
    assert (row["paper"], row["code"], row["created"][:4]) == ("https://example.org/p", "", "2026")


def test_few_seeds_and_missing_intervals_are_said(tmp_path):
    text = latex_table([board_of([sample(0, seeds=1)], tmp_path)])
    assert r"encoder$^{\dagger}$$^{\ast}$ &" in text
    assert "Fewer than 5 seeds: a sketch" in text
    assert "no interval" in text


def test_what_nobody_checked_is_marked(tmp_path):
    results = [sample(1), sample(4)]
    for result in results:
        result.save(tmp_path)
    record_tier(tmp_path, results[:1], "rescored", "2026-01-01T00:00:00Z")
    (board,) = load_boards(sorted(tmp_path.glob("*.json")))
    text = latex_table([rank_board(board)])
    assert r"Autoencoder with replay$^{\ast}$ &" in text
    assert "Autoencoder &" in text
    assert text.count("Self-reported") == 1


def test_a_strangers_name_stays_text(tmp_path):
    name = r"A_1 & \input{/etc/passwd} 5% $x$ #[*]"
    text = latex_table([board_of([sample(0, method={"name": name})], tmp_path)])
    assert r"A\_1 \& \textbackslash{}input\{/etc/passwd\} 5\% \$x\$ \#{[}{*}{]}" in text
    assert r"\input" not in text


@given(st.text(max_size=40))
def test_escaped_text_has_no_command_of_its_own(text):
    escaped = escape_latex(text)
    for command in re.findall(r"\\[A-Za-z]+", escaped):
        assert command in COMMANDS
    bare = re.sub(r"\\([A-Za-z]+\{\}|[{}$&#%_])|\{[\[\]*-]\}|\$-\$", "", escaped)
    assert not set(bare) & set('\\{}$&#%_~^<>|"`[]*\n')


ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs/results-1.md"


def markdown_of(folder):
    return markdown_table(
        [rank_board(board) for board in load_boards(sorted(folder.glob("*.json")))]
    )


def markdown_rows(text):
    return [line.split(" | ") for line in text.splitlines() if line.startswith("| ")][1:]


def test_every_entry_is_a_row_with_the_numbers_of_the_site(tmp_path):
    paths = write_results(tmp_path)
    found = markdown_rows(markdown_of(tmp_path))
    assert len(found) == len(paths)
    assert {len(row) for row in found} == {11}
    assert {row[-1] for row in found} == {"retrained |"}
    results = [entry.result for board in load_boards(paths) for entry in board.entries]
    for result in results:
        (row,) = (r for r in found if r[0] == f"| {result.method.id}, {result.method.inference}")
        assert row[3].startswith(numbers.percent(result.scores.id_test.estimate))
        assert row[4].startswith(numbers.percent(result.scores.ooc_test.estimate))
        assert row[6].startswith(numbers.ratio(result.scores.ooc_test.lift))
    shown = [float(row[4].split()[0]) for row in found]
    assert shown == sorted(shown, reverse=True)


def test_a_strangers_words_make_no_cell_or_markup(tmp_path):
    sample(0, data={"version": "1|0 [x](y)"}).save(tmp_path)
    assert r"**smoke 1\|0 \[x\]\(y\)**" in markdown_of(tmp_path)


def test_the_committed_page_shows_the_committed_results():
    if not PAGE.is_file():
        pytest.skip("needs a checkout")
    assert markdown_of(ROOT / "leaderboard/archive/1.x") in PAGE.read_text()


def measure(value, chance=None):
    known = {"metric": "m", "metric_version": "1.0", "direction": "higher", "n_images": 9}
    return {**known, "chance": chance, "estimate": value, "per_seed": [value]}


def examined(entry, fidelity, **others):
    """Return a result read before search, with measurements of its decoder."""
    parts = {"decoder_fidelity_recombined": measure(fidelity, 0.7), **others}
    return make_result(entry=entry, further={"decoder": parts})


def searched(hits, *, seeds):
    """Return a searching entry that is right on ``hits`` of 24 OOC images of every cell."""
    counts = [[24] * 8] * seeds
    own = {"id_hits": counts, "id_counts": counts, "ooc_counts": counts}
    return make_result(steps=(0, 30), ooc_hits=[[hits] * 8] * seeds, **own)


def decoder_rows(text):
    return [[c.strip() for c in line.strip("|").split("|")] for line in text.splitlines()][2:]


def test_rows_hold_measures_and_the_score_of_the_searching_entry_with_most_seeds():
    fine = examined("autoencoder", 0.9, compositional_contrast=measure(0.25))
    poor = examined("pixels", 0.5, cross_slot_second_derivative=measure(None))
    few, many = (searched(3, seeds=2), searched(12, seeds=3))
    first, second = decoder_rows(decoder_table([poor, few, fine, many]))
    names = [first[0].strip("`"), second[0].strip("`")]
    assert names == [fine.method.id, poor.method.id]
    assert first[1:] == ["50.0", "undefined", "0.900", "0.700", "undefined", "0.250"]
    assert second[1] == "not measured"
    assert len(first) == 2 + len(MEASURES)


def test_nothing_measured_and_mixed_data_are_refused():
    with pytest.raises(InvalidInputError, match="--full"):
        decoder_table([make_result()])
    other = make_result(data={"identity": "f" * 64})
    with pytest.raises(InvalidInputError, match="one dataset"):
        decoder_table([examined("autoencoder", 0.9), other])


def test_the_collapse_table_has_a_row_per_entry_and_slot():
    def measure(value, chance=None):
        return {
            "metric": "m", "metric_version": "1.0", "direction": "higher", "chance": chance,
            "estimate": value, "per_seed": [value] * 5, "n_images": 9,
        }  # fmt: skip

    names = ("rank_me", "von_neumann_entropy", "active_dimensions")
    plain = {name: measure(number + 0.5) for number, name in enumerate(names)}
    shape = {"nc1_object.shape": measure(0.25, 4.0)}
    collapse = {
        "object": {"width": 64, "id_train": plain, "id_test": plain | shape},
        "light": {"width": 64, "id_train": plain, "id_test": plain},
    }
    with_it, without = sample(0, further={"collapse": collapse}), sample(1)
    lines = collapse_table([without, with_it]).splitlines()
    percent = numbers.percent(with_it.ooc.estimate)
    entry = f"| `{with_it.method.entry}` | {percent} |"
    assert set(lines[2:]) == {
        f"{entry} object | 64 | 0.5 | 1.5 | 2.5 | shape 0.25 (4) |",
        f"{entry} light | 64 | 0.5 | 1.5 | 2.5 | {numbers.DASH} |",
    }
    with pytest.raises(InvalidInputError, match="score again"):
        collapse_table([without])
