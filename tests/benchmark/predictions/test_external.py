"""Predictions made elsewhere: scored like any other, believed in nothing else."""

from __future__ import annotations

import io
import json
import pickle
import zipfile

import h5py
import numpy as np
import pytest
import torch
from fakes import FakeDataset, Pixels, Segmenter
from safetensors import safe_open
from safetensors.numpy import save_file

from recombine.benchmark.predictions.external import (
    is_given,
    load_key,
    read_given,
    write_answers,
    write_questions,
)
from recombine.benchmark.predictions.file import read_predictions, write_predictions
from recombine.benchmark.predictions.safetensors_guard import TensorFileError
from recombine.benchmark.protocol.contract import MethodCard
from recombine.benchmark.running.harness import RunOptions, scored_indices
from recombine.benchmark.scoring.score import score_predictions, score_submission
from recombine.renderer.core.errors import InvalidInputError

OPTIONS = RunOptions(readout_labels=40)


@pytest.fixture(scope="module")
def dataset():
    return FakeDataset(train=6, val=2, test=3)


@pytest.fixture(scope="module")
def questions(dataset, tmp_path_factory):
    path = tmp_path_factory.mktemp("asked") / "questions.safetensors"
    indices = scored_indices(dataset, OPTIONS)
    write_questions(path, dataset, indices, load_key(None, dataset))
    with safe_open(path, "np") as opened:
        return opened.get_tensor("image_id"), opened.get_tensor("images"), opened.metadata()


def answers(questions, method=None):
    """Answer as a stranger would, in any order."""
    ids, images, _ = questions
    order = np.random.default_rng(3).permutation(len(ids))
    output = (method or Pixels()).encode(torch.tensor(images[order]).permute(0, 3, 1, 2) / 255)
    tensors = {"image_id": ids[order], "slots": output.slots.contiguous().numpy()}
    if output.presence is not None:
        tensors["presence"] = output.presence.numpy()
        tensors["segments"] = output.masks.argmax(1).to(torch.uint8).numpy()
    return tensors


def metadata(questions, **over):
    run = {"seed": 4, "card": {"id": "stranger", "name": "A stranger"}}
    return {
        "format": "recombine.answers/2",
        "identity": questions[2]["identity"],
        "run": json.dumps({**run, **over}),
    }


def read(path, dataset, tensors, texts):
    save_file(tensors, path, texts)
    key = load_key(None, dataset)
    return read_given(path, dataset, scored_indices(dataset, OPTIONS), options=OPTIONS, key=key)


@pytest.mark.parametrize("method", [Pixels(), Segmenter()])
def test_the_scores_are_those_of_the_same_method_run_here(dataset, questions, tmp_path, method):
    texts = metadata(questions, training={"n_train": 9, "real_images_seen": 70})
    found = read(tmp_path / "a.safetensors", dataset, answers(questions, method), texts)
    assert is_given(tmp_path / "a.safetensors")
    write_predictions(tmp_path / "seed-4.safetensors", found)
    assert not is_given(tmp_path / "seed-4.safetensors")
    (theirs,) = score_predictions([tmp_path / "seed-4.safetensors"], dataset)
    (ours,) = score_submission(method, dataset, seeds=[4], out_dir=tmp_path, options=OPTIONS)
    assert theirs.scores == ours.scores
    assert theirs.further == ours.further
    assert (theirs.trust, theirs.sources.sandbox) == ("rescored", "file")
    assert theirs.sources.figures["gflop_per_image"] == "unknown"
    assert theirs.sources.figures["real_images_seen"] == "self-reported"
    assert (theirs.data.n_train, theirs.training.real_images_seen) == (9, 70)
    assert theirs.checks.batch_invariance is None
    assert theirs.track.test_compute == "unknown"


WRONG = {
    "missing": ("missing-image", lambda t: {k: v[:-1] for k, v in t.items()}),
    "twice": ("duplicate-image", lambda t: {k: np.concatenate([v, v[:1]]) for k, v in t.items()}),
    "unknown": ("unknown-image", lambda t: {**t, "image_id": t["image_id"] ^ (np.arange(1) == 0)}),
    "rows": ("wrong-shape", lambda t: {**t, "slots": t["slots"][:-1]}),
    "few": ("wrong-shape", lambda t: {**t, "slots": t["slots"][:, :1].copy()}),
    "double": ("wrong-dtype", lambda t: {**t, "slots": t["slots"].astype(float)}),
    "nan": ("not-finite", lambda t: {**t, "slots": t["slots"] * np.float32("nan")}),
    "more": ("wrong-names", lambda t: {**t, "labels": t["image_id"]}),
}


