"""The example of the documentation, run: a preset with a user's mesh, panorama and texture."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from recombine.cli.main import main
from recombine.renderer.certificate.verify import verify
from recombine.renderer.planning.plan import Plan
from recombine.renderer.splits.geometry import SPLITS
from recombine.renderer.store.dataset import Dataset
from recombine.renderer.store.shards import load_plan
from tests.renderer.own_assets import files

DOCS = Path(__file__).parents[2] / "docs" / "assets.md"
pytestmark = pytest.mark.skipif(not DOCS.is_file(), reason="needs a checkout")


def ledger(folder: Path) -> Path:
    """Write the files and the ledger of the documentation, with the files' hashes."""
    block = next(
        b for b in DOCS.read_text().split("```") if b.startswith("toml") and "[replace]" in b
    )
    for name, digest in files(folder).items():
        before, after = block.split(f'file = "{name}"')
        block = (
            before + f'file = "{name}"' + after.replace('sha256 = "..."', f'sha256 = "{digest}"', 1)
        )
    path = folder / "my.toml"
    path.write_text(block.removeprefix("toml\n"))
    return path


def render(path: Path, out: Path, *more: str) -> int:
    words = ["render", "object-background", "--assets", str(path), "--out", str(out)]
    return main([*words, "--scale", "0.001", "--resolution", "16", "--shard-size", "32", *more])


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Render the example; afterwards the user's own files are gone."""
    folder = tmp_path_factory.mktemp("own")
    mine = folder / "mine"
    mine.mkdir()
    assert render(ledger(mine), folder / "data", "--workers", "1") == 0
    shutil.rmtree(mine)
    return folder / "data"


def shows(plan: Plan, index: int) -> str:
    values = plan.schema.factor("object.shape").values
    return values[int(plan.latents["object.shape"][index])]


@pytest.mark.blender
def test_the_example_is_rendered_sealed_and_verified(drawn: Path) -> None:
    data = Dataset(drawn)
    assert data.name == "object-background--values-4--my-things/2.0"
    assert verify(drawn).passed
    assert {a.name for a in load_plan(drawn).assets} == {"box", "sky", "tiles"}
    assert str(drawn.parent / "mine").encode() not in (drawn / "plan.h5").read_bytes()


@pytest.mark.blender
def test_an_image_is_drawn_again_from_the_dataset_alone(drawn: Path) -> None:
    plan = load_plan(drawn)
    index = next(i for i in range(len(plan)) if shows(plan, i) == "box")
    assert main(["dataset", "rerender", str(drawn), "--index", str(index), "--check"]) == 0


@pytest.mark.blender
def test_a_lost_shard_is_drawn_again_where_the_files_are_at_another_place(
    drawn: Path, tmp_path: Path
) -> None:
    copy, root = tmp_path / "copy", Dataset(drawn).root
    shutil.copytree(drawn, copy)
    shutil.rmtree(copy / "assets")
    (copy / "shards" / "shard-00001.h5").unlink()
    assert render(ledger(tmp_path), copy, "--workers", "1") == 0
    assert Dataset(copy).root == root
    assert len(list((copy / "assets").iterdir())) == 3


@pytest.mark.blender
def test_parts_merge_with_their_files(drawn: Path, tmp_path: Path) -> None:
    out = tmp_path / "merged"
    assert main(["dataset", "merge", str(drawn), "--out", str(out)]) == 0
    assert {p.name for p in (out / "assets").iterdir()} == {
        p.name for p in (drawn / "assets").iterdir()
    }
    assert Dataset(out).root == Dataset(drawn).root


@pytest.mark.blender
def test_the_card_lists_the_licences(drawn: Path, tmp_path: Path) -> None:
    assert main(["dataset", "card", str(drawn), "--out", str(tmp_path / "card")]) == 0
    text = (tmp_path / "card" / "README.md").read_text()
    for part in ("box (CC-BY-4.0, https://example.org/box)", "sky (CC0-1.0", "tiles (CC0-1.0"):
        assert part in text


@pytest.mark.blender
def test_both_sides_show_what_the_user_brought(drawn: Path) -> None:
    plan = load_plan(drawn)
    for split in ("id_test", "ooc_test"):
        rows = np.flatnonzero(plan.split == SPLITS.index(split))
        assert {"box", "cube", "vase", "teapot"} == {shows(plan, int(i)) for i in rows}


def test_faults_end_before_anything_is_rendered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = ledger(tmp_path)
    good = path.read_text()
    for change, message in (
        (('licence = "CC-BY-4.0"', 'licence = "CC-BY-NC-4.0"'), "the licence of asset 'box'"),
        (('"box.glb"', '"bax.glb"'), "a file that exists"),
        (('["box", ', '["bax", '), "Did you mean 'box'"),
        (('sha256 = "', 'sha256 = "0'), "asset 'box': expected a file with sha256"),
    ):
        assert change[0] in good
        path.write_text(good.replace(*change))
        assert render(path, tmp_path / "out") != 0
        assert message in capsys.readouterr().err
    assert not (tmp_path / "out" / "plan.h5").exists()
    path.write_text(good)
    assert render(path, tmp_path / "other", "--values", "8") != 0
    assert "expected 8 values" in capsys.readouterr().err
