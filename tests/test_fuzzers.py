"""The campaign of tools/fuzz calls whatever is public."""

import importlib
import inspect
import os
from pathlib import Path

import numpy as np
import pytest

import funkc
from funkc import capi, evaluation, progress, ratings

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.skipif(
    os.name != "posix" or not (ROOT / "tools" / "fuzz").is_dir(),
    reason="the tools are not beside the tests, or not for this system",
)
pytest.importorskip("sklearn")


@pytest.fixture
def fuzz(monkeypatch):
    monkeypatch.syspath_prepend(ROOT)
    return lambda name: importlib.import_module(f"tools.fuzz.{name}")


def public_names():
    """Functions, classes, methods and properties that may be set, as the fuzzers name them."""
    names = {f"funkc.h: {name}" for name in capi.addresses() if name != "api"}
    things = {
        name: getattr(funkc, name) for name in [*funkc.__all__, "FunkImputer", "FunkRecommender"]
    }
    for module in (capi, evaluation, progress, ratings):
        for name, thing in vars(module).items():
            if not name.startswith("_") and name not in things and name in own_names(module):
                things[f"{module.__name__.rpartition('.')[2]}.{name}"] = thing
    for name, thing in things.items():
        if not inspect.isclass(thing):
            names.add(name)
        elif "__init__" in vars(thing) or not issubclass(thing, BaseException):
            if name != "Factorization":  # which funkc alone makes
                names.add(name)
            names |= {f"{name}.{member}" for member in members(thing)}
    return names


def own_names(module):
    """What it offers: what it lists, and what is defined in it."""
    defined = {name for name, thing in vars(module).items()
               if getattr(thing, "__module__", None) == module.__name__}  # fmt: skip
    return defined | set(getattr(module, "__all__", ()))


def members(kind):
    """Methods of its own, and with a = what may be assigned."""
    whole = [base for base in kind.__mro__ if base.__module__.startswith("funkc")]
    for name, member in {k: v for base in whole for k, v in vars(base).items()}.items():
        if type(member).__module__.startswith("sklearn"):  # set_fit_request, which it adds
            continue
        if isinstance(member, property):
            if member.fset is not None and not name.startswith("_"):
                yield f"{name}="
        elif name == "__call__" or (not name.startswith("_") and callable(getattr(kind, name))):
            yield name


def test_every_public_function_is_called(fuzz):
    called = fuzz("calls").CALLS.keys() | fuzz("capi").CALLS
    assert sorted(public_names() - called) == [], "not fuzzed"
    assert sorted(called - public_names()) == [], "not public"


def test_what_is_drawn_for_it_is_mostly_valid(fuzz):
    calls = fuzz("calls")

    def succeeds(name, number):
        try:
            return calls.outcome(calls.Problem(number, name))[1] is None
        except Exception:  # what should not be raised is for the campaign to tell
            return False

    names = fuzz("calls").CALLS
    assert [name for name in names if not any(succeeds(name, n) for n in range(20))] == []


def test_what_is_passed_depends_on_the_number_alone(fuzz):
    calls = fuzz("calls")
    numbers = np.random.default_rng(0).integers(0, 10**6, 40).tolist()
    told = [calls.describe(number) for number in numbers]
    assert told == [calls.describe(number) for number in numbers]
    assert len(set(told)) == len(told)