@pytest.mark.parametrize("what", WRONG)
def test_files_that_are_not_in_order_are_refused_by_name(dataset, questions, tmp_path, what):
    reason, change = WRONG[what]
    tensors = change(answers(questions))
    with pytest.raises(TensorFileError) as caught:
        read(tmp_path / "a.safetensors", dataset, tensors, metadata(questions))
    assert caught.value.reason == reason
    assert "recombine.write_answers" in str(caught.value)
    assert "submission again" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "x"}, "expected format"),
        ({"identity": "feed" * 16}, "are for data 'feedfeedfeed'"),
        ({"run": "{}"}, "seed"),
        ({"run": "["}, "as JSON"),
        ({"run": '{"seed": 0, "card": {"id": "A b", "name": "x"}}'}, "card.id"),
        ({"run": '{"seed": 0, "card": {"id": "a", "name": "x"}, "score": 1}'}, "score"),
    ],
)
def test_metadata_of_another_form(dataset, questions, tmp_path, change, message):
    texts = {**metadata(questions), **change}
    tensors = answers(questions)
    with pytest.raises(InvalidInputError, match=message):
        read(tmp_path / "a.safetensors", dataset, tensors, texts)


def test_another_key_knows_none_of_the_images(dataset, questions, tmp_path):
    save_file(answers(questions), tmp_path / "a.safetensors", metadata(questions))
    key = load_key(tmp_path / "key", dataset)
    indices = scored_indices(dataset, OPTIONS)
    with pytest.raises(TensorFileError, match="unknown-image"):
        read_given(tmp_path / "a.safetensors", dataset, indices, options=OPTIONS, key=key)


@pytest.fixture
def asked(dataset, tmp_path):
    path = tmp_path / "inputs.safetensors"
    write_questions(path, dataset, scored_indices(dataset, OPTIONS), load_key(None, dataset))
    return path


