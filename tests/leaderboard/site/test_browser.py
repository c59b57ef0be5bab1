"""The site in a real browser: no error, no request, and everything works by mouse and keyboard."""

import json
import re
from itertools import pairwise, permutations

import numpy as np
import pytest
from browsing import HOSTILE, Visit, entry_of, page_names
from factories import make_score, restated
from sample_board import sample

from recombine.benchmark.results.result import Result
from recombine.benchmark.statistics.compare import compare_results
from recombine.leaderboard.site.build import build_site

expect = pytest.importorskip("playwright.sync_api").expect
pytestmark = [pytest.mark.browser, pytest.mark.long]
PATIENCE = 60_000  # milliseconds for a page that was clicked for; the machine may be busy


def test_no_page_complains_or_asks_for_anything(visit, folder):
    for name in page_names(folder):
        one = visit(name)
        one.page.locator("[data-theme-toggle]").click()
        assert one.complaints == [], name
        asked = [url for url in one.requests if not url.startswith("data:")]
        assert asked[0] == (folder / name).as_uri()
        assert all(url.startswith(folder.as_uri() + "/") for url in asked), asked


def test_the_policy_blocks_what_was_injected(visit):
    one = visit()
    one.page.evaluate(
        "() => { const s = document.createElement('script');"
        " s.textContent = 'document.title = \"owned\"'; document.body.append(s); }"
    )
    assert one.page.title() != "owned"
    assert any("Content Security Policy" in text for text in one.complaints)


def test_a_script_in_a_method_name_is_shown_as_text(visit, folder):
    for name in ("index.html", entry_of(folder, "hostile")):
        one = visit(name)
        assert one.page.title() != "owned"
        assert HOSTILE in one.page.locator("main").inner_text()


def test_focus_is_visible_and_moves_through_the_controls(visit):
    one = visit()
    seen = []
    for _ in range(24):
        one.page.keyboard.press("Tab")
        seen.append(
            one.page.evaluate(
                "() => { const e = document.activeElement, s = getComputedStyle(e);"
                " return [e.tagName, s.outlineStyle !== 'none' && parseFloat(s.outlineWidth)]; }"
            )
        )
    assert seen[0][0] == "A"
    assert {"BUTTON", "INPUT"} <= {tag for tag, _ in seen}
    assert all(width and width >= 1 for _, width in seen)


@pytest.mark.parametrize(("scheme", "other"), [("light", "Dark"), ("dark", "Light")])
def test_the_toggle_turns_the_system_scheme_around_and_is_kept(visit, folder, scheme, other):
    one = visit(scheme=scheme)
    button = one.page.locator("[data-theme-toggle]")
    assert button.inner_text() == other
    before = background(one.page)
    button.click()
    after = background(one.page)
    assert (sum(after) < sum(before)) == (scheme == "light")
    one.page.goto((folder / entry_of(folder, "pixels")).as_uri())
    while background(one.page) != after:  # what a page stored reaches the next one's process
        one.page.reload()


def background(page):
    text = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return [int(v) for v in re.findall(r"\d+", text)[:3]]


def test_no_page_scrolls_sideways(visit, folder):
    for name in page_names(folder):
        page = visit(name).page
        for width in (320, 400, 640, 735, 737, 1000, 1231, 1232, 1233, 1920):
            page.set_viewport_size({"width": width, "height": 800})
            found = page.evaluate("document.documentElement.scrollWidth")
            assert found <= width, (name, width, found)


def test_without_script_the_page_is_complete(visit):
    one = visit(java_script_enabled=False)
    assert one.page.locator(".board tr[data-entry]").count() == 7
    assert not one.page.locator(".scripted-tools").is_visible()
    assert not one.page.locator("[data-theme-toggle]").is_visible()


def test_without_script_the_highest_pairs_are_compared(visit, folder):
    compare_page = next(n for n in page_names(folder) if n.startswith("compare/"))
    page = visit(compare_page, java_script_enabled=False).page
    assert page.locator("#pairs tbody tr:visible").count() == 15  # 3 generative, 3 others
    assert not page.locator("#comparison").is_visible()
    assert page.locator(".notice").is_visible()


