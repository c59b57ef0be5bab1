"""The parser of untrusted tensor files: every refusal has its name, and nothing else escapes."""

import json
import os
import struct
from typing import get_args

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from recombine.benchmark.predictions.safetensors_guard import (
    Reason,
    Rule,
    TensorFileError,
    check_index,
    open_tensor_file,
    write_tensors,
)

RULES = {"row": Rule("I64", ((4, 4),)), "slots": Rule("F32", ((4, 4), (2, 64), (1, 512)), 1e6)}
MAX_BYTES = 10_000
KEYS = ["row", "slots", "dtype", "shape", "data_offsets", "__metadata__"]


def arrays(**over):
    base = {"row": np.arange(4), "slots": np.ones((4, 2, 3), np.float32)}
    return {name: value for name, value in {**base, **over}.items() if value is not None}


def header_of(tensors):
    out, begin = {}, 0
    names = {"float32": "F32", "int64": "I64", "float64": "F64", "uint8": "U8"}
    for name, array in tensors.items():
        end = begin + array.nbytes
        offsets = [begin, end]
        out[name] = {"dtype": names[str(array.dtype)], "shape": list(array.shape)}
        out[name]["data_offsets"] = offsets
        begin = end
    return out


def raw(header, body):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def content(tensors=None, change=None, tail=b""):
    tensors = arrays() if tensors is None else tensors
    header = header_of(tensors)
    if change:
        change(header)
    return raw(header, b"".join(a.tobytes() for a in tensors.values()) + tail)


def moved(name, **over):
    return lambda header: header[name].update(over)


def nan_at(where, value):
    slots = np.ones((4, 2, 3), np.float32)
    slots.flat[where] = value
    return slots


WHOLE = content()
ATTACKS = {
    "empty": (b"", "too-small"),
    "nine bytes": (b"\0" * 9, "too-small"),
    "over the declared size": (content(tail=b"x" * MAX_BYTES), "too-large"),
    "header of 2^60 bytes": (struct.pack("<Q", 2**60) + b"{}" * 8, "huge-header"),
    "header just over the limit": (struct.pack("<Q", 2**20 + 1) + b"{}", "huge-header"),
    "header beyond the file": (struct.pack("<Q", 5000) + b"{}" * 8, "truncated-header"),
    "cut in the header": (WHOLE[:60], "truncated-header"),
    "cut in the tensors": (WHOLE[:-3], "truncated-data"),
    "no tensors' bytes": (raw(header_of(arrays()), b""), "truncated-data"),
    "trailing bytes": (content(tail=b"hidden"), "trailing-bytes"),
    "not JSON": (raw(b"{not json}", b""), "not-json"),
    "not UTF-8": (raw(b'{"a\xff": 1}', b""), "not-json"),
    "a list": (raw(b"[1, 2, 3]  ", b""), "not-json"),
    "deep nesting": (raw(b"[" * 9000 + b"]" * 900, b""), "not-json"),
    "a number of 9,000 digits": (raw(b'{"a": ' + b"9" * 9000 + b"}", b""), "not-json"),
    "NaN in the header": (raw(b'{"__metadata__": NaN}', b""), "not-json"),
    "a tensor twice": (raw(b'{"row": 1, "row": 1}', b""), "duplicate-key"),
    "a field twice": (raw(b'{"row": {"dtype": "F32", "dtype": "I64"}}', b""), "duplicate-key"),
    "metadata twice": (raw(b'{"__metadata__": {"a": "1", "a": "2"}}', b""), "duplicate-key"),
    "metadata of numbers": (raw(b'{"__metadata__": {"a": 1}}', b""), "wrong-metadata"),
    "metadata as text": (raw(b'{"__metadata__": "a"}  ', b""), "wrong-metadata"),
    "an entry that is no object": (raw(b'{"row": [1, 2]}', b""), "bad-entry"),
    "an entry with one field more": (content(change=moved("row", extra=1)), "bad-entry"),
    "a claim of 56 GB": (content(change=moved("slots", shape=[4, 2, 1_750_000_000])), "bad-entry"),
    "an overflowing shape": (content(change=moved("slots", shape=[2**47] * 8)), "bad-entry"),
    "a shape beyond 2^48": (content(change=moved("slots", shape=[2**62, 4])), "bad-entry"),
    "a negative size": (content(change=moved("slots", shape=[-4, -2, 3])), "bad-entry"),
    "true as a size": (content(change=moved("slots", shape=[4, 2, True])), "bad-entry"),
    "a fraction as a size": (content(change=moved("slots", shape=[4, 2, 3.0])), "bad-entry"),
    "nine axes": (content(change=moved("slots", shape=[1] * 6 + [4, 2, 3])), "bad-entry"),
    "three offsets": (content(change=moved("row", data_offsets=[0, 32, 32])), "bad-entry"),
    "offsets in reverse": (content(change=moved("row", data_offsets=[32, 0])), "bad-entry"),
    "overlapping tensors": (
        content(change=moved("slots", data_offsets=[0, 96])),
        "gap-or-overlap",
    ),
    "a hole": (
        content(change=moved("slots", data_offsets=[40, 136]), tail=b"x" * 8),
        "gap-or-overlap",
    ),
    "an unknown type": (content(change=moved("row", dtype="PICKLE")), "wrong-dtype"),
    "a type that is no text": (content(change=moved("row", dtype=["I64"])), "wrong-dtype"),
    "float64": (content(arrays(slots=np.ones((4, 2, 3)))), "wrong-dtype"),
    "floats for whole numbers": (content(arrays(row=np.ones(4))), "wrong-dtype"),
    "a missing tensor": (content(arrays(row=None)), "wrong-names"),
    "another tensor": (content(arrays(labels=np.arange(4))), "wrong-names"),
    "no tensors": (raw(b"{}        ", b""), "wrong-names"),
    "an image short": (content(arrays(slots=np.ones((3, 2, 3), "f4"))), "wrong-shape"),
    "an image more": (content(arrays(slots=np.ones((5, 2, 3), "f4"))), "wrong-shape"),
    "too few slots": (content(arrays(slots=np.ones((4, 1, 3), "f4"))), "wrong-shape"),
    "an empty vector": (content(arrays(slots=np.ones((4, 2, 0), "f4"))), "wrong-shape"),
    "transposed": (content(arrays(slots=np.ones((2, 4, 3), "f4"))), "wrong-shape"),
    "one axis less": (content(arrays(slots=np.ones((4, 6), "f4"))), "wrong-shape"),
    "NaN": (content(arrays(slots=nan_at(-1, np.nan))), "not-finite"),
    "infinity": (content(arrays(slots=nan_at(0, -np.inf))), "not-finite"),
    "too big": (content(arrays(slots=nan_at(5, -1.1e6))), "too-big-values"),
}  # fmt: skip


