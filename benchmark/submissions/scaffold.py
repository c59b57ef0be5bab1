"""Writing a submission to start from.

The examples are modules of this package, so they are linted, typed and tested like the rest.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from recombine.renderer.core.errors import UsageError
from recombine.renderer.core.files import write_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

Kind = Literal["encoder", "learner", "inverter"]
CLASSES: Mapping[Kind, str] = {
    "encoder": "MyEncoder",
    "learner": "MyLearner",
    "inverter": "MyInverter",
}
NOTES = """\
# {name}

One submission to `recombine`, of kind {kind}. What it must do is said in the docstrings of
`method.py`; all the rest is yours.

    recombine submission check {spec}
    recombine render smoke --scale 0.08 --out runs/toy       # a small dataset, rendered in seconds
    recombine score {spec} --data runs/toy --out runs/toy-results --seeds 2

The name on the leaderboard and the track stand on the `card`. From here to the leaderboard:
docs/submitting.md.

Weights and other files belong beside `method.py`: the code runs shut in, without network, and sees
this folder (without hidden files and links), the installed packages, and images. Load weights from
safetensors files. Settings are the fields of the dataclass; a changed one is scored anew.
"""


@dataclass(frozen=True)
class Scaffold:
    """What was written."""

    spec: str  # ``file.py:Class`` for the command line
    method: str  # identifier of the method, after the folder
    files: tuple[Path, ...]  # all files


def write_scaffold(folder: Path, kind: Kind) -> Scaffold:
    """Write a working submission into a new folder."""
    if kind not in CLASSES:
        raise UsageError(f"new-submission: expected a kind of {sorted(CLASSES)}, got {kind!r}")
    if folder.exists() or folder.is_symlink():
        raise UsageError(
            f"new-submission: {folder} exists already and is not overwritten; give another name"
        )
    example = (Path(__file__).parent / "examples" / f"{kind}.py").read_text(encoding="utf-8")
    code = re.sub(r"  # (type: ignore|noqa).*", "", example)  # our own tools' business
    name = folder.absolute().name
    slug = _slug(name) or f"my-{kind}"
    code = code.replace(f'"my-{kind}"', f'"{slug}"')
    code = code.replace(f'"My {kind}"', f'"{slug.replace("-", " ").capitalize()}"')
    method, notes = folder / "method.py", folder / "README.md"
    spec = f"{method}:{CLASSES[kind]}"
    text = NOTES.format(name=name, kind=kind, spec=spec)
    write_bytes(method, code.encode())
    write_bytes(notes, text.encode())
    return Scaffold(spec, slug, (method, notes))


def _slug(name: str) -> str:
    """Return a name as the leaderboard writes identifiers; empty when nothing is left of it."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower())[:40].strip("-")
