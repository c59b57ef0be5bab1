"""The table of a board in a real browser: sorted, filtered, shared by address, on any screen."""

import re

import pytest
from browsing import Visit
from sample_board import sample

from recombine.leaderboard.site.build import build_site

pytestmark = pytest.mark.browser


def test_every_column_sorts_both_ways_by_mouse(visit):
    one = visit()
    one.page.locator(".picker input:not(:checked)").evaluate_all("a => a.forEach(e => e.click())")
    heads = one.page.locator(".board thead th")
    for index in range(heads.count()):
        for _ in range(2):
            heads.nth(index).locator("button").click()
            direction = heads.nth(index).get_attribute("aria-sort")
            for values in one.groups(index):
                filled = [v for v in values if v != ""]
                assert values[: len(filled)] == filled, "missing values stay last"
                key = float if all(re.fullmatch(r"-?[\d.e+-]+", v) for v in filled) else str.lower
                keys = [key(v) for v in filled]
                assert keys == sorted(keys, reverse=direction == "descending"), index
        others = [heads.nth(i).get_attribute("aria-sort") for i in range(heads.count())]
        assert sorted(others) == sorted([direction] + ["none"] * (heads.count() - 1))


def test_sorting_works_by_keyboard(visit):
    one = visit()
    head = one.page.locator(".board thead th").nth(7)
    head.locator("button").focus()
    one.page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    one.page.keyboard.press("Space")
    assert head.get_attribute("aria-sort") == "descending"
    for values in one.groups(7):
        numbers = [float(v) for v in values if v]
        assert numbers == sorted(numbers, reverse=True)


def test_filter_hides_rows_and_counts_them(visit):
    one = visit()
    box, output = one.page.locator(".tools [type=search]"), one.page.locator(".tools output")
    assert output.inner_text() == "7 of 7 entries"
    box.fill("replay SEARCH")
    assert output.inner_text() == "1 of 7 entries"
    assert one.names() == ["A"]
    box.fill("no such method")
    assert output.inner_text() == "0 of 7 entries"
    box.fill("")
    assert len(one.names()) == 7


def test_kinds_are_chosen_by_name_and_kept_in_the_address(visit):
    one = visit()
    one.page.get_by_label("Kind").select_option(label="Generative")
    assert one.page.locator(".tools output").inner_text() == "4 of 7 entries"
    roles = one.page.locator(".board tr[data-entry]").evaluate_all(
        "r => r.map(e => e.dataset.role)"
    )
    assert set(roles) == {"generative"}
    again = visit()
    again.page.goto(one.page.url)
    again.page.reload()
    assert again.names() == one.names()
    again.page.get_by_label("Kind").select_option(label="All")
    assert len(again.names()) == 7


def test_sorting_keeps_the_filter(visit):
    one = visit()
    one.page.locator(".tools [type=search]").fill("autoencoder")
    before = one.names()
    one.page.locator(".board thead th button").nth(2).click()
    assert one.names() == before[::-1]


def test_at_320_px_every_value_of_a_row_is_visible_and_labelled(visit):
    one = visit(width=320)
    row = one.page.locator(".board tr[data-entry]").first
    assert row.locator("td:visible").count() == 10
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
    for values in one.groups(7):
        numbers = [float(v) for v in values if v]
        assert numbers == sorted(numbers)


def test_the_address_keeps_sort_filter_and_columns(visit, folder):
    one = visit()
    one.page.locator(".board thead th[data-key=gflop] button").click()
    one.page.locator(".tools [type=search]").fill("unsupervised autoencoder")
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
    assert heads.nth(7).get_attribute("aria-sort") == "ascending"
    for index in (8, 10, 11):  # two are out of sight from the start
        assert not heads.nth(index).is_visible()
        assert not again.column(index)[0].is_visible()
    assert again.page.locator(".tools [type=search]").input_value() == "unsupervised autoencoder"
    again.page.goto((folder / "index.html").as_uri() + "#reading")
    assert len(again.names()) == 7


def test_an_address_of_nonsense_changes_nothing(visit, folder):
    slug = visit().page.locator("[data-board]").get_attribute("id")
    for query in ("sort=x", "sort=", "hide=entries,,", "q=%00", "all=no&x=y"):
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
