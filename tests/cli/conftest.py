"""Fixtures of the tests of the command line."""

import re

import pytest

from funkc import __main__ as command_line


@pytest.fixture
def refused(tmp_path, monkeypatch, capsys):
    """Run a command in this process (which is faster), for what it says when it refuses."""
    monkeypatch.chdir(tmp_path)

    def run_here(*arguments, match):
        assert command_line.main([str(argument) for argument in arguments]) == 2
        err = capsys.readouterr().err
        assert re.search(match, err), err
        assert err.startswith("funkc: error: ")
        assert err.count("\n") == 1

    return run_here
