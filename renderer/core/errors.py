"""Typed errors with stable exit codes, shared by every part of the project.

A message answers four questions: who, what was expected, what came, what to do.
"""

from __future__ import annotations

from typing import Any


class RecombineError(Exception):
    """Base of every error that a user can cause; the command line prints it as one line.

    Attributes
    ----------
    exit_code : int
        Process exit code: 2 usage, 3 invalid input or submission, 4 resource limit,
        5 integrity failure.
    """

    exit_code = 3

    def __reduce__(self) -> tuple[Any, ...]:
        # Workers send errors to the first process, and subclasses take arguments of their own.
        return _restored, (type(self), self.args, self.__dict__)


def _restored(
    kind: type[RecombineError], arguments: tuple[Any, ...], state: dict[str, Any]
) -> RecombineError:
    error = kind.__new__(kind, *arguments)
    error.__dict__.update(state)
    return error


class UsageError(RecombineError):
    """A command was asked for something that does not exist (preset, option, path)."""

    exit_code = 2


class InvalidInputError(RecombineError):
    """A file, value or submission does not have the form that was promised."""

    exit_code = 3


class ResourceError(RecombineError):
    """The machine lacks something: disk space, memory, Blender, the right Python."""

    exit_code = 4


class IntegrityError(RecombineError):
    """Stored data differ from what was sealed."""

    exit_code = 5
