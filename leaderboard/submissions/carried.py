"""The code that a bundle carries: the files that the sandbox showed, and nothing more.

How they are run stands in the predictions, and is written nowhere else: code, settings, seeds and
options. The key of every run was made of these and of the files, so it tells whether the files are
those that ran. It holds nobody to anything who writes the predictions by hand; a rerun does.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from recombine.benchmark.predictions.file import read_predictions
from recombine.benchmark.running.harness import made_by
from recombine.benchmark.sandbox import code as sandbox
from recombine.benchmark.sandbox.code import Located
from recombine.benchmark.sandbox.isolation import identity_of
from recombine.renderer.core.errors import InvalidInputError
from recombine.renderer.core.files import replacing

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

CODE = "code/"
_NAME = "[A-Za-z0-9_][A-Za-z0-9._-]{0,99}"
CODE_PATH = rf"{CODE}({_NAME}/){{0,8}}{_NAME}"
MAX_CODE = 50 * 2**20
"""Bytes of code and weights; GitHub warns of single files above it."""


def carry(located: Located, folder: Path) -> None:
    """Copy a submission's files into a bundle's folder."""
    if located.installed:
        raise InvalidInputError(
            f"bundle: expected code in a folder of its own, got the installed {located.module}; "
            "import it from a file.py:Class, and score that"
        )
    size = sum((located.root / name).stat().st_size for name in located.files)
    if size > MAX_CODE:
        raise InvalidInputError(
            f"bundle: expected at most {MAX_CODE >> 20} MiB of code and weights, got {size:,} "
            "bytes; leave the code out, and give a link to it"
        )
    for name in located.files:
        with replacing(folder / CODE / name) as target:
            shutil.copyfile(located.root / name, target)


def carried(folder: Path, listed: Iterable[str], code: str) -> Located:
    """Return where the code in a bundle is; nothing of it is imported."""
    module, _, attribute = code.rpartition(":")
    files = tuple(sorted(Path(path).relative_to(CODE) for path in listed))
    strange = [name for name in files if name.suffix not in sandbox.CODE | sandbox.WEIGHTS]
    top = module if module.endswith(".py") else module.partition(".")[0]
    missing = not any(name.parts[0] in (top, f"{top}.py") for name in files)
    if strange or missing or not attribute.isidentifier():
        raise InvalidInputError(
            f"{folder}: expected the code of {code}, got "
            f"{strange[0] if strange else 'none of that name'}; write the bundle again"
        )
    return Located(module, attribute, files, folder / CODE, installed=False)


def require_maker(located: Located, predictions: Sequence[Path]) -> None:
    """Check that predictions name code as that which made them, file by file, shut in."""
    source = located.source_sha256()
    for path in predictions:
        facts = read_predictions(path).facts
        about = identity_of(located.code, source, facts.settings, facts.card)
        if not made_by(facts, about):
            raise InvalidInputError(
                f"{path}: expected predictions that `recombine score` made under bubblewrap with "
                f"the {len(located.files)} files of {located.code} beside them, got a run of "
                f"{facts.code} with other files, in another way or of another version; score it "
                "again with the files as they are now, in a folder of their own"
            )
