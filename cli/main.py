"""`recombine NOUN VERB`: finds the command, runs it, turns typed errors into one line.

Only the chosen command is imported, so help answers at once.
"""

from __future__ import annotations

import difflib
import importlib
import os
import platform
import signal
import sys
import textwrap
from pathlib import Path
from types import FrameType
from typing import Any

from recombine.cli import console

LONGEST_NAME, LONGEST_PATH = 240, 4000
NOUNS = {
    "quickstart": "render, train, score and compare, all in one go",
    "doctor": "check Python, Blender, disk and sandbox; make one test render",
    "render": "render a preset into a dataset folder; resumes",
    "dataset": "plan, fetch, import, verify, preview, card, export, merge, rerender, reference",
    "measure": "interaction, influence, tangents: scenes drawn again, changed",
    "score": "train and score methods over seeds and sizes; resumes",
    "submission": "new, check, inputs, bundle, review",
    "results": "compare, rescore, plot, table, page, additivity, questions",
    "board": "build, serve, release, check, diff, mark, export, register: the leaderboard",
    "season": "open, score, reveal, audit: combinations that nobody knows",
    "study": "invertibility x encoder size, VAE variance",
}
VERBS = {
    "dataset plan": "show what a preset holds: cells, splits, images",
    "dataset fetch": "fetch the data of a board, or say how to render them",
    "dataset import": "turn labelled images of other people into a dataset",
    "dataset verify": "re-derive every claim about a dataset; seals a certificate",
    "dataset preview": "draw the contact sheet of a dataset, or a page",
    "dataset card": "write the data card: README, sheet, certificate",
    "dataset export": "write a dataset as Parquet, WebDataset or image folder",
    "dataset merge": "join and seal shards that several machines have drawn",
    "dataset rerender": "draw one image again: check its bits or see it larger",
    "dataset reference": "draw the 64 images that show whether a copy is the published one",
    "measure interaction": "how much objects interact in the pixels",
    "measure influence": "exact masks of what an edit changes",
    "measure tangents": "training images with one slot changed a little",
    "submission new": "write a working example to start from",
    "submission check": "try a submission on built-in images, in seconds",
    "submission inputs": "write the images to answer, for predictions elsewhere",
    "submission bundle": "bundle results and predictions for a pull request",
    "submission review": "score results again from predictions; put it on record",
    "results compare": "say whether two entries really differ",
    "results rescore": "compute result files anew from stored predictions",
    "results plot": "draw a figure for a paper",
    "results table": "write a LaTeX or Markdown table for a paper",
    "results page": "make figures and tables of a document anew",
    "results additivity": "is an edit of a scene the same vector in every context",
    "results questions": "ask questions about whole scenes: how many, is there one",
    "board build": "build the static site from result files",
    "board serve": "build it and show it on this machine",
    "board release": "keep the site for good, packed and listed",
    "board check": "verify result files",
    "board diff": "show what new result files change on the board",
    "board mark": "put on record that a result is disputed or withdrawn",
    "board export": "write the entries as data",
    "board register": "make rendered data the data of a board",
    "season open": "draw secret combinations and publish commitments",
    "season score": "log one attempt of a team and answer it in percent",
    "season reveal": "end the season and publish its key",
    "season audit": "check log, signatures, commitments and limits",
}
RENAMED = {
    "plan": "`recombine dataset plan`; its --estimate is now of `recombine render`",
    "slurm": "`recombine render --slurm`",
    "merge": "`recombine dataset merge`",
    "verify": "`recombine dataset verify`",
    "preview": "`recombine dataset preview`",
    "rerender": "`recombine dataset rerender`",
    "card": "`recombine dataset card`",
    "export": "`recombine dataset export`",
    "interaction": "`recombine measure interaction`",
    "counterfactual": "`recombine measure influence`",
    "tangents": "`recombine measure tangents`",
    "new-submission": "`recombine submission new`",
    "check": "`recombine submission check`",
    "train": "`recombine score`",
    "questions": "`recombine submission inputs`",
    "compare": "`recombine results compare`",
    "rescore": "`recombine results rescore`",
    "plot": "`recombine results plot`; tables are `recombine results table`",
    "submit": "`recombine submission bundle`",
    "review": "`recombine submission review`",
    "analyse": "`recombine study`",
    "private": "`recombine season`",
    "attack": "a part of `recombine doctor`; the whole corpus is `pytest tests/redteam`",
}