@pytest.mark.parametrize("name", ATTACKS)
def test_every_attack_has_its_own_reason(tmp_path, name):
    data, reason = ATTACKS[name]
    path = tmp_path / "answer.safetensors"
    path.write_bytes(data)
    with pytest.raises(TensorFileError) as caught:
        open_tensor_file(path, max_bytes=MAX_BYTES).take(RULES)
    assert caught.value.reason == reason, str(caught.value)
    assert f"[{reason}]" in str(caught.value)
    assert len(str(caught.value)) < 1000
    assert caught.value.exit_code == 3


def test_what_is_not_a_file(tmp_path):
    (tmp_path / "real").write_bytes(WHOLE)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    os.mkfifo(tmp_path / "pipe")
    for name, reason in [
        ("none", "no-file"),
        ("link", "not-a-file"),
        ("pipe", "not-a-file"),
        (".", "not-a-file"),
    ]:
        with pytest.raises(TensorFileError) as caught:
            open_tensor_file(tmp_path / name, max_bytes=MAX_BYTES)
        assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("got", "reason"),
    [
        ([3, 7, 7, 9], "duplicate-image"),
        ([3, 7, 9, 10], "unknown-image"),
        ([-1, 3, 7, 9], "unknown-image"),
        ([3, 9], "missing-image"),
        ([], "missing-image"),
    ],
)
def test_every_image_once(got, reason):
    with pytest.raises(TensorFileError) as caught:
        check_index(np.array(got, np.int64), np.array([3, 7, 9]), "x")
    assert caught.value.reason == reason


def test_every_reason_has_an_attack():
    tested = {reason for _, reason in ATTACKS.values()}
    tested |= {"no-file", "not-a-file", "duplicate-image", "unknown-image", "missing-image"}
    assert tested == set(get_args(Reason))


def test_a_sound_file_is_read(tmp_path):
    path = tmp_path / "a.safetensors"
    path.write_bytes(WHOLE)
    read = open_tensor_file(path, max_bytes=len(WHOLE)).take(RULES)
    assert np.array_equal(read["row"], np.arange(4))
    assert read["slots"].shape == (4, 2, 3)
    read["slots"][0] = 2  # a copy of its own


def test_the_library_and_the_parser_agree_both_ways(tmp_path):
    tensors = {
        "row": np.array([3, 1, 2, 0]),
        "slots": np.random.default_rng(0).normal(size=(4, 2, 3)).astype(np.float32),
        "log": np.zeros(0, np.uint8),
    }
    rules = {**RULES, "log": Rule("U8", ((0, 10),))}
    for number, write in enumerate((lambda p, t, m: save_file(t, p, metadata=m), write_tensors)):
        path = tmp_path / f"{number}.safetensors"
        write(path, tensors, {"a": "b\n"})
        opened = open_tensor_file(path, max_bytes=MAX_BYTES)
        assert dict(opened.metadata) == {"a": "b\n"}
        for read in (opened.take(rules), load_file(path)):
            assert all(np.array_equal(read[name], tensors[name]) for name in tensors)


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    edits=st.lists(
        st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), min_size=1, max_size=4
    ),
    cut=st.integers(0, len(WHOLE)),
)
def test_changed_bytes_never_escape_the_rules(tmp_path, edits, cut):
    data = bytearray(WHOLE)
    for where, value in edits:
        data[where] = value
    path = tmp_path / "fuzzed.safetensors"
    path.write_bytes(data[: len(data) - cut % 7])
    try:
        read = open_tensor_file(path, max_bytes=MAX_BYTES).take(RULES)
    except TensorFileError:
        return
    assert set(read) == set(RULES)
    assert read["slots"].dtype == np.float32
    assert np.abs(read["slots"]).max() <= 1e6


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    header=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner),
        max_leaves=12,
    )
)
def test_any_json_header_is_refused_by_name(tmp_path, header):
    path = tmp_path / "any.safetensors"
    path.write_bytes(raw(header, b"12345678"))
    with pytest.raises(TensorFileError):
        open_tensor_file(path, max_bytes=MAX_BYTES).take(RULES)


def test_a_huge_claim_takes_no_memory(tmp_path):
    import tracemalloc

    path = tmp_path / "a.safetensors"
    path.write_bytes(ATTACKS["a claim of 56 GB"][0])
    tracemalloc.start()
    with pytest.raises(TensorFileError):
        open_tensor_file(path, max_bytes=MAX_BYTES).take(RULES)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200_000
