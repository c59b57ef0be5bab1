"""A review without the data: labels drawn again, masks cast or left out, and what it says of it."""

import json
import shutil

import pytest
import torch

from recombine.benchmark.protocol.contract import MethodCard, SlotOutput
from recombine.benchmark.scoring.score import score_predictions, score_submission
from recombine.cli import submission as commands
from recombine.cli.main import main
from recombine.leaderboard.board.registry import register
from recombine.leaderboard.submissions.review import redrawn_notes
from recombine.renderer.certificate.verify import verify
from recombine.renderer.core.errors import ResourceError
from recombine.renderer.store.dataset import Dataset
from tests.renderer.drawn_fixture import drawn_dataset


class Stripes:
    """Slots and masks of horizontal stripes, in fixed roles or in none."""

    def __init__(self, slots):
        self.card = MethodCard(id=f"stripes-{slots}", name="Stripes", slots=slots)
        self.slot_dim = 3

    def setup(self, spec, device):
        self.slots = spec.max_slots

    def encode(self, images):
        stripes = images.tensor_split(self.slots, dim=2)
        masks = torch.zeros(len(images), self.slots, *images.shape[2:])
        for slot, rows in enumerate(torch.arange(images.shape[2]).tensor_split(self.slots)):
            masks[:, slot, rows] = 1.0
        slots = torch.stack([stripe.mean(dim=(2, 3)) for stripe in stripes], dim=1)
        return SlotOutput(slots=slots, masks=masks)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Data, their board, and the predictions of a method of each kind."""
    folder = tmp_path_factory.mktemp("redrawn")
    drawn_dataset(folder / "smoke")
    verify(folder / "smoke")
    register(folder / "smoke").saved(folder / "registry")
    for slots in ("fixed", "exchangeable"):
        results = score_submission(
            Stripes(slots), Dataset(folder / "smoke"), seeds=(0,), out_dir=folder / slots
        )
        for result in results:
            result.save(folder / f"{slots}-results")
    return folder


def predictions(place, slots):
    return sorted((place / slots).rglob("*.safetensors"))


def cast_from(dataset, asked):
    """Return what casts masks: those of a rendered copy, with a note of which were asked for."""

    def cast(plan, indices):
        assert plan.digest() == dataset.plan.digest()
        asked.append(list(indices))
        return ({"mask": mask} for mask in dataset.masks(indices))

    return cast


@pytest.mark.parametrize("slots", ["fixed", "exchangeable"])
def test_every_score_is_that_of_the_rendered_copy(place, slots):
    dataset, asked = Dataset(place / "smoke"), []
    board = register(place / "smoke")
    (whole,) = score_predictions(predictions(place, slots), dataset)
    (again,) = score_predictions(
        predictions(place, slots), board.redrawn(cast_from(dataset, asked))
    )
    assert again.scores == whole.scores
    assert again.data == whole.data
    assert again.further.masks == whole.further.masks is not None
    assert again.further.readouts == whole.further.readouts
    assert again.readout.random_network is None
    assert len(asked) == 1  # every call starts a renderer
    if slots == "fixed":
        tests = {*dataset.indices("id_test").tolist(), *dataset.indices("ooc_test").tolist()}
        assert set(asked[0]) == tests


def test_masks_that_nothing_casts_are_left_out_or_asked_for(place):
    board = register(place / "smoke")
    data = board.redrawn()
    (whole,) = score_predictions(predictions(place, "fixed"), Dataset(place / "smoke"))
    (again,) = score_predictions(predictions(place, "fixed"), data)
    assert again.scores == whole.scores
    assert again.further.masks is None
    (note,) = redrawn_notes([again], {data.identity: data})
    assert "scores of masks (no renderer here)" in note
    with pytest.raises(ResourceError, match="match slots to objects"):
        score_predictions(predictions(place, "exchangeable"), data)


def test_other_pixels_are_named(place):
    board = register(place / "smoke")
    other = board.model_copy(update={"root": "0" * 64}).redrawn()
    (again,) = score_predictions(predictions(place, "fixed"), other)
    notes = redrawn_notes([again], {other.identity: other})
    assert f"registered {'0' * 12}" in notes[1]
    assert again.data.root == Dataset(place / "smoke").root, "the copy that was answered"


def test_a_reviewer_without_the_data_gets_the_submitters_numbers(place, tmp_path, monkeypatch):
    results = list((place / "fixed-results").glob("*.json"))
    words = ["--predictions", str(place / "fixed"), "--out", str(tmp_path / "submissions")]
    author = ["--authors", "A", "--licence", "MIT"]
    assert main(["submission", "bundle", *map(str, results), *words, *author]) == 0
    (bundle,) = (path for path in (tmp_path / "submissions").iterdir() if path.is_dir())
    shutil.copytree(place / "registry", tmp_path / "registry")
    asked = []
    monkeypatch.setattr(
        commands.Review, "_caster", lambda self: cast_from(Dataset(place / "smoke"), asked)
    )
    summary = tmp_path / "summary.md"
    review = ["submission", "review", str(bundle), "--registry", str(tmp_path / "registry")]
    options = ["--out", str(tmp_path / "new"), "--results", str(tmp_path / "none")]
    assert main([*review, *options, "--summary", str(summary)]) == 0
    (new,) = (tmp_path / "new").glob("*.json")
    said, found = (json.loads(path.read_text()) for path in (results[0], new))
    for split in ("id_test", "ooc_test"):
        assert abs(said["scores"][split]["estimate"] - found["scores"][split]["estimate"]) < 1e-9
    assert "no image was read" in summary.read_text()
    assert asked

    (tmp_path / "registry" / "smoke.toml").unlink()
    assert main([*review, *options]) == 3, "no board of these data"
    own = ["submission", "review", str(results[0]), "--out", str(tmp_path / "own")]
    assert main(own) == 2, "results of one's own are computed again from the images"
