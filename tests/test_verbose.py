"""What training shows: nothing, a bar, lines in the log."""

import logging
import sys

import pytest
from checkpoints import Killed, fitted, killed_after, observed

import funkc


def test_nothing_is_printed_unless_asked_for(tmp_path, capfd, caplog):
    path = tmp_path / "x"
    with caplog.at_level(logging.INFO, "funkc"):
        fit = fitted(checkpoint=path, validation=0.2)
        fit.save(tmp_path / "y")
        funkc.load(tmp_path / "y").partial_fit(None, observed()).top(0)
        funkc.resume(path, None, observed())
    assert tuple(capfd.readouterr()) == ("", "")
    assert not caplog.records


def test_a_bar_is_shown_on_stderr(tmp_path, capfd):
    pytest.importorskip("tqdm")
    path = tmp_path / "x"
    for call in (
        lambda: fitted(verbose=True, checkpoint=path, validation=0.2),
        lambda: fitted().partial_fit(None, observed(), verbose=True),
        lambda: fitted(learning_rate=0.5, n_epochs=4, verbose=True),  # it begins again
    ):
        call()
        out, err = capfd.readouterr()
        assert out == ""
        assert "training: 100%" in err
        assert "RMSE" in err
    with pytest.raises(Killed):
        fitted(checkpoint=path, callback=killed_after(2))
    seen = []
    funkc.resume(path, None, observed(), verbose=True, callback=lambda e, h: seen.append(e))
    assert "3/3" in capfd.readouterr().err
    assert seen == [3]


def test_without_tqdm_every_epoch_is_logged(capfd, caplog, monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    with caplog.at_level(logging.INFO, "funkc"):
        fit = fitted(verbose=True, validation=0.2)
    assert [record.name for record in caplog.records] == ["funkc"] * 3
    error, held = fit.history["train_rmse"][1], fit.history["validation_rmse"][1]
    assert caplog.messages[1] == f"epoch 2 of 3: RMSE {error:.4g}, held out {held:.4g}"
    assert tuple(capfd.readouterr()) == ("", "")
