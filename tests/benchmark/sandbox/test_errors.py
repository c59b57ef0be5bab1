"""Every way to end has one reason, and untrusted text stays text."""

import json
import pickle
from dataclasses import replace
from typing import get_args

import pytest
from shut_in import TIGHT

from recombine.benchmark.predictions.safetensors_guard import TensorFileError
from recombine.benchmark.sandbox import errors
from recombine.benchmark.sandbox.child import _failure, _Witness
from recombine.benchmark.sandbox.errors import (
    TODO,
    Failure,
    SubmissionError,
    parse,
    printable,
    raise_failure,
    raise_stopped,
    refuse_network,
)
from recombine.benchmark.sandbox.process import (
    MIB,
    RESOURCES,
    Ended,
    LimitError,
    Reason,
    RefusedError,
    refusal,
)
from recombine.renderer.core.errors import InvalidInputError, RecombineError, ResourceError


def ended(code=3, output="", stopped=None, detail=""):
    return Ended(code, output, stopped, detail, 1.0)


def failure(**over):
    fields = {
        "stage": "fit",
        "exit_code": None,
        "type": "RuntimeError",
        "message": "no luck",
        "errors": [],
        "file": "",
        "memory": False,
        "network": [],
        "traceback": "Traceback ...",
    }
    return {"failure": json.dumps({**fields, **over})}


def raised(metadata, how=None):
    with pytest.raises(RecombineError) as caught:
        raise_failure("x, seed 0", how or ended(), metadata, TIGHT)
    return caught.value


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"network": ["socket.connect ('1.1.1.1', 80)"]}, "network"),
        ({"errors": [101]}, "network"),
        ({"errors": [97]}, "network"),
        ({"memory": True}, "memory-limit"),
        ({"errors": [12]}, "memory-limit"),
        ({"errors": [11]}, "process-limit"),
        ({"message": "can't start new thread"}, "process-limit"),
        ({"errors": [28]}, "output-limit"),
        ({"errors": [27]}, "output-limit"),
        ({"errors": [2], "file": "/etc/shadow"}, "outside-file"),
        ({"errors": [13], "file": "/root/x"}, "outside-file"),
        ({"errors": [30], "file": "/usr/x"}, "outside-file"),
        ({"errors": [1]}, "blocked-call"),
        ({"type": "SystemExit"}, "no-answer"),
    ],
)
def test_failures_that_come_from_a_rule(change, reason):
    error = raised(failure(**change))
    assert error.reason == reason
    assert isinstance(error, LimitError if reason in RESOURCES else RefusedError)
    assert str(error).startswith(f"x, seed 0: refused [{reason}]: ")
    assert "during fit" in str(error)
    assert str(error).endswith(TODO[reason])


def test_failures_of_its_own():
    error = raised(failure())
    assert isinstance(error, SubmissionError)
    assert str(error) == "x, seed 0: fit failed with RuntimeError: no luck"
    assert "Traceback" in error.report


def test_a_model_that_cannot_be_compiled_here_is_told_what_is_missing(monkeypatch):
    missing = failure(type="InductorError", errors=[2], file="g++")
    monkeypatch.setattr(errors, "lacks_for_compiling", lambda: ["a C++ compiler"])
    told = raised(missing)
    assert isinstance(told, ResourceError)
    assert "torch.compile) needs a C++ compiler" in str(told)
    monkeypatch.setattr(errors, "lacks_for_compiling", list)
    assert raised(missing).reason == "outside-file"  # all is there: it looked for something else


@pytest.mark.parametrize(("code", "kind"), [(3, InvalidInputError), (4, ResourceError)])
def test_errors_of_this_project_keep_their_words_and_code(code, kind):
    error = raised(failure(exit_code=code, message="expected slots"))
    assert type(error) is kind
    assert str(error) == "expected slots"


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        (ended(139), "crashed"),
        (ended(-6), "crashed"),
        (ended(0), "no-answer"),
        (ended(1, "MemoryError\n"), "memory-limit"),
        (ended(1, "something\nlast words"), "no-answer"),
    ],
)
def test_deaths_without_a_word(how, reason):
    assert raised(None, how).reason == reason
    assert raised({}, how).reason == reason


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        (ended(-9), "memory-limit"),
        (ended(137), "memory-limit"),
        (ended(152), "time-limit"),
        (ended(153), "output-limit"),
        *((ended(-15, stopped=r, detail="d"), r) for r in ("time-limit", "label-decoy")),
    ],
)
def test_stops_from_outside(how, reason):
    with pytest.raises(RecombineError) as caught:
        raise_stopped("x", how, TIGHT)
    assert caught.value.reason == reason


