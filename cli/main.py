"""`recombine COMMAND`: finds the command, runs it, turns typed errors into one line.

Only the chosen command is imported, so help answers at once.
"""

from __future__ import annotations

import difflib
import importlib
import platform
import signal
import sys
from types import FrameType
from typing import Any

COMMANDS: dict[str, tuple[str, str]] = {
    "quickstart": ("quickstart:Quickstart", "render, train, score and compare, all in one go"),
    "doctor": ("doctor:Doctor", "check Python, Blender, disk and make one test render"),
    "plan": ("render:Plan", "show what a preset holds: cells, splits, images"),
    "render": ("render:Render", "render a preset into a dataset folder; resumes"),
    "slurm": ("slurm:Slurm", "write a Slurm job array that renders a preset"),
    "merge": ("merge:Merge", "join and seal shards that several machines have drawn"),
    "verify": ("data:Verify", "re-derive every claim about a dataset; seals a certificate"),
    "preview": ("data:Preview", "draw the contact sheet of a dataset"),
    "rerender": ("rerender:Rerender", "draw one image again: check its bits or see it larger"),
    "card": ("card:Card", "write the data card of a preset: README, sheet, certificate"),
    "export": ("data:Export", "write a dataset as Parquet, WebDataset or image folder"),
    "interaction": ("interaction:Interaction", "measure how much objects interact in the pixels"),
    "counterfactual": ("interaction:Counterfactual", "write exact influence masks of edits"),
    "tangents": ("interaction:Tangents", "draw training images with one slot changed a little"),
    "new-submission": ("new_submission:NewSubmission", "write a working example to start from"),
    "check": ("check:Check", "try a submission on built-in images, in seconds"),
    "train": ("train:Train", "train baselines over seeds and training-set sizes; resumes"),
    "questions": ("questions:Questions", "write the images to answer, for predictions elsewhere"),
    "score": ("score:Score", "train and score a submission on a dataset; resumes"),
    "compare": ("compare:Compare", "say whether two entries really differ"),
    "rescore": ("rescore:Rescore", "compute result files anew from stored predictions"),
    "plot": ("plot:Plot", "draw a figure for a paper from result files"),
    "submit": ("submit:Submit", "bundle results and predictions for a pull request"),
    "review": ("review:Review", "score results again from predictions, and put it on record"),
    "analyse": ("analyse:Analyse", "studies: invertibility x encoder size, VAE variance"),
    "private": ("private:Private", "run or audit a season with secret combinations"),
    "attack": ("attack:Attack", "run bad submissions against this installation"),
    "board": ("board:Board", "build the static leaderboard page from result files"),
}

EPILOG = """\
Three things people do:
  recombine render smoke --out runs/smoke        render dataset splits
  recombine score my_model.py:MyLearner --data runs/smoke
                                                 submit a model for scoring
  recombine board build --results runs/results
                                                 compare on the leaderboard

Exit codes: 0 ok, 2 usage, 3 invalid input or submission, 4 resource limit, 5 integrity failure.
Every command takes --help and --json, and can be run again after an interruption."""


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code.

    Parameters
    ----------
    argv : list of str, optional
        Arguments without the program name; `sys.argv` by default.
    """
    args = sys.argv[1:] if argv is None else argv
    if not (3, 11) <= sys.version_info[:2] < (3, 14):
        here = platform.python_version()
        return _fail(f"recombine needs Python 3.11, 3.12 or 3.13; this is {here}.", 4)
    if not args or args[0] in ("-h", "--help"):
        sys.stdout.write(_help())
        return 0
    if args[0] == "--version":
        from importlib.metadata import version

        sys.stdout.write(f"recombine {version('recombine')}\n")
        return 0
    if args[0] not in COMMANDS:
        near = difflib.get_close_matches(args[0], COMMANDS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        expected = ", ".join(COMMANDS)
        return _fail(f"command: expected one of {expected}; got {args[0]!r}.{hint}", 2)
    return _run(args[0], args[1:])


def _run(name: str, args: list[str]) -> int:
    from recombine.renderer.errors import RecombineError

    signal.signal(signal.SIGTERM, _interrupt)
    try:
        command = _parse(name, args)
        return int(command.run() or 0)
    except RecombineError as error:
        return _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        return _fail("interrupted; everything finished so far is kept, run it again to resume", 130)
    except BrokenPipeError:
        return 0


def _parse(name: str, args: list[str]) -> Any:
    import tyro

    module, _, attribute = COMMANDS[name][0].partition(":")
    command = getattr(importlib.import_module(f"recombine.cli.{module}"), attribute)
    config = (tyro.conf.FlagCreatePairsOff,)
    return tyro.cli(command, prog=f"recombine {name}", args=args, config=config)


def _help() -> str:
    lines = ["usage: recombine COMMAND [options]", ""]
    lines += ["Can a model perceive combinations of concepts that it never saw together?", ""]
    lines += [f"  {name:<16}{about}" for name, (_, about) in COMMANDS.items()]
    return "\n".join([*lines, "", EPILOG]) + "\n"


def _fail(message: str, code: int) -> int:
    sys.stderr.write(f"recombine: {message}\n")
    return code


def _interrupt(_signum: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
