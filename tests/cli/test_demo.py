"""``python -m funkc demo``."""

import re
from pathlib import Path

import numpy as np
import pytest
from commands import numbers_in, run
from PIL import Image

import funkc
from funkc import __main__ as command_line
from funkc._cli.demo import DEMO_RATINGS


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    pytest.importorskip("skimage")
    folder = tmp_path_factory.mktemp("demo")
    out, _ = run("demo", cwd=folder)
    return folder, out


@pytest.mark.slow
def test_demo_table(demo):
    out = demo[1]
    lines = out.splitlines()
    start = next(at for at, line in enumerate(lines) if line.startswith(" movie factors"))
    values = DEMO_RATINGS
    fit = funkc.factorize(~np.isnan(values), values, 1, biases=False)
    assert numbers_in(lines[start]) == [round(float(y), 2) for y in fit.col_factors[:, 0]]
    for at, line in enumerate(lines[start + 1 : start + 10]):
        before, after = line[:14].split(), line[14:].split()
        assert [math_of(cell) for cell in before] == pytest.approx(values[at], nan_ok=True)
        factor, product, filled = float(after[0]), after[1:6], [float(x) for x in after[6:]]
        assert factor == pytest.approx(fit.row_factors[at, 0], abs=0.005)
        assert [float(x) for x in product] == pytest.approx(fit.reconstruct()[at], abs=0.051)
        observed = ~np.isnan(values[at])
        assert np.array_equal(np.array(filled)[observed], values[at][observed])
        holes = np.rint(fit.reconstruct()[at][~observed])
        assert np.array_equal(np.array(filled)[~observed], holes)
    assert len({len(line) for line in lines[start + 1 : start + 10]}) == 1  # aligned


def math_of(cell):
    return float("nan") if cell == "." else float(cell)


@pytest.mark.slow
def test_demo_pictures(demo):
    from skimage import data
    from skimage.metrics import peak_signal_noise_ratio

    folder, out = demo
    names = ["corrupted", "generated", "corrected", "contact-sheet"]
    wanted = {f"{name}.png" for name in names}
    assert {path.name for path in (folder / "funkc-demo").iterdir()} == wanted
    for name in names:
        assert str(Path("funkc-demo") / f"{name}.png") in out
    truth = data.camera()
    missing = np.random.default_rng(0).random(truth.shape) < 1 / 3
    pictures = {}
    for name in names[:3]:
        with Image.open(folder / "funkc-demo" / f"{name}.png") as image:
            pictures[name] = np.asarray(image)
    assert np.array_equal(pictures["corrupted"], np.where(missing, 0, truth))
    assert np.array_equal(pictures["corrected"][~missing], truth[~missing])
    assert np.array_equal(pictures["corrected"][missing], pictures["generated"][missing])
    for name in names[:3]:
        line = next(line for line in out.splitlines() if line.startswith(f"  {name}"))
        quality = peak_signal_noise_ratio(truth[missing], pictures[name][missing])
        assert numbers_in(line)[0] == pytest.approx(quality, abs=0.006)
    assert quality > 20
    assert re.search(r"filled in \d+\.\d+ s", out)
    with Image.open(folder / "funkc-demo" / "contact-sheet.png") as sheet:
        assert sheet.width > 4 * truth.shape[1]


def test_demo_writes_where_it_is_told(tmp_path, monkeypatch, refused):
    data = pytest.importorskip("skimage.data")
    part = data.camera()[:64, :64]
    monkeypatch.setattr(data, "camera", lambda: part)
    monkeypatch.chdir(tmp_path)
    assert command_line.main(["demo", "--output", "a/b"]) == 0
    assert len(list((tmp_path / "a" / "b").iterdir())) == 4
    (tmp_path / "file").touch()
    refused("demo", "--output", "file", match="file: File exists")