EPILOG = """
Three things people do:
  recombine render smoke --out runs/smoke        render dataset splits
  recombine score my_model.py:MyLearner --data runs/smoke
                                                 submit a model for scoring
  recombine board build --results runs/results   compare on the leaderboard

`recombine NOUN --help` tells more. Every command takes --json, and can be run
again after an interruption. Exit codes: 0 ok, 2 usage, 3 invalid input or
submission, 4 resource limit, 5 integrity failure.
"""


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    from recombine.renderer.core.errors import RecombineError

    args = sys.argv[1:] if argv is None else argv
    console.open_streams()
    try:
        return _main(args)
    except RecombineError as error:
        return _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        return _fail("interrupted; everything finished so far is kept, run it again to resume", 130)
    except BrokenPipeError:
        console.silence(sys.stdout)
        return 0
    except OSError as error:
        # What files and the machine refuse has no place of its own everywhere.
        where = f"{error.filename}: " if error.filename else ""
        return _fail(f"{where}the system refused it: {error.strerror or error}", 4)


def _main(args: list[str]) -> int:
    if not (3, 11) <= sys.version_info[:2] < (3, 14):
        here = platform.python_version()
        return _fail(f"recombine needs Python 3.11, 3.12 or 3.13; this is {here}.", 4)
    if args[:1] == ["--version"]:
        from importlib.metadata import version

        console.line(f"recombine {version('recombine')}")
        return 0
    text = _help(args)
    if text:
        console.write(text)
        return 0
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return int(parse(args).run() or 0)
    finally:
        console.write("")  # what others have written, the help of a command too, is out now


def parse(args: list[str]) -> Any:
    """Return the command that words stand for, with its options, not yet run."""
    from recombine.renderer.core.errors import UsageError

    noun = args[0]
    if noun in RENAMED:
        raise UsageError(f"`{noun}` is now {RENAMED[noun]}")
    if noun not in NOUNS:
        raise UsageError(_unknown("command", noun, list(NOUNS)))
    verbs = _verbs(noun)
    if not verbs:
        return _command(noun, noun, args[1:])
    verb = args[1]
    if verb not in verbs:
        raise UsageError(_unknown(noun, verb, verbs))
    return _command(noun, verb, args[2:])


def _command(noun: str, verb: str, args: list[str]) -> Any:
    """Parse options with the class of the verb's name in the module of the noun's."""
    import tyro

    command = getattr(importlib.import_module(f"recombine.cli.{noun}"), verb.capitalize())
    prog = f"recombine {noun}" if noun == verb else f"recombine {noun} {verb}"
    return tyro.cli(
        command,
        prog=prog,
        args=args,
        config=(tyro.conf.FlagCreatePairsOff,),
        registry=_registry(),
    )


def _registry() -> Any:
    """Return how options are read: paths that no file can have are refused."""
    from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

    registry = ConstructorRegistry()

    @registry.primitive_rule
    def path(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Path] | None:
        if info.type is not Path:
            return None
        return PrimitiveConstructorSpec(
            nargs=1,
            metavar="PATH",
            instance_from_str=lambda words: _path(words[0]),
            is_instance=lambda value: isinstance(value, Path),
            str_from_instance=lambda value: [str(value)],
        )

    return registry


def _path(text: str) -> Path:
    from recombine.renderer.core.errors import UsageError

    name = max(os.fsencode(text).split(b"/"), key=len)
    # Files are written under a longer name first; see `replacing`.
    if not text or "\0" in text or len(name) > LONGEST_NAME or len(text) > LONGEST_PATH:
        shown = ascii(text if len(text) <= 60 else f"{text[:57]}...")
        raise UsageError(
            f"path: expected 1 to {LONGEST_NAME} bytes per name, {LONGEST_PATH} in all; got "
            f"{shown}. Choose another path."
        )
    return Path(text)


def _verbs(noun: str) -> list[str]:
    return [name.split()[1] for name in VERBS if name.split()[0] == noun]


def _unknown(what: str, got: str, known: list[str]) -> str:
    near = difflib.get_close_matches(got, known, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"{what}: expected one of {', '.join(known)}; got {got!r}.{hint}"


def _help(args: list[str]) -> str:
    """Return the list of nouns, or of the verbs of one; nothing where a command was given."""
    asked = args[-1:] in ([], ["-h"], ["--help"])
    if args in ([], ["-h"], ["--help"]):
        lines = ["usage: recombine NOUN [VERB] [options]", ""]
        lines += ["Can a model perceive combinations of concepts that it never saw together?", ""]
        for name, about in NOUNS.items():
            lines += textwrap.wrap(
                about, 80, initial_indent=f"  {name:<12}", subsequent_indent=" " * 14
            )
        return "\n".join(lines) + "\n" + EPILOG
    verbs = _verbs(args[0])
    if verbs and (len(args) == 1 or (len(args) == 2 and asked)):
        lines = [f"usage: recombine {args[0]} VERB [options]", ""]
        lines += [f"  {verb:<12}{VERBS[f'{args[0]} {verb}']}" for verb in verbs]
        return "\n".join([*lines, "", f"`recombine {args[0]} VERB --help` tells more.", ""])
    return ""


def _fail(message: str, code: int) -> int:
    console.note(f"recombine: {message}")
    return code


def _interrupt(_signum: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
