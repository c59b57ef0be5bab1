"""The guide for submitters: every command of its steps, walked, but those of the system."""

import os
import re
import shlex
import shutil
import subprocess
from functools import partial
from pathlib import Path

import pytest

from recombine.cli.main import main
from recombine.leaderboard.board import registry
from recombine.leaderboard.submissions import datasets
from recombine.leaderboard.submissions.review import CLAIMS
from recombine.renderer.certificate.verify import verify
from recombine.renderer.presets.table import load_preset
from recombine.renderer.rendering import render
from recombine.renderer.store.seal import file_sha256
from tests.renderer.drawn_fixture import DRAWN, drawn_dataset

pytestmark = pytest.mark.long

TOP = Path(__file__).parents[3]
GUIDE = TOP / "docs" / "submitting.md"
if not GUIDE.is_file():
    pytest.skip("the guide is part of a checkout", allow_module_level=True)
SYSTEM = ("sudo", "python3.11", "pip")  # what a machine lacks; the rest is walked
SHELL = ("git", "cp", "cd")
USER = {"user.name": "T", "user.email": "t@example.org", "commit.gpgsign": "false"}
MOST_COMMANDS = 18


def steps():
    """Return the commands of the numbered steps, in order."""
    text = GUIDE.read_text().split("## What happens then")[0]
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True) for line in lines if line]


def test_every_step_says_its_minutes_and_the_commands_are_few():
    titles = re.findall(r"^## \d.*$", GUIDE.read_text(), re.MULTILINE)
    assert len(titles) == 6
    assert all("minute" in title for title in titles)
    assert len(steps()) <= MOST_COMMANDS
    assert {command[0] for command in steps()} == {*SYSTEM, *SHELL, "recombine"}


def test_the_template_asks_what_a_bundle_states():
    template = (TOP / ".github" / "PULL_REQUEST_TEMPLATE.md").read_text()
    assert all(f"- [ ] {claim}" in template for claim in CLAIMS)


@pytest.fixture
def walk(tmp_path, monkeypatch):
    """Return what runs a command of the guide: drawn images, small data, a local fork."""
    board = tmp_path / "hosted"
    preset = load_preset("object-background", values=4, scale=0.001, resolution=16)
    drawn_dataset(board, preset=preset)
    verify(board)
    archive = tmp_path / "board.tar"
    tar = ("tar", "--create", "--file", str(archive), "--directory", str(board), ".")
    subprocess.run(tar, check=True)
    url = "https://example.org/board.tar"
    made = registry.register(board, name="object-background", archive=archive, urls=[url])
    assert made.archive is not None
    assert made.archive.sha256 == file_sha256(archive)
    monkeypatch.setattr(registry, "REGISTRY", made.saved(tmp_path / "registry").parent)
    shutil.rmtree(board)

    def fetched(wanted, target, rules):
        assert (wanted.url, wanted.sha256) == (url, file_sha256(archive))
        return shutil.copy(archive, target)

    monkeypatch.setattr(datasets, "fetch_large", fetched)
    monkeypatch.setattr(render, "local_engine", lambda *_, **__: DRAWN)
    monkeypatch.setattr(
        render, "render_dataset", partial(_at_low_resolution, render.render_dataset)
    )
    origin = tmp_path / "github" / "recombine"
    (origin / "submissions").mkdir(parents=True)
    (origin / "submissions" / "README.md").write_text("one folder each\n")
    names = {**USER, f"url.{origin.parent}/.insteadOf": "https://github.com/YOU/"}
    monkeypatch.setenv("GIT_CONFIG_COUNT", str(len(names)))
    for number, (key, value) in enumerate(names.items()):
        monkeypatch.setenv(f"GIT_CONFIG_KEY_{number}", key)
        monkeypatch.setenv(f"GIT_CONFIG_VALUE_{number}", value)
    for words in ("init --quiet --initial-branch=main", "add --all", "commit --quiet -m begin"):
        subprocess.run(["git", *words.split()], cwd=origin, check=True)
    (tmp_path / "submitter").mkdir()
    monkeypatch.chdir(tmp_path / "submitter")
    return run


def _at_low_resolution(whole, preset, folder, **options):
    small = load_preset(preset.name, scale=0.08, resolution=16)
    return whole(small, folder, **options)


def run(command):
    """Run one command; sandboxes and long training are other tests' business."""
    words = [path for word in command for path in (sorted(map(str, Path().glob(word))) or [word])]
    if words[0] == "cd":
        os.chdir(words[1])
        return 0
    if words[0] in SHELL:
        return subprocess.run(words, capture_output=True, check=False).returncode
    if words[1] == "score" or words[1:3] == ["submission", "check"]:
        words.append("--trust-local")
    if words[1] == "score":
        words[words.index("--seeds") + 1] = "1"
        method = Path("my_method/method.py")
        method.write_text(method.read_text().replace("epochs: int = 40", "epochs: int = 1"))
    return main(words[1:])


def test_the_walk_from_nothing_to_a_pull_request(walk, tmp_path):
    for command in steps():
        if command[0] not in SYSTEM:
            assert walk(command) == 0, shlex.join(command)
    pushed = subprocess.run(
        ["git", "ls-tree", "-r", "--name-only", "my-method"],
        cwd=tmp_path / "github" / "recombine", capture_output=True, check=True, text=True,
    ).stdout.splitlines()  # fmt: skip
    added = {name.split("/", 2)[-1] for name in pushed if name.startswith("submissions/my-method-")}
    assert {"manifest.json", "method.json", "predictions/seed-0.safetensors"} <= added
    (text,) = (tmp_path / "submitter" / "submissions").glob("my-method-*.md")
    assert "- [ ] Nothing was selected" in text.read_text()