def test_nothing_is_raised_for_a_normal_end():
    raise_stopped("x", ended(0), TIGHT)
    raise_stopped("x", ended(3, "bwrap is my favourite"), TIGHT)


def test_a_sandbox_that_cannot_be_set_up_is_our_problem_not_theirs():
    with pytest.raises(ResourceError, match=r"could not be set up.*No such file") as caught:
        raise_stopped("x", ended(1, "bwrap: Can't find source path /x: No such file"), TIGHT)
    assert not isinstance(caught.value, LimitError)


def test_quiet_network_attempts():
    refuse_network("x", {"run": json.dumps({"network": []})}, "run")
    refuse_network("x", {}, "run")
    refuse_network("x", {"run": "[" * 10_000}, "run")
    told = {"run": json.dumps({"network": ["socket.connect"]})}
    refuse_network("x", told, "check")
    with pytest.raises(RefusedError, match="network"):
        refuse_network("x", told, "run")


@pytest.mark.parametrize(
    "change",
    [
        {"stage": "elsewhere"},
        {"exit_code": 0},
        {"errors": [-1]},
        {"errors": ["1"]},
        {"errors": [1] * 51},
        {"extra": 1},
        {"memory": 1},
        {"message": "x" * 2001},
        {"type": 3},
    ],
)
def test_reports_of_another_form_are_refused(change):
    with pytest.raises(RefusedError, match="failure report") as caught:
        parse(Failure, failure(**change), "failure", "x")
    assert caught.value.reason == "no-answer"


@pytest.mark.parametrize("text", ["", "null", "[]", "{", "NaN", "[" * 100_000])
def test_reports_that_are_no_reports(text):
    with pytest.raises(RefusedError):
        parse(Failure, {"failure": text}, "failure", "x")
    with pytest.raises(RefusedError):
        parse(Failure, {}, "failure", "x")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"message": "No such file: /job/code/weights/model.bin"}, True),
        ({"errors": [2], "file": "/job/code/weights/model.bin"}, True),
        ({"errors": [2], "file": "/job/code/weights/model.bin.index"}, False),
        ({"message": "no luck"}, False),
    ],
)
def test_a_file_that_was_not_shown_is_named_with_the_reason(change, named):
    hidden = {"weights/model.bin": "it is a link; copy the file", "method": "of another reason"}
    with pytest.raises(RecombineError) as caught:
        raise_failure("x, seed 0", ended(), failure(**change), TIGHT, hidden)
    note = "; weights/model.bin was not shown, because it is a link; copy the file"
    assert (note in str(caught.value)) == named
    assert "another reason" not in str(caught.value)


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError("No such file or directory: /job/code/model.bin"),  # as safetensors does
        FileNotFoundError(2, "No such file or directory", "/job/code/model.bin"),
    ],
)
def test_a_file_that_is_not_there_is_known_with_and_without_a_number(error):
    report = {"failure": json.dumps(_failure(error, _Witness()))}
    told = parse(Failure, report, "failure", "x")
    assert told.errors == (2,)
    assert told.file == "/job/code/model.bin"


def test_no_terminal_takes_text_for_commands():
    text = "a\x1b[31mred\r\nb\u202ec\x00d\x9b2J"
    assert all(c.isprintable() for c in printable(text))
    assert "\x1b" not in str(raised(failure(message=text)))
    assert len(printable("x" * 9999)) == 500


@pytest.mark.parametrize("fails", [{"exit_code": 3}, {"type": "ValueError"}, {"stage": "load"}])
def test_with_less_memory_than_torch_needs_every_failure_is_of_the_limit(fails):
    little = replace(TIGHT, memory_bytes=200 * MIB)
    with pytest.raises(LimitError, match=r"may use 0\.195 GiB.*alone need 512 MiB.*max-memory-gb"):
        raise_failure("x", ended(), failure(**fails), little)
    with pytest.raises(LimitError, match="alone need 512 MiB"):
        raise_failure("x", ended(1, "odd words"), None, little)


def test_every_reason_has_an_advice():
    assert set(TODO) == set(get_args(Reason))
    for reason in TODO:
        error = refusal("x", reason, "it did", TODO[reason])
        assert error.exit_code == (4 if reason in RESOURCES else 3)


@pytest.mark.parametrize(
    "error",
    [
        refusal("who", "places-by-masks", "got", "todo"),
        refusal("who", "time-limit", "got", "todo"),
        SubmissionError("message", "report"),
        TensorFileError("wrong-shape", "who", "one", "two"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_reaches_the_parent_of_a_worker_process(error):
    back = pickle.loads(pickle.dumps(error))
    assert (type(back), str(back), vars(back)) == (type(error), str(error), vars(error))
