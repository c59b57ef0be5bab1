"""The table of a board in a real browser: sorted, filtered, shared by address, on any screen."""

import re

import pytest
from browsing import Visit
from sample_board import sample

from recombine.leaderboard.site.build import build_site

pytestmark = [pytest.mark.browser, pytest.mark.long]
GFLOP = 5
"""Column of the operations."""


def test_every_column_sorts_both_ways_by_mouse(visit):
    one = visit()
    one.page.locator(".picker input:not(:checked)").evaluate_all("a => a.forEach(e => e.click())")
    heads = one.page.locator(".board thead th")
    for index in range(heads.count()):
        for _ in range(2):
            heads.nth(index).locator(".sort").click()
            direction = heads.nth(index).get_attribute("aria-sort")
            values = one.keys(index)
            filled = [v for v in values if v != ""]
            assert values[: len(filled)] == filled, "missing values stay last"
            key = float if all(re.fullmatch(r"-?[\d.e+-]+", v) for v in filled) else str.lower
            keys = [key(v) for v in filled]
            assert keys == sorted(keys, reverse=direction == "descending"), index
        others = [heads.nth(i).get_attribute("aria-sort") for i in range(heads.count())]
        assert sorted(others) == sorted([direction] + ["none"] * (heads.count() - 1))


def test_sorting_works_by_keyboard(visit):
    one = visit()
    head = one.page.locator(".board thead th[data-key=gflop]")
    head.locator(".sort").focus()
    one.page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    one.page.keyboard.press("Space")
    assert head.get_attribute("aria-sort") == "descending"
    numbers = [float(v) for v in one.keys(GFLOP) if v]
    assert numbers == sorted(numbers, reverse=True)


def test_a_search_finds_methods_by_name_and_counts_them(visit):
    one = visit()
    box, output = one.page.locator(".tools [type=search]"), one.page.locator(".tools output")
    assert output.inner_text() == "7 of 7 entries"
    box.fill("WITH replay")
    assert output.inner_text() == "2 of 7 entries"
    assert one.names() == ["Autoencoder with replay"] * 2
    box.fill("T1")  # a track is no name
    assert output.inner_text() == "0 of 7 entries"
    box.fill("no such method")
    assert output.inner_text() == "0 of 7 entries"
    box.fill("")
    assert len(one.names()) == 7


def test_facets_choose_rows_by_value_and_are_kept_in_the_address(visit):
    one = visit()
    one.page.get_by_label("Non-generative").uncheck()
    assert one.page.locator(".tools output").inner_text() == "4 of 7 entries"
    kinds = "r => r.map(e => e.dataset.kind)"
    rows = one.page.locator(".board tr[data-entry]")
    assert set(rows.evaluate_all(kinds)) == {"generative"}
    one.page.locator(".filters summary").click()
    one.page.get_by_label("replay", exact=False).and_(
        one.page.locator("[value='replay+search']")
    ).check()
    assert one.names() == ["Autoencoder with replay"]
    again = visit()
    again.page.goto(one.page.url)
    again.page.reload()
    assert again.names() == one.names()
    again.page.get_by_label("Non-generative").check()
    again.page.locator("[value='replay+search']").evaluate("e => e.click()")
    assert len(again.names()) == 7


def test_facets_work_without_the_script(visit):
    page = visit(java_script_enabled=False).page
    assert page.locator(".board tr[data-entry]:visible").count() == 7
    page.get_by_label("Non-generative").uncheck()
    assert page.locator(".board tr[data-entry]:visible").count() == 4
    page.get_by_label("Generative", exact=False).first.uncheck()
    assert page.locator(".board tr[data-entry]:visible").count() == 7  # none is all


@pytest.mark.parametrize("script", [True, False])
def test_a_word_is_explained_without_a_mouse(visit, script):
    page = visit(java_script_enabled=script).page
    note = page.locator("#about-gap")
    assert not note.is_visible()
    page.locator("[popovertarget=about-gap]").press("Enter")
    assert note.is_visible()
    page.keyboard.press("Escape")
    assert not note.is_visible()


def test_sorting_keeps_the_filter(visit):
    one = visit()
    one.page.locator(".tools [type=search]").fill("autoencoder")
    before = one.names()
    one.page.locator(".board thead th[data-key=ooc] .sort").click()
    assert one.names() == before[::-1]


