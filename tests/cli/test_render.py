"""What the options of `render` and `plan` choose; nothing is rendered here."""

from __future__ import annotations

from pathlib import Path

import pytest

from recombine.cli.main import main
from recombine.cli.render import chosen_preset
from recombine.renderer.core.errors import UsageError


def test_options_choose_values_parts_and_a_commitment(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("a secret of many bytes")
    preset = chosen_preset("object-texture", 0.01, 64, None, 8, ooc_val=True, hidden_key=key)
    assert preset.name == "object-texture--values-8--ooc-val"
    assert preset.settings.resolution == 64
    assert len(preset.commitment) == 64
    assert not preset.secret
    hidden = chosen_preset("object-texture", 0.01, 64, None, 8, hidden_key=key, hidden=True)
    assert hidden.secret
    assert hidden.commitment == preset.commitment


def test_a_season_key_stands_alone(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("0123456789abcdef")
    season = chosen_preset("smoke", 1.0, None, None, None, season_key=key)
    assert season.season
    assert season.name == "smoke--season"
    with pytest.raises(UsageError, match="got both"):
        chosen_preset("smoke", 1.0, None, None, None, season_key=key, hidden_key=key)


def test_hidden_set_needs_its_key() -> None:
    with pytest.raises(UsageError, match="--hidden-key FILE"):
        chosen_preset("smoke", 1.0, None, None, None, hidden=True)


UNCOVERED = """geometry = "orthotopic"
at_most = 0
thresholds = {"object.shape" = "star", "background.environment" = "courtyard"}
require = {coverage = 1}
"""


def test_plan_of_a_band_shows_the_law_of_its_draws(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "position-band", "--values", "8", "--scale", "0.01"]) == 0
    assert "as often as cells are drawn: TV 0\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "content", "code", "line"),
    [
        (["object-objekt"], None, 2, "Did you mean 'object-object'?"),
        (["object-object", "--values", "5"], None, 2, "multiple of 4"),
        (["smoke", "--split"], 'geometry = "orbit"\nresidue = [0]\n', 3, "split.toml, key 'residue'"),
        (["smoke", "--split"], 'geometry = "orbit\n', 3, "Correct the syntax"),
        (
            ["smoke", "--split"],
            UNCOVERED,
            3,
            "coverage at least 1",
        ),
    ],
)
def test_bad_input_gives_one_clear_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    content: str | None,
    code: int,
    line: str,
) -> None:
    if content is not None:
        (tmp_path / "split.toml").write_text(content)
        arguments = [*arguments, str(tmp_path / "split.toml")]
    assert main(["plan", *arguments]) == code
    error = capsys.readouterr().err
    assert line in error
    assert error.startswith("recombine: ")
    assert error.count("\n") == 1
