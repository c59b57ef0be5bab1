"""The registry of boards: what a file says, what it refuses, and the data that its recipe gives."""

import shutil

import numpy as np
import pytest

from recombine.leaderboard.board import registry as module
from recombine.leaderboard.board.registry import (
    REGISTRY,
    board_named,
    read_board,
    read_registry,
    register,
)
from recombine.renderer.certificate.verify import verify
from recombine.renderer.core.errors import (
    IntegrityError,
    InvalidInputError,
    ResourceError,
    UsageError,
)
from recombine.renderer.presets.table import load_preset, load_recipe, with_split
from recombine.renderer.splits.declaration import declare
from recombine.renderer.store.dataset import Dataset
from tests.renderer.drawn_fixture import drawn_dataset


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "smoke"
    drawn_dataset(folder)
    verify(folder)
    return folder


@pytest.fixture(scope="module")
def board(data):
    return register(data, minutes=6.5)


@pytest.fixture
def saved(board, tmp_path):
    return board.saved(tmp_path / "registry")


def test_a_board_says_all_that_its_dataset_does_and_reads_back(board, data, saved):
    dataset = Dataset(data)
    assert read_board(saved) == board == board_named("smoke", saved.parent)
    assert (board.identity, board.root, board.images) == (
        dataset.identity,
        dataset.root,
        len(dataset),
    )
    assert board.bytes >= sum(path.stat().st_size for path in data.rglob("*.h5"))
    assert board.command("runs/x") == (
        "recombine render smoke --scale 0.07 --resolution 16 --out runs/x"
    )


def test_labels_drawn_again_are_those_of_the_dataset(board, data):
    dataset, again = Dataset(data), board.redrawn()
    for name in ("identity", "label_root", "render_version", "root", "name", "recipe", "config"):
        assert getattr(again, name) == getattr(dataset, name)
    assert len(again) == len(dataset)
    for key, values in dataset.latents.items():
        assert np.array_equal(again.latents[key], values)
    for name in ("cells", "blocks", "splits"):
        assert np.array_equal(getattr(again, name), getattr(dataset, name))
    for split in ("id_train", "id_val", "id_test", "ooc_test"):
        assert np.array_equal(again.indices(split), dataset.indices(split))
    with pytest.raises(ResourceError, match="--data"):
        again.images([0])


@pytest.mark.parametrize(
    ("old", "new", "error", "said"),
    [
        ('name = "smoke"', 'name = "other"', IntegrityError, "named after its board"),
        ('identity = "', 'identity = "0', IntegrityError, "identity"),
        ('render_version = "2"', 'render_version = "3"', IntegrityError, "render version"),
        ("images = ", "pictures = 3\nimages = ", IntegrityError, "pictures"),
        ("images = 112", "images = 0", IntegrityError, "images"),
        ("scale = 0.07", "scale = nan", IntegrityError, "scale"),
        ('format = "recombine.board/1"', "format", InvalidInputError, "as TOML"),
        ("minutes = 6.5", "minutes = -1.0", IntegrityError, "minutes"),
    ],
)
def test_an_edited_file_is_refused(saved, old, new, error, said):
    text = saved.read_text()
    assert old in text
    saved.write_text(text.replace(old, new, 1))
    with pytest.raises(error, match=said):
        read_board(saved)


def test_another_plan_is_a_matter_of_the_codes_version(saved):
    saved.write_text(saved.read_text().replace("scale = 0.07", "scale = 0.14"))
    with pytest.raises(ResourceError, match="No submission is at fault"):
        read_board(saved).redrawn()


def test_an_archive_comes_with_its_addresses(data, tmp_path):
    archive = tmp_path / "smoke.tar"
    archive.write_bytes(b"tar")
    url = "https://example.org/smoke.tar"
    board = register(data, archive=archive, urls=[url])
    assert board.archive is not None
    assert (board.archive.bytes, board.archive.urls) == (3, [url])
    assert read_board(board.saved(tmp_path)) == board
    with pytest.raises(UsageError, match="--archive and --url"):
        register(data, urls=[url])
    with pytest.raises(IntegrityError, match="urls"):
        register(data, archive=archive, urls=["http://example.org/smoke.tar"])


def test_what_no_recipe_gives_is_not_registered(data, tmp_path, monkeypatch):
    monkeypatch.setattr(module.Dataset, "recipe", None)
    with pytest.raises(InvalidInputError, match="recipe"):
        register(data)
    copy = tmp_path / "copy"
    shutil.copytree(data, copy)
    (copy / "certificate.json").unlink()
    with pytest.raises(InvalidInputError, match="certificate"):
        register(copy)


def test_a_recipe_gives_its_preset_again():
    plain = load_preset("object-background", values=8, scale=0.08, ooc_val=True)
    assert load_recipe(plain.recipe) == plain
    preset = load_preset("smoke")
    split = declare({"geometry": "orbit", "residues": [0, 1]}, preset.schema)
    declared = with_split(preset, split)
    assert load_recipe(declared.recipe) == declared
    for name in ("assets", "hidden_test"):
        with pytest.raises(UsageError, match=name):
            load_recipe({**plain.recipe, name: "public"})


def test_an_unknown_board_is_named_with_those_there_are(saved):
    with pytest.raises(UsageError, match="expected one of smoke"):
        board_named("smokes", saved.parent)


def test_the_registry_of_this_version_holds():
    for board in read_registry(REGISTRY):
        assert board.plan().digest() == board.plan_sha256
