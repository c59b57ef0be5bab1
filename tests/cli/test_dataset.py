from __future__ import annotations

import json
from pathlib import Path

import pytest

from recombine.cli.main import main
from recombine.renderer.certificate.verify import verify
from tests.renderer.drawn_fixture import drawn_dataset


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("drawn") / "data"
    drawn_dataset(folder)
    verify(folder)
    return str(folder)


def test_export_and_card_say_the_same(
    data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--published", "2026-11-21", "--url", "https://example.org/x", "--json"]
    out, card = tmp_path / "out", tmp_path / "card"
    assert main(["export", data, "--out", str(out), *options]) == 0
    assert json.loads(capsys.readouterr().out) == {"export": str(out)}
    assert main(["card", data, "--out", str(card), *options]) == 0
    assert json.loads(capsys.readouterr().out) == {"card": str(card / "README.md")}
    found = json.loads((card / "croissant.json").read_text())
    assert (found["datePublished"], found["url"]) == ("2026-11-21", "https://example.org/x")
    for path in card.iterdir():
        assert path.read_bytes() == (out / path.name).read_bytes()


@pytest.mark.parametrize("command", ["export", "card"])
@pytest.mark.parametrize("option", [("--published", "21.11."), ("--url", "ftp://a")])
def test_wrong_day_or_address_writes_nothing(
    command: str,
    option: tuple[str, str],
    data: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([command, data, "--out", str(tmp_path / "out"), *option]) == 2
    assert option[0] in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
