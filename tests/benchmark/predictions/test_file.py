"""A predictions file is complete, checked, and refuses everything else."""

import json
import struct
from dataclasses import replace

import numpy as np
import pytest
from factories import make_facts
from safetensors.numpy import save_file

from recombine.benchmark.predictions.file import (
    FORMAT,
    Decoded,
    Predictions,
    read_predictions,
    write_predictions,
)
from recombine.renderer.core.errors import InvalidInputError


@pytest.fixture
def predictions():
    rng = np.random.default_rng(0)
    slots = {s: rng.normal(size=(6, 2, 3)).astype(np.float32) for s in (0, 10)}
    return Predictions(make_facts(), np.array([1, 4, 5, 9, 10, 20]), slots)


@pytest.fixture
def written(predictions, tmp_path):
    path = tmp_path / "seed-3.safetensors"
    write_predictions(path, predictions)
    return path


def test_round_trip(predictions, written):
    read = read_predictions(written)
    assert read.facts == predictions.facts
    assert np.array_equal(read.image_index, predictions.image_index)
    for step in (0, 10):
        assert np.array_equal(read.slots[step], predictions.slots[step])
    assert [p.name for p in written.parent.iterdir()] == [written.name]


def test_rows_of_images(predictions):
    assert predictions.rows(np.array([20, 1, 9])).tolist() == [5, 0, 3]
    for missing in (0, 2, 99):
        with pytest.raises(InvalidInputError, match=f"1 images have no answer.*{missing}"):
            predictions.rows(np.array([1, missing]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_index": np.array([1, 4, 5, 9, 9, 20])}, "every image once"),
        ({"image_index": np.array([4, 1, 5, 9, 10, 20])}, "every image once"),
        ({"image_index": np.array([-1, 4, 5, 9, 10, 20])}, "every image once"),
        ({"image_index": np.arange(6, dtype=np.int32)}, "int64"),
        ({"image_index": np.arange(5)}, r"\(5, S, D\)"),
        ({"image_index": np.arange(0)}, "int64"),
        ({"slots": {0: np.zeros((6, 2, 3)), 10: np.zeros((6, 2, 3))}}, "float32"),
        ({"slots": {0: np.full((6, 2, 3), np.nan, np.float32)}}, "finite"),
        ({"slots": {0: np.full((6, 2, 3), -1e7, np.float32)}}, "finite"),
        ({"slots": {0: np.zeros((6, 2, 3), "f4"), 10: np.zeros((6, 2, 4), "f4")}}, "one shape"),
        ({"slots": {}}, "one shape"),
    ],
)
def test_wrong_predictions_are_not_written(predictions, tmp_path, change, message):
    with pytest.raises(InvalidInputError, match=message):
        write_predictions(tmp_path / "x.safetensors", replace(predictions, **change))
    assert not list(tmp_path.iterdir())


def save(path, tensors, facts=None, **metadata):
    text = json.dumps({**make_facts().__dict__, **(facts or {})})
    save_file(tensors, path, metadata={"format": FORMAT, "run": text, **metadata})


def arrays(**over):
    base = {
        "image_index": np.arange(4),
        "slots/0": np.zeros((4, 2, 3), np.float32),
        "slots/10": np.zeros((4, 2, 3), np.float32),
    }
    return {name: value for name, value in {**base, **over}.items() if value is not None}


@pytest.mark.parametrize(
    ("tensors", "facts", "metadata", "message"),
    [
        (arrays(labels=np.zeros(4)), {}, {}, "expected tensors"),
        (arrays(**{"slots/10": None}), {}, {}, "expected tensors"),
        (arrays(), {"surprise": 1}, {}, "facts of a run"),
        (arrays(), {}, {"run": "not json"}, "facts of a run"),
        (arrays(), {}, {"format": "other/1"}, "expected format"),
        (arrays(**{"slots/0": np.full((4, 2, 3), np.inf, "f4")}), {}, {}, "finite"),
    ],
)
def test_files_of_another_form_are_refused(tmp_path, tensors, facts, metadata, message):
    path = tmp_path / "x.safetensors"
    save(path, tensors, facts, **metadata)
    with pytest.raises(InvalidInputError, match=message):
        read_predictions(path)


