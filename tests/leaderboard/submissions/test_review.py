"""The trusted side: what a stranger changed, what it scores, and texts with a stranger's words."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_board import sample
from world import METHOD, bundle_in, dataset, score_once

from recombine.benchmark.predictions.file import read_predictions, write_predictions
from recombine.benchmark.results.result import Result
from recombine.leaderboard.ledger.records import record_tier
from recombine.leaderboard.site.build import build_site
from recombine.leaderboard.submissions import review as pull_request
from recombine.leaderboard.submissions.bundle import open_bundle
from recombine.leaderboard.submissions.changes import EntryChange, diff
from recombine.leaderboard.submissions.review import (
    CLAIMS,
    _link,
    new_bundles,
    rescore_bundle,
    review_text,
    save_rescored,
)
from recombine.renderer.core.errors import IntegrityError, InvalidInputError
from recombine.renderer.core.text import markdown

pytestmark = pytest.mark.long

NAME = ["-c", "user.name=T", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]


def git(folder, *args):
    done = subprocess.run(
        ["git", *NAME, *args], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    return score_once(tmp_path_factory.mktemp("scored"))


@pytest.fixture
def repositories(tmp_path):
    """Return the leaderboard's repository and a stranger's clone of it."""
    base = tmp_path / "leaderboard"
    (base / "leaderboard" / "results").mkdir(parents=True)
    (base / "leaderboard" / "results" / "README.md").write_text("results\n")
    (base / "score.py").write_text("trusted = True\n")
    git(tmp_path, "init", "-q", "-b", "main", str(base))
    git(base, "add", "-A")
    git(base, "commit", "-q", "-m", "begin")
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", str(base), str(clone))
    return base, clone


def roots():
    return {dataset().identity: dataset()}


def propose(clone, scored):
    bundle = bundle_in(clone / "submissions", scored)
    git(clone, "switch", "-q", "-c", bundle.folder.name)
    git(clone, "add", "submissions")
    git(clone, "commit", "-q", "-m", "Submission")
    return bundle


def test_from_a_stranger_to_the_board(repositories, scored, tmp_path):
    base, clone = repositories
    bundle = propose(clone, scored)
    text = pull_request.request_text(bundle, "not run")
    assert bundle.manifest.bundle_id in text
    git(base, "fetch", "-q", str(clone), f"{bundle.folder.name}:proposal")

    head = tmp_path / "head"  # the workflow: two checkouts, only the base's code runs
    git(base, "worktree", "add", "-q", str(head), "proposal")
    (folder,) = new_bundles(base, head)
    judged = rescore_bundle(folder, roots())
    results = base / "leaderboard" / "results"
    paths = save_rescored([judged], results)

    assert [Result.load(path).trust for path in paths] == ["rescored"]
    claimed = {r.method.entry: r.scores.ooc_test.estimate for r in bundle.results}
    for path in paths:
        result = Result.load(path)
        assert result.scores.ooc_test.estimate == claimed[result.method.entry]
        assert result.credit == METHOD.credit
        assert set(result.sources.figures.values()) <= {"self-reported", "unknown"}
        assert (result.sources.sandbox, result.track.test_compute) == ("file", "unknown")
        assert result.checks.repeatability is None
    assert [one.kind for one in diff([], paths)] == ["added"]

    results_found = [Result.load(path) for path in paths]
    record_tier(results, results_found, "rescored", "2026-01-01T00:00:00Z")
    git(base, "merge", "-q", "proposal")  # the maintainer: bundle and results into the branch
    git(base, "add", "leaderboard/results")
    git(base, "commit", "-q", "-m", "Entry")
    page = build_site(sorted(results.glob("*.json")), tmp_path / "site")
    assert "</svg>rescored</span>" in page.read_text()
    assert (base / "submissions" / folder.name / "manifest.json").is_file()


def test_a_second_scoring_supersedes_the_first(scored, tmp_path):
    bundle = bundle_in(tmp_path / "submissions", scored)
    judged = rescore_bundle(bundle.folder, roots())
    first = save_rescored([judged], tmp_path / "r")
    later = judged.results[0].model_dump(mode="json") | {"created": "2099-01-01T00:00:00Z"}
    fields = {k: v for k, v in later.items() if k not in ("schema_version", "result_id")}
    again = type(judged)(bundle, (Result.sealed(**fields),))
    second = save_rescored([again], tmp_path / "r")
    assert first != second
    assert [one.kind for one in diff(first, [*first, *second])] == ["superseded"]


def write(name, text=""):
    return lambda head, _: (head / name).write_text(text)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (write("score.py", "trusted = 0"), "score.py"),
        (lambda head, _: (head / "score.py").unlink(), "score.py"),
        (write("conftest.py"), "conftest.py"),
        (write("leaderboard/results/x.json", "{}"), "x.json"),
        (write("submissions/loose.json", "{}"), "loose"),
        (lambda head, _: (head / ".github").symlink_to("/etc"), r"\.github"),
        (lambda head, one: shutil.copytree(one, head / "submissions" / "Bad Name"), "Bad Name"),
        (lambda head, _: shutil.rmtree(head / "submissions"), "got none"),
    ],
)
def test_a_proposal_adds_bundles_and_nothing_else(repositories, scored, change, message):
    base, clone = repositories
    bundle = propose(clone, scored)
    change(clone, bundle.folder)
    with pytest.raises(InvalidInputError, match=message):
        new_bundles(base, clone)


def test_a_bundle_that_is_there_stays_as_it_is(repositories, scored):
    base, clone = repositories
    bundle = propose(clone, scored)
    shutil.copytree(bundle.folder, base / "submissions" / bundle.folder.name)
    (bundle.folder / "more.json").write_text("{}")
    with pytest.raises(InvalidInputError, match="stay as they are"):
        new_bundles(base, clone)


def test_a_proposal_may_not_be_too_big(repositories, scored):
    base, clone = repositories
    propose(clone, scored)
    with pytest.raises(InvalidInputError, match="at most 1000 new bytes"):
        new_bundles(base, clone, max_bytes=1000)


def forged(scored, tmp_path, change):
    """Bundle results whose numbers were improved and sealed again."""
    paths, runs = scored
    made = []
    for path in paths:
        plain = json.loads(path.read_text())
        change(plain)
        fields = {k: v for k, v in plain.items() if k not in ("schema_version", "result_id")}
        made.append(Result.sealed(**fields).save(tmp_path / "forged" / path.name))
    return bundle_in(tmp_path / "submissions", (made, runs)).folder


def test_a_claim_that_does_not_come_out_is_refused(scored, tmp_path):
    def improve(plain):
        for factor in plain["scores"]["ooc_test"]["per_factor"].values():
            factor["estimate"] = 1.0
            factor["per_cell"] = [[1.0 for _ in row] for row in factor["per_cell"]]

    with pytest.raises(InvalidInputError, match="as recomputed from the predictions"):
        rescore_bundle(forged(scored, tmp_path, improve), roots())


def test_a_higher_tier_cannot_be_claimed(scored, tmp_path):
    folder = forged(scored, tmp_path, lambda plain: plain.update(trust="retrained"))
    assert {r.trust for r in rescore_bundle(folder, roots()).results} == {"rescored"}


def test_other_data_are_refused(scored, tmp_path):
    folder = bundle_in(tmp_path, scored).folder
    with pytest.raises(InvalidInputError, match="registered board"):
        rescore_bundle(folder, {"ab" * 32: dataset()})


def test_another_name_is_refused(scored, tmp_path):
    folder = bundle_in(tmp_path, scored).folder
    other = folder.rename(tmp_path / "noisy-0123456789")
    with pytest.raises(IntegrityError, match="named"):
        rescore_bundle(other, roots())


def test_predictions_with_missing_images_are_refused(scored, tmp_path):
    paths, runs = scored
    short = tmp_path / "short"
    plain = json.loads(Path(paths[0]).read_text())
    for listed, source in zip(
        plain["artifacts"]["predictions"], sorted(runs.rglob("*.safetensors")), strict=True
    ):
        read = read_predictions(source)
        slots = {step: array[:-1] for step, array in read.slots.items()}
        target = short / source.name
        target.parent.mkdir(exist_ok=True)
        write_predictions(target, type(read)(read.facts, read.image_index[:-1], slots))
        from recombine.renderer.store.seal import file_sha256

        listed |= {"sha256": file_sha256(target), "bytes": target.stat().st_size}
    fields = {k: v for k, v in plain.items() if k not in ("schema_version", "result_id")}
    claim = Result.sealed(**fields).save(tmp_path / "claim.json")
    folder = bundle_in(tmp_path / "s", ([claim], short)).folder
    open_bundle(folder)
    with pytest.raises(InvalidInputError, match="must answer exactly"):
        rescore_bundle(folder, roots())


def test_the_picture_on_the_board_is_drawn_again_not_taken_over(scored, tmp_path):
    folder = bundle_in(tmp_path, scored).folder
    judged = rescore_bundle(folder, roots(), tmp_path / "new")
    (path,) = save_rescored([judged], tmp_path / "new")
    (picture,) = (tmp_path / "new").glob("*.png")
    kept = Result.load(path).artifacts.examples
    assert kept.file == picture.name
    assert kept.images == judged.bundle.results[0].artifacts.examples.images
    index = build_site([path], tmp_path / "site")
    pages = list((index.parent / "entries").glob("*.html"))
    assert b"data:image/png;base64," in pages[0].read_bytes()


@given(st.text(max_size=60))
def test_a_strangers_text_is_one_line_without_markup(text):
    shown = markdown(text)
    assert "\n" not in shown
    assert not re.search(r"(?<!\\)(?:\\\\)*[<>*_`\[\]@#|]", shown)


def test_a_mention_or_link_or_script_stays_text():
    shown = markdown("@all [x](https://e.org) <script> | ~~a~~")
    for live in (r"(?<!\\)@", r"(?<!\\)\[", r"(?<!\\)<", r"(?<!\\)\|"):
        assert not re.search(live, shown)


def test_the_review_names_scores_and_changes():
    result = sample(0)
    text = review_text([result], [EntryChange("added", "smoke", "supervised", 1024, "", "0.5512")])
    assert f"{100 * result.scores.ooc_test.estimate:.1f}" in text
    assert "added: supervised" in text
    assert "Trust tier: rescored." in text
    assert "Trust tier: rerun." in review_text([result], [], "rerun")
    assert "0.5512" in text
    assert "None." in review_text([result], [])


def test_only_a_plain_address_is_a_link():
    assert _link("https://example.org/my-method?a=1") == "<https://example.org/my-method?a=1>"
    assert "<" not in _link("https://e.org/)[x](y>").replace("\\<", "")
    assert _link("") == "not given"


def test_the_claims_are_sentences():
    assert all(claim.endswith(".") for claim in CLAIMS)