def test_tables_and_controls_are_labelled(visit, folder):
    for name in page_names(folder):
        page = visit(name).page
        assert page.locator("html").get_attribute("lang") == "en"
        assert page.locator("h1").count() == 1
        assert page.locator("main").count() == 1
        assert page.locator("th:not([scope])").count() == 0
        assert page.locator("img:not([alt]), svg[role=img]:not(:has(> title))").count() == 0
        unnamed = page.evaluate(
            "() => [...document.querySelectorAll('button, input, select, a')].filter(e =>"
            " !(e.getAttribute('aria-label') || e.textContent.trim() || e.labels?.length)).length"
        )
        assert unnamed == 0
        for svg in page.locator("svg:not([role])").all():
            assert svg.evaluate("e => !!e.closest('[aria-hidden], svg[role]')")


def test_headings_do_not_skip_levels(visit, folder):
    for name in page_names(folder):
        levels = visit(name).page.evaluate(
            "() => [...document.querySelectorAll('h1,h2,h3,h4')].map(h => +h.tagName[1])"
        )
        assert levels[0] == 1
        assert all(b - a <= 1 for a, b in pairwise(levels)), (name, levels)


CONTRAST = """() => {
  const parse = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const curve = (v) => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const light = (c) => curve(c / 255);
  const luminance = ([r, g, b]) => .2126 * light(r) + .7152 * light(g) + .0722 * light(b);
  const ground = (e) => {
    for (; e; e = e.parentElement) {
      const c = parse(getComputedStyle(e).backgroundColor);
      if (c.length === 3 || c[3] > 0) return c;
    }
    return [255, 255, 255];
  };
  const faults = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let n = walk.nextNode(); n; n = walk.nextNode()) {
    const e = n.parentElement;
    if (!n.textContent.trim() || !e.getClientRects().length) continue;
    if (e.closest('title, desc, script')) continue;
    const style = getComputedStyle(e), drawn = e.closest('svg');
    let back = ground(e);
    if (e.matches('text.on-light, text.on-dark')) {
      const box = e.previousElementSibling;
      back = parse(getComputedStyle(box).fill);
    }
    const front = parse(drawn ? style.fill : style.color);
    const [a, b] = [luminance(front), luminance(back)].sort((x, y) => y - x);
    const ratio = (a + .05) / (b + .05);
    if (ratio < 4.5) faults.push([n.textContent.trim().slice(0, 30), ratio.toFixed(2)]);
  }
  return faults;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_contrast_is_at_least_4_5(visit, folder, scheme):
    for name in page_names(folder):
        assert visit(name, scheme=scheme).page.evaluate(CONTRAST) == [], name


def test_every_step_of_the_heat_map_carries_readable_text(visit, folder):
    page = visit(entry_of(folder, "pixels")).page
    faults = page.evaluate(
        """(contrast) => {
          const svg = document.querySelector('.heat');
          svg.innerHTML = [...Array(11).keys()].map((i) => `<rect class="cell h${i}" width="9"
            height="9"/><text class="${i >= 6 ? 'on-dark' : 'on-light'}" y="9">8</text>`).join('');
          return (0, eval)(contrast)();
        }""".replace("(0, eval)(contrast)()", f"({CONTRAST})()"),
        "",
    )
    assert faults == []


def test_the_numbers_on_screen_are_those_of_the_files(visit, folder):
    page = visit().page
    for path in (folder.parent / "results").glob("*.json"):
        plain = json.loads(path.read_text())
        row = page.locator(f"tr[data-entry='{plain['result_id']}']")
        shown = row.locator("[data-field='scores/ooc_test/estimate']").inner_text()
        assert shown == f"{100 * plain['scores']['ooc_test']['estimate']:.1f}"
        low, high = plain["scores"]["id_test"]["ci95"]
        ends = [row.locator(f"[data-field='scores/id_test/ci95/{i}']").inner_text() for i in (0, 1)]
        assert ends == [f"{100 * low:.1f}", f"{100 * high:.1f}"]


def test_downloads_open_from_disk(visit):
    page = visit("downloads.html").page
    with page.expect_download() as caught:
        page.get_by_role("link", name="results.csv").click()
    assert caught.value.suggested_filename == "results.csv"
    page.get_by_role("link", name="results.json").click()
    page.wait_for_url("**/results.json")
    assert "recombine.boards/3" in page.locator("body").inner_text()


def test_a_row_leads_to_its_entry_and_back(visit):
    page = visit().page
    page.locator(".board tr[data-entry] th a").first.click()
    expect(page.locator("main")).to_contain_text("replay+search", timeout=PATIENCE)
    page.locator(".eyebrow a").click()
    expect(page.locator(".board tr[data-entry]")).to_have_count(7, timeout=PATIENCE)
    assert page.url.endswith("ababab")


def test_the_contact_sheet_is_drawn(visit, folder):
    page = visit(next(n for n in page_names(folder) if n.startswith("data/smoke"))).page
    image = page.locator("img.sheet")
    assert image.evaluate("e => [e.complete, e.naturalWidth, e.naturalHeight]") == [True, 2, 3]


def test_print_is_light_and_shows_no_controls(visit):
    one = visit(scheme="dark")
    one.page.emulate_media(media="print")
    assert background(one.page) == [255, 255, 255]
    assert not one.page.locator("[data-theme-toggle]").is_visible()
    assert not one.page.locator(".tools").is_visible()
    assert one.page.locator(".board tbody tr").first.is_visible()


def test_a_mark_of_the_cost_figure_tells_its_numbers_when_it_has_the_focus(visit):
    one = visit("pareto.html")
    link = one.page.locator("a.point").first
    tip = link.locator(".tip")
    assert tip.count() == 2
    assert not any(line.is_visible() for line in tip.all())
    one.page.locator("main a").first.focus()
    while not link.evaluate("e => e === document.activeElement"):
        one.page.keyboard.press("Tab")
        assert one.page.evaluate("document.activeElement !== document.body"), "out of reach"
    assert all(line.is_visible() for line in tip.all())
    assert link.locator("title").text_content() == "; ".join(tip.all_text_contents())
    one.page.keyboard.press("Enter")
    one.page.wait_for_url("**/entries/*.html")
    assert one.complaints == []


def printed(value, form, *, signed=False):
    number = 100 * value if form == "percent" else value
    text = f"{number:{'+' if signed else ''}.{1 if form == 'percent' else 3}f}"
    zero = not any(c in "123456789" for c in text)
    return text.lstrip("+-") if zero else text.replace("-", "\u2212")


def shown_rows(page, table):
    return {
        row[0]: row[1:]
        for row in page.evaluate(
            "(id) => [...document.getElementById(id).rows].map((r) => [...r.cells]"
            ".map((c) => c.textContent))",
            table,
        )
    }


def check_contrasts(shown, contrasts, form):
    assert list(shown) == [one.name for one in contrasts]
    for one in contrasts:
        found = one.difference
        first, second, change, interval, p, verdict = shown[one.name]
        assert [first, second] == [printed(v, form) for v in (one.first, one.second)]
        assert change == printed(found.value, form, signed=True)
        ends = found.ci95 and [printed(end, form, signed=True) for end in found.ci95]
        assert interval == (" to ".join(ends) if ends else "no interval")
        if found.p_value is not None:
            assert p == ("below 0.001" if found.p_value < 0.001 else f"{found.p_value:.3f}")
            assert verdict == ("told apart" if one.real else "not told apart")


def test_the_compare_page_prints_what_the_statistics_say(visit, folder):
    results = [Result.load(path) for path in (folder.parent / "results").glob("*.json")]
    one = visit(next(n for n in page_names(folder) if n.startswith("compare/")))
    slugs = {r.result_id: f"{r.method.entry}-{r.result_id[:10]}" for r in results}
    for first, second in permutations(results, 2):
        for select, result in (("#first", first), ("#second", second)):
            one.page.locator(select).select_option(slugs[result.result_id])
        expected = compare_results(first, second)
        check_contrasts(shown_rows(one.page, "scores"), expected.headline, "percent")
        check_contrasts(shown_rows(one.page, "factors"), expected.factors, "ratio")
    assert one.complaints == []
    link = one.page.url
    again = visit(next(n for n in page_names(folder) if n.startswith("compare/")))
    again.page.goto(link)
    again.page.reload()
    assert again.page.locator("#first").input_value() == slugs[first.result_id]
    again.page.locator("[data-swap]").click()
    assert again.page.locator("#first").input_value() == slugs[second.result_id]


COUNTS = np.full((3, 8), 48)


def of_kind(kind, number):
    """Return an entry whose pairs are declined, guarded, of one network, or of other blocks."""
    rng = np.random.default_rng(number)
    ooc = rng.binomial(48, 0.5, (3, 8))
    if kind == "steady":  # near the end, and its runs agree
        ooc = 48 - rng.integers(0, 2, (3, 8))
    elif kind == "fell":  # near the end, and one run fell
        ooc = 48 - np.array([[0], [1], [9]]) + np.array([0, -1, 0, 0, 0, 0, 0, 0])
    elif kind == "low":
        ooc = np.array([[0], [1], [6]]) + rng.integers(0, 2, (3, 8))
    elif kind == "one network":
        ooc = ooc[:1].repeat(3, axis=0)
    ids = rng.binomial(48, 0.8, (3, 8))
    ids = ids[:1].repeat(3, axis=0) if kind == "one network" else ids
    made = sample(
        0, seeds=3, entry=kind.replace(" ", "-"), paired_gap=None,
        scores={"id_test": make_score(ids, COUNTS), "ooc_test": make_score(ooc, COUNTS, offset=8)},
        gap={"estimate": float(ids.mean() - ooc.mean()) / 48},
    )  # fmt: skip
    plain = made.model_dump(mode="json", exclude={"schema_version", "result_id"})
    for score in plain["scores"].values():
        if kind == "one network":  # every copy answers alike, image by image
            blocks = score["blocks"]
            del blocks["images"], blocks["right"]
            blocks["hits"] = blocks["hits"][:1] * 3
            score["distinct"] = [0]
        if kind == "no blocks":
            score["blocks"] = None
        if kind == "fewer blocks":  # two blocks put together
            blocks = score["blocks"]
            del blocks["images"], blocks["right"]
            blocks["hits"] = [[row[0] + row[1], *row[2:]] for row in blocks["hits"]]
            blocks["counts"] = [16, *blocks["counts"][2:]]
            blocks["numbers"] = blocks["numbers"][1:]
    stated = restated(plain["scores"])
    curve, at = plain["compute_curve"], plain["compute"]["steps"]
    for name, split in (("id", "id_test"), ("ooc", "ooc_test")):
        curve[name][curve["steps"].index(at)] = stated["scores"][split]["estimate"]
    return Result.sealed(**plain | stated | {"gap": plain["gap"] | stated["gap"]})


KINDS = ("steady", "fell", "low", "plain", "one network", "no blocks", "fewer blocks")


def test_the_compare_page_declines_and_pairs_as_the_statistics(browser, tmp_path):
    results = [of_kind(kind, i) for i, kind in enumerate(KINDS)]
    site = build_site([one.save(tmp_path / "results") for one in results], tmp_path / "site", [])
    name = next(n for n in page_names(site.parent) if n.startswith("compare/"))
    one = Visit(browser, site.parent / name)
    slugs = [f"{r.method.entry}-{r.result_id[:10]}" for r in results]
    declined = set()
    for (i, first), (j, second) in permutations(enumerate(results), 2):
        one.page.locator("#first").select_option(slugs[i])
        one.page.locator("#second").select_option(slugs[j])
        expected = compare_results(first, second)
        shown = shown_rows(one.page, "scores")
        check_contrasts(shown, expected.headline, "percent")
        check_contrasts(shown_rows(one.page, "factors"), expected.factors, "ratio")
        ooc = expected.headline[0].difference
        verdict = one.page.locator("#verdict").inner_text()
        assert ("Not tested: so near an end" in verdict) == ooc.declined
        if ooc.declined:
            declined.add(frozenset((KINDS[i], KINDS[j])))
            assert shown["OOC"][3:] == ["no interval", "\u2014", "not tested"]
    assert declined == {frozenset(("steady", "fell"))}
    assert one.complaints == []
    one.context.close()


def test_the_compare_page_marks_held_out_combinations(visit, folder):
    page = visit(next(n for n in page_names(folder) if n.startswith("compare/"))).page
    assert page.locator("#map td.out").count() == 8
    assert page.locator("#map td.num").count() == 16
    page.locator("summary").click()
    assert page.locator("#cells tbody tr").count() == 16


def test_an_entry_page_leads_to_its_comparison(visit, folder):
    page = visit(entry_of(folder, "pixels")).page
    page.get_by_role("link", name="Compare with another entry").click()
    expect(page.locator("#first")).to_have_value(re.compile("^pixels-"), timeout=PATIENCE)
