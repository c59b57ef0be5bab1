"""Every documented example gives what it says."""

import doctest
import importlib

import pytest


@pytest.mark.parametrize("name", ["matching", "metrics_dci", "metrics_sets", "metrics_slots"])
def test_examples_in_docstrings(name):
    module = importlib.import_module(f"recombine.benchmark.metrics.{name}")
    failed, tried = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
    assert failed == 0
    assert tried > 0
