from __future__ import annotations

from pathlib import Path

import pytest

from recombine.renderer.core.errors import IntegrityError, InvalidInputError
from recombine.renderer.core.strict import (
    Count,
    Line,
    Sha256,
    Strict,
    Word,
    inside,
    parse_json,
    read_json,
    validated,
)


class Form(Strict):
    n: Count
    name: Word = "x"
    note: Line = ""
    digest: Sha256 = "0" * 64
    share: float = 0.5


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"\xff\xfe", "utf-8"),
        (b"", "Expecting value"),
        (b'{"a": 1', "Expecting"),
        (b'{"a": 1, "a": 2}', "the key 'a' twice"),
        (b"[NaN]", "the number NaN"),
        (b"[-Infinity]", "the number -Infinity"),
        (b"[1e999]", "the number 1e999"),
        (b"[" * 100_000, "deep nesting"),
        (b"[" * 70 + b"]" * 70, "deep nesting"),
        (b"9" * 5000, "limit"),
        (b'["\\ud800"]', "surrogates"),
        (b'{"\\ud800": 1}', "surrogates"),
    ],
)
def test_json_that_no_reader_agrees_on_is_refused(text: bytes, reason: str) -> None:
    with pytest.raises(IntegrityError, match=r"^file\.json: expected JSON") as caught:
        parse_json(text, "file.json")
    assert reason in str(caught.value)


def test_plain_json_is_read() -> None:
    assert parse_json('{"a": [1, 0.5, null, true, "é"]}', "x") == {"a": [1, 0.5, None, True, "é"]}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({}, "key 'n': expected a value; got none"),
        ({"n": True}, "key 'n': expected a valid integer; got True"),
        ({"n": "1"}, "key 'n': expected a valid integer; got '1'"),
        ({"n": -1}, "key 'n': expected greater than or equal to 0; got -1"),
        ({"n": 2**70}, "key 'n': expected less than"),
        ({"n": 1, "more": {}}, "key 'more': expected no such key"),
        ({"n": 1, "name": "a b"}, "key 'name'"),
        ({"n": 1, "name": "\x1b[2J"}, "printable text in one line; got '\\x1b[2J'"),
        ({"n": 1, "note": "two\nlines"}, "key 'note': expected printable text"),
        ({"n": 1, "note": "x" * 3000}, "key 'note'"),
        ({"n": 1, "digest": "0" * 63}, "key 'digest'"),
        ({"n": 1, "share": float("nan")}, "key 'share': expected a finite number"),
        ([], "got a list of 0 entries"),
    ],
)
def test_a_fault_is_named_by_file_key_and_value(data: object, words: str) -> None:
    with pytest.raises(IntegrityError, match=r"^file\.json") as caught:
        validated(Form, data, "file.json")
    assert words in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


def test_another_version_of_a_format_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"format": "recombine.manifest/1"}')
    with pytest.raises(IntegrityError, match=r"manifest/2; got 'recombine\.manifest/1'"):
        read_json(path, "recombine.manifest/2")
    with pytest.raises(InvalidInputError, match="can be read; got No such file"):
        read_json(tmp_path / "b.json", "recombine.manifest/2")


def test_members_lie_inside_whatever_links_say(tmp_path: Path) -> None:
    home = tmp_path / "data"
    (home / "shards").mkdir(parents=True)
    (tmp_path / "outside.h5").touch()
    (home / "shards" / "out.h5").symlink_to(tmp_path / "outside.h5")
    (home / "shards" / "near.h5").symlink_to("own.h5")
    (home / "shards" / "loop.h5").symlink_to("loop.h5")
    (tmp_path / "alias").symlink_to(home)
    for name in ("shards/own.h5", "shards/near.h5", "manifest.json", "shards/new/x"):
        assert inside(home, name) == home / name
        assert inside(tmp_path / "alias", name) == tmp_path / "alias" / name
    away = ["../outside.h5", "/etc/passwd", "shards/../../outside.h5", "shards/out.h5", "", "a\0b"]
    for name in (*away, ".", "shards/..", str(home / "shards")):
        with pytest.raises(IntegrityError, match="leads out of it"):
            inside(home, name)
