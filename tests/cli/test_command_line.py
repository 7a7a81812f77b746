"""The command line in general: help, arguments, interrupts, pipes and terminals."""

import os
import re
import signal
import subprocess
import sys

import pytest
from commands import ONE_THREAD, POSIX, made_triples, run, run_without, write_csv

import funkc
from funkc import __main__ as command_line

# ---------------------------------------------------------------- in general


def test_help_tells_what_there_is(tmp_path):
    out, _ = run("--help", cwd=tmp_path)
    for command in ("demo", "ratings", "image"):
        assert command in out
        assert len(run(command, "--help", cwd=tmp_path)[0]) > 300
    assert run("--version", cwd=tmp_path)[0] == f"funkc {funkc.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ([], "required: COMMAND; see python -m funkc --help"),
        (["nosuch"], "invalid choice: 'nosuch'"),
        (["ratings"], "required: FILE; see python -m funkc ratings --help"),
        (["ratings", "r.csv", "--hold", "0.2"], "unrecognized arguments: --hold"),
        (["ratings", "r.csv", "--k", "0"], "--k: got '0'; pass an integer of at least 1"),
        (["ratings", "r.csv", "--epochs", "1.5"], "--epochs: got '1.5'; pass an integer"),
        (["ratings", "r.csv", "--seed", "-1"], "--seed: got '-1'; pass an integer of at least 0"),
        (["ratings", "r.csv", "--holdout", "1"], "--holdout: got '1'; .*at least 0 and below 1"),
        (["ratings", "r.csv", "--holdout", "x"], "--holdout: got 'x'"),
        (["ratings", "r.csv", "--learning-rate", "nan"], "--learning-rate: got 'nan'"),
        (["ratings", "r.csv", "--regularization", "-1"], "got '-1'; .*not negative"),
        (["ratings", "r.csv", "--columns", "a,b"], "--columns: got 'a,b'; pass three names"),
        (["ratings", "r.csv", "--columns", "0,1,2"], "counted from 1"),
        (["ratings", "r.csv", "--factors", "no/x.npz"], "got 'no/x.npz'; .*existing folder"),
        (["ratings", "r.csv", "--factors", "."], "got '.'; .*not of a folder"),
        (["image", "i.png", "-o", "o.png"], "--mask --missing-color --remove is required"),
        (["image", "i.png", "--remove", "0.3"], "required: -o"),
        (["image", "i.png", "--remove", "1", "-o", "o.png"], "--remove: got '1'"),
        (["image", "i.png", "--remove", ".3", "--mask", "m.png", "-o", "o.png"], "not allowed"),
        (["image", "i.png", "--missing-color", "12345", "-o", "o.png"], "six hexadecimal"),
        (["image", "i.png", "--remove", ".3", "-o", "o.png", "--tile", "8"], "such as 16x16"),
    ],
)
def test_arguments_that_do_not_fit(arguments, match, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as caught:
        command_line.main(arguments)
    assert caught.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert re.search(match, err), err


# ---------------------------------------------------------------- interrupts, pipes and terminals


def test_tqdm_is_optional(tmp_path):
    write_csv(tmp_path / "r.csv", made_triples())
    done = run_without("tqdm", "ratings", "r.csv", "--epochs", "2", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not POSIX, reason="no SIGINT for a child elsewhere")
def test_ctrl_c(tmp_path):
    write_csv(tmp_path / "r.csv", made_triples())
    (tmp_path / "f.npz").write_text("old")
    arguments = ["ratings", "r.csv", "--epochs", "1000000000", "--factors", "f.npz"]
    with subprocess.Popen(
        [sys.executable, "-m", "funkc", *arguments],
        cwd=tmp_path,
        env=ONE_THREAD,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # A job in the background of a shell begins with Ctrl-C ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        while not process.stdout.readline().startswith(b"epoch"):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == b"funkc: interrupted\n"
    assert (tmp_path / "f.npz").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.skipif(not POSIX, reason="pipes break in other ways elsewhere")
def test_a_reader_that_goes_away(tmp_path):
    write_csv(tmp_path / "r.csv", made_triples())
    with subprocess.Popen(
        [sys.executable, "-m", "funkc", "ratings", "r.csv", "--epochs", "1000000"],
        cwd=tmp_path,
        env=ONE_THREAD,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


@pytest.mark.skipif(not POSIX, reason="needs a pseudo-terminal")
def test_a_terminal_sees_a_bar(tmp_path):
    pytest.importorskip("tqdm")
    import fcntl
    import pty
    import struct
    import termios

    write_csv(tmp_path / "r.csv", made_triples())
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    with subprocess.Popen(
        [sys.executable, "-m", "funkc", "ratings", "r.csv", "--epochs", "1"],
        cwd=tmp_path,
        env=ONE_THREAD,
        stdout=subprocess.PIPE,
        stderr=theirs,
    ) as process:
        out, _ = process.communicate(timeout=60)
    os.close(theirs)  # so that reading ends where nothing was written
    try:
        shown = os.read(ours, 10_000)
    except OSError:
        shown = b""
    os.close(ours)
    assert b"reading" in shown
    assert b"reading" not in out
