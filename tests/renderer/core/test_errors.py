"""Typed errors survive the way from a worker process."""

import pickle

from recombine.renderer.core.errors import InvalidInputError


class NamedError(InvalidInputError):
    def __init__(self, reason, who):
        super().__init__(f"{who}: {reason}")
        self.reason = reason


def test_an_error_with_arguments_of_its_own_can_be_sent():
    error = pickle.loads(pickle.dumps(NamedError("network", "mine")))
    assert isinstance(error, NamedError)
    assert (str(error), error.reason, error.exit_code) == ("mine: network", "network", 3)