def with_header(header, body=b""):
    return struct.pack("<Q", len(header)) + header + body


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"short",
        with_header(b"{not json}"),
        with_header(b'{"a": 1, "a": 1}'),
        struct.pack("<Q", 2**60) + b"{}",
        with_header(b'{"x":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4]}}', b"1234"),
        with_header(b"[" * 5000 + b"]" * 5000),
    ],
    ids=["empty", "short", "json", "repeated key", "huge header", "sparse claim", "deep"],
)
def test_damaged_files_are_refused(tmp_path, content):
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(InvalidInputError):
        read_predictions(path)


def test_missing_file(tmp_path):
    with pytest.raises(InvalidInputError, match="none"):
        read_predictions(tmp_path / "none.safetensors")


def test_cut_files_are_refused(written):
    whole = written.read_bytes()
    for end in range(0, len(whole), 61):
        written.write_bytes(whole[:end])
        with pytest.raises(InvalidInputError):
            read_predictions(written)


def extras(**over):
    plain = {
        "presence/10": np.full((6, 2), 0.5, np.float32),
        "segments/10": np.ones((6, 4, 4), np.uint8),
    }
    return {**plain, **over}


def test_presence_and_segments_come_back(predictions, tmp_path):
    full = replace(predictions, extras=extras())
    write_predictions(tmp_path / "p.safetensors", full)
    read = read_predictions(tmp_path / "p.safetensors")
    assert read.extras.keys() == full.extras.keys()
    assert all(np.array_equal(read.extras[name], full.extras[name]) for name in full.extras)


@pytest.mark.parametrize(
    "wrong",
    [
        {"presence/10": np.full((6, 2), 1.5, np.float32)},
        {"presence/10": np.full((6, 3), 0.5, np.float32)},
        {"segments/10": np.full((6, 4, 4), 2, np.uint8)},
        {"segments/10": np.ones((5, 4, 4), np.uint8)},
        {"labels/10": np.ones((6, 4, 4), np.uint8)},
    ],
)
def test_wrong_extras_are_refused(predictions, tmp_path, wrong):
    with pytest.raises(InvalidInputError):
        write_predictions(tmp_path / "p.safetensors", replace(predictions, extras=extras(**wrong)))


def test_files_of_the_first_format_are_still_read(predictions, tmp_path, monkeypatch):
    monkeypatch.setattr("recombine.benchmark.predictions.file.FORMAT", "recombine.predictions/1")
    write_predictions(tmp_path / "old.safetensors", predictions)
    monkeypatch.undo()
    assert read_predictions(tmp_path / "old.safetensors").extras == {}


def decoded(steps=(0, 10), index=(1, 9), edge=4):
    pictures = {s: np.full((len(index), edge, edge, 3), s, np.uint8) for s in steps}
    return Decoded(np.array(index), pictures)


def test_decodings_come_back(predictions, tmp_path):
    path = tmp_path / "with.safetensors"
    write_predictions(path, replace(predictions, decoded=decoded()))
    found = read_predictions(path).decoded
    assert found.index.tolist() == [1, 9]
    assert sorted(found.images) == [0, 10]
    assert (found.images[10] == 10).all()


@pytest.mark.parametrize(
    "wrong",
    [
        decoded(index=(9, 1)),
        decoded(index=(1, 2)),
        decoded(steps=(0, 7)),
        Decoded(np.array([1]), {0: np.zeros((1, 4, 5, 3), np.uint8)}),
        Decoded(np.array([1]), {0: np.zeros((1, 4, 4, 3), np.float32)}),
    ],
)
def test_decodings_of_another_form_are_refused(predictions, tmp_path, wrong):
    with pytest.raises(InvalidInputError):
        write_predictions(tmp_path / "bad.safetensors", replace(predictions, decoded=wrong))


def test_too_many_decodings_are_refused_before_they_are_read(tmp_path):
    many = np.arange(65)
    slots = {0: np.zeros((65, 2, 3), np.float32)}
    facts = make_facts(steps=(0,), batch_change=(0.0,), repeat_change=(0.0,))
    wrong = Predictions(facts, many, slots, decoded=decoded(steps=(0,), index=tuple(range(65))))
    write_predictions(tmp_path / "many.safetensors", wrong)
    with pytest.raises(InvalidInputError):
        read_predictions(tmp_path / "many.safetensors")