CARD = MethodCard(id="stranger", name="A stranger", data="open")
LAYOUTS = {
    "transposed": lambda x: np.ascontiguousarray(x.transpose(1, 2, 0)).transpose(2, 0, 1),
    "fortran": np.asfortranarray,
    "slice": lambda x: np.concatenate([x, -x], axis=2)[:, :, : x.shape[2]],
    "reversed": lambda x: x[::-1].copy()[::-1],
    "double": lambda x: x.astype(np.float64),
    "big-endian": lambda x: x.astype(">f4"),
    "tensor": lambda x: torch.tensor(x).permute(2, 0, 1).contiguous().permute(1, 2, 0),
    "bfloat16": lambda x: torch.tensor(x).bfloat16(),
    "gradient": lambda x: torch.tensor(x, requires_grad=True),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_arrays_of_any_layout_and_type_arrive_as_they_are(dataset, questions, asked, layout):
    ids, images, _ = questions
    slots = Pixels().encode(torch.tensor(images).permute(0, 3, 1, 2) / 255).slots.numpy()
    # Halves of small whole numbers, which every type holds.
    slots = np.ascontiguousarray((slots * 64).round() / 2)
    given = LAYOUTS[layout](slots)
    path = asked.with_name("a.safetensors")
    assert write_answers(path, asked, given, CARD, seed=4, training={"n_train": 9}) == path
    with safe_open(path, "np") as stream:
        assert np.array_equal(stream.get_tensor("slots"), slots)
        assert np.array_equal(stream.get_tensor("image_id"), ids)
    indices, key = scored_indices(dataset, OPTIONS), load_key(None, dataset)
    found = read_given(path, dataset, indices, options=OPTIONS, key=key)
    assert (found.facts.seed, found.facts.n_train) == (4, 9)


def test_presence_and_segments_are_written_beside_slots(dataset, questions, asked):
    images = questions[1]
    output = Segmenter().encode(torch.tensor(images).permute(0, 3, 1, 2) / 255)
    path, segments = asked.with_name("a.safetensors"), output.masks.argmax(1)
    more = {"presence": output.presence.T.contiguous().T, "segments": segments}
    write_answers(path, asked, output.slots, CARD, **more)
    indices, key = scored_indices(dataset, OPTIONS), load_key(None, dataset)
    found = read_given(path, dataset, indices, options=OPTIONS, key=key)
    order = np.argsort(np.argsort(indices))
    assert found.extras["segments/0"].shape == (len(order), 8, 8)
    assert np.allclose(found.extras["presence/0"], 0.5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda n: {"slots": np.zeros((n, 96))}, r"expected slots \(\d+, S, D\) with S from 2"),
        (lambda n: {"slots": np.zeros((n - 1, 2, 96))}, r"expected slots \("),
        (lambda n: {"slots": np.zeros((n, 1, 96))}, "repeat a single vector"),
        (lambda n: {"slots": np.zeros((n, 2, 2048))}, "1 to 512 finite numbers"),
        (lambda n: {"slots": np.zeros((n, 2, 0))}, "1 to 512 finite numbers"),
        (lambda n: {"slots": np.full((n, 2, 3), np.nan)}, "project or normalise"),
        (lambda n: {"slots": np.zeros((n, 2, 3), complex)}, "real numbers in slots, got complex"),
        (lambda n: {"presence": np.zeros((n, 3))}, r"expected presence \(\d+, 2\)"),
        (lambda n: {"segments": np.full((n, 8, 8), -1)}, "whole numbers from 0 to 255"),
        (lambda n: {"segments": np.full((n, 8, 8), 0.5)}, "masks.argmax"),
        (lambda n: {"card": MethodCard(id="No Slug", name="x")}, r"card\.id"),
        (lambda n: {"training": {"epochs": 3}}, r"training\.epochs"),
    ],
)
def test_answers_that_do_not_fit_are_refused_when_written(questions, asked, change, message):
    count = len(questions[0])
    given = {"slots": np.zeros((count, 2, 3)), "card": CARD, **change(count)}
    path = asked.with_name("a.safetensors")
    with pytest.raises(InvalidInputError, match=message):
        write_answers(path, asked, given.pop("slots"), given.pop("card"), **given)
    assert not path.exists()


def test_a_file_of_other_questions_is_refused(asked):
    save_file({"image_id": np.zeros(3, np.int64)}, asked, {"format": "x"})
    with pytest.raises(InvalidInputError, match=r"to be a question file.*submission inputs"):
        write_answers(asked.with_name("a.safetensors"), asked, np.zeros((3, 2, 3)), CARD)


def hostile_files():
    """Files of other formats, some of which run code or fill memory in a careless reader."""
    pickled = pickle.dumps({"slots": [1.0] * 100})
    npz = io.BytesIO()
    np.savez_compressed(npz, slots=np.zeros(10**6, np.float32))
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as stream:
        stream.writestr("archive/data.pkl", pickled)
    table = io.BytesIO()
    with h5py.File(table, "w") as stream:
        stream["slots"] = h5py.ExternalLink("/etc/passwd", "/")
    npy = io.BytesIO()
    np.save(npy, np.zeros(4))
    parts = {"pickle": pickled, "npz": npz, "torch": archive, "hdf5": table, "npy": npy}
    return {name: one if isinstance(one, bytes) else one.getvalue() for name, one in parts.items()}


@pytest.mark.parametrize("name", ["pickle", "npz", "torch", "hdf5", "npy"])
def test_other_formats_are_refused_before_anything_is_read(dataset, tmp_path, name):
    path = tmp_path / "answers.safetensors"
    path.write_bytes(hostile_files()[name])
    for look in (is_given, read_predictions):
        with pytest.raises(TensorFileError) as caught:
            look(path)
        assert caught.value.reason in {"huge-header", "truncated-header", "not-json"}


def test_a_link_to_another_file_is_refused(tmp_path):
    (tmp_path / "a.safetensors").symlink_to("/etc/passwd")
    with pytest.raises(TensorFileError, match="not-a-file"):
        is_given(tmp_path / "a.safetensors")
