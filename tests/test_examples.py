"""The examples in docstrings do what they show."""

import doctest
import importlib
import pkgutil

import pytest

import whimbrel

MODULES = sorted(module.name for module in pkgutil.walk_packages(whimbrel.__path__, "whimbrel.") if not module.ispkg)


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_do_what_they_show(name: str) -> None:
    failed, _ = doctest.testmod(importlib.import_module(name), verbose=False)
    assert failed == 0