def test_at_320_px_every_value_of_a_row_is_visible_and_labelled(visit):
    one = visit(width=320)
    row = one.page.locator(".board tr[data-entry]").first
    assert row.locator("td:visible").count() == 8
    for cell in row.locator("th:visible, td:visible").all():
        box = cell.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 320
    labels = row.locator("td").evaluate_all(
        "cells => cells.map(c => getComputedStyle(c, '::before').content)"
    )
    assert all(len(label) > 2 for label in labels)


def test_at_320_px_a_select_sorts(visit):
    one = visit(width=320)
    assert not one.page.locator(".board thead").is_visible()
    one.page.locator(".sorter select").select_option(label="GFLOP per image")
    numbers = [float(v) for v in one.keys(GFLOP) if v]
    assert numbers == sorted(numbers)


def test_the_address_keeps_sort_filter_and_columns(visit, folder):
    one = visit()
    one.page.locator(".board thead th[data-key=gflop] .sort").click()
    one.page.locator(".tools [type=search]").fill("autoencoder")
    one.page.locator(".picker summary").click()
    one.page.get_by_label("Seeds", exact=True).uncheck()
    link = one.page.url
    assert link.startswith((folder / "index.html").as_uri() + "#smoke-1-0")
    order = one.names()
    assert len(order) == 4
    again = visit()
    again.page.goto(link)
    again.page.reload()
    assert again.names() == order
    heads = again.page.locator(".board thead th")
    assert heads.nth(GFLOP).get_attribute("aria-sort") == "ascending"
    for index in (7, 9, 13):  # two are out of sight from the start
        assert not heads.nth(index).is_visible()
        assert not again.column(index)[0].is_visible()
    assert again.page.locator(".tools [type=search]").input_value() == "autoencoder"
    again.page.goto((folder / "index.html").as_uri() + "#main")
    assert len(again.names()) == 7


def test_an_address_of_nonsense_changes_nothing(visit, folder):
    slug = visit().page.locator("[data-board]").get_attribute("id")
    for query in ("sort=x", "sort=", "hide=entries,,", "q=%00", "kind=x", "all=no&x=y"):
        one = visit()
        one.page.goto((folder / "index.html").as_uri() + f"#{slug}?{query}")
        one.page.reload()
        assert one.complaints == []
        assert "of 7 entries" in one.page.locator(".tools output").inner_text()


def test_a_long_board_shows_its_first_rows_and_all_on_request(browser, tmp_path):
    files = []
    for i in range(103):
        method = sample(0).model_dump(mode="json")["method"]
        names = {"entry": f"m{i}", "id": f"m{i}", "name": f"Method {i}"}
        files.append(sample(0, method=method | names).save(tmp_path / f"{i}.json"))
    one = Visit(browser, build_site(files, tmp_path / "site"))
    assert one.page.locator(".tools output").inner_text() == "100 of 103 shown, 103 entries"
    assert len(one.names()) == 100
    one.page.locator("[data-all]").click()
    assert len(one.names()) == 103
    assert one.page.url.endswith("?all=1")
    one.page.locator(".tools [type=search]").fill("Method 102")
    assert len(one.names()) == 1
    one.context.close()


def test_equal_answers_share_a_row_that_counts_and_finds_them_all(browser, tmp_path):
    files = [sample(i).save(tmp_path) for i in (0, 1, 2)]
    plain = sample(1).model_dump(mode="json")["method"]
    for name in ("twin", "triplet"):
        method = plain | {"entry": name, "id": name, "name": name.capitalize()}
        files.append(sample(1, method=method).save(tmp_path))
    one = Visit(browser, build_site(files, tmp_path / "site"))
    output = one.page.locator(".tools output")
    assert output.inner_text() == "5 of 5 entries"
    assert len(one.names()) == 3
    one.page.locator(".tools [type=search]").fill("triplet")
    assert output.inner_text() == "3 of 5 entries"
    listed = one.page.locator("details.alike")
    assert listed.locator("li").count() == 2
    listed.locator("summary").click()
    links = listed.get_by_role("link")
    title = links.first.inner_text()
    links.first.click()
    assert one.page.locator("h1").inner_text() == title
    assert one.complaints == []
    one.context.close()
