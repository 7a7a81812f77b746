"""Small images and volumes to be filled, and what must hold of all of them.

Observed pixels come back bit by bit, filled ones are finite and within the range of the observed
ones that are not hot, threads leave no trace, and on ramps the error is at most one and a half
times that of the mean of the observed pixels.
"""

import warnings

import numpy as np

import funkc

DTYPES = (bool, np.uint8, np.int8, np.uint16, np.int32, np.uint64, np.float16, np.float32, float)
MASKS = ("scattered", "blocks", "lines", "border", "all but one", "none", "lost frames")
KINDS = ("ramp", "noise", "constant", "waves", "few values", "wide range", "hot")


def problem(number):
    """Image, mask, options, and whether it is a ramp."""
    rng = np.random.default_rng([number, 17])
    n_axes = rng.choice([2, 2, 3])
    shape = tuple(int(n) for n in rng.integers(1, 41, 2))
    if n_axes == 3:
        shape = (int(rng.integers(1, 6)), *(min(n, 24) for n in shape))
    n_channels = int(rng.choice([0, 0, 0, 1, 2, 3, 4, 9]))
    full = (n_channels, *shape) if n_channels else shape
    dtype = np.dtype(DTYPES[rng.integers(len(DTYPES))])
    kind = KINDS[rng.integers(len(KINDS))]
    image = values(rng, kind, full, n_axes)
    with np.errstate(over="ignore"):
        image = in_dtype(image, dtype)
    own = bool(rng.integers(2))
    missing = mask(rng, full if own else shape, n_axes)
    method = ("patches", "patches", "patches", "tiles", "funk")[rng.integers(5)]
    options = {
        "method": method,
        "random_state": int(rng.integers(2**32)),
        "n_threads": int(rng.integers(1, 4)),
        "channel_axis": 0 if n_channels else None,
        "volume": bool(n_axes == 3),
    }
    if method == "patches" and rng.integers(3) == 0:
        options["quality"] = "fine"
    if rng.integers(4) == 0:
        options["k"] = int(rng.integers(1, 17))
    return image, missing, options, kind == "ramp" and dtype.kind == "f" and method != "funk"


def values(rng, kind, full, n_axes):
    """Numbers between 0 and 1, but for what is hot."""
    axes = np.indices(full)[len(full) - n_axes :].astype(float)
    slopes = rng.uniform(-1, 1, n_axes)
    ramp = sum(slope * axis / 40 for slope, axis in zip(slopes, axes, strict=True)) / 6 + 0.5
    if kind == "ramp":
        return ramp
    if kind == "constant":
        return np.full(full, rng.random())
    if kind == "waves":
        return 0.5 + 0.4 * np.sin(20 * ramp) * np.cos(axes[-1] / 3)
    noise = rng.random(full)
    if kind == "few values":
        return np.floor(noise * 3) / 3
    if kind == "wide range":
        return 10.0 ** (40 * noise - 40)
    if kind == "hot":
        noise /= 100
        noise[rng.random(full) < 0.003] = 1
    return noise


def in_dtype(image, dtype):
    """The numbers scaled to what the dtype holds."""
    if dtype.kind == "f":
        return image.astype(dtype)
    if dtype.kind == "b":
        return image > 0.5
    info = np.iinfo(dtype)
    low, high = max(info.min, -(2**31)), min(info.max, 2**31)
    return (low + np.clip(image, 0, 1) * (high - low)).astype(dtype)


def mask(rng, full, n_axes):
    """True where a pixel is missing; of every channel something is seen."""
    kind = MASKS[rng.integers(len(MASKS))]
    missing = np.zeros(full, bool)
    height, width = full[-2:]
    if kind == "scattered":
        missing = rng.random(full) < rng.choice([0.01, 0.1, 0.5, 0.8, 0.97])
    elif kind == "blocks":
        for _ in range(int(rng.integers(1, 5))):
            top, left = rng.integers(height), rng.integers(width)
            tall, wide = rng.integers(1, 25, 2)
            missing[..., top : top + tall, left : left + wide] = True
    elif kind == "lines":
        step, thick = int(rng.integers(3, 15)), int(rng.integers(1, 4))
        missing[..., np.arange(height) % step < thick, :] = True
        missing[..., np.arange(width) % (step + 3) < thick] = True
    elif kind == "border":
        missing[...] = True
        edge = int(rng.integers(1, 8))
        missing[..., edge:-edge, edge:-edge] = False
    elif kind == "all but one":
        missing[...] = True
    elif kind == "lost frames" and n_axes == 3:
        missing[..., rng.random(full[-3]) < 0.4, :, :] = True
    by_channel = missing if len(full) > n_axes else missing[None]
    for part in by_channel:
        if part.all():
            part[tuple(int(rng.integers(n)) for n in part.shape)] = False
    return missing


def without_hot(seen):
    """Without what is more than one range outside of that of all but a thousandth at each end."""
    ordered = np.sort(seen).astype(float)
    drop = max(1, ordered.size // 1000)
    if ordered.size < 64 or ordered[drop] == ordered[-1 - drop]:
        return seen
    low, high = ordered[drop], ordered[-1 - drop]
    return seen[(seen >= 2 * low - high) & (seen <= 2 * high - low)]


def check(number):
    """Raise an AssertionError if something does not hold."""
    image, missing, options, is_ramp = problem(number)
    if options["method"] == "funk":
        planes = missing.reshape(-1, *missing.shape[-2:])
        if planes.all(axis=(1, 2)).any():  # it fills each frame by itself
            options["method"] = "tiles"
    before = image.copy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        out, generated = funkc.inpaint(image, missing, return_generated=True, **options)
        plain = funkc.inpaint(image, missing, **{**options, "n_threads": 1})
    kept = np.broadcast_to(missing, image.shape)
    assert np.array_equal(image, before, equal_nan=True), "the image was changed"
    assert (out.dtype, out.shape) == (image.dtype, image.shape), "another shape or dtype"
    assert out[~kept].tobytes() == image[~kept].tobytes(), "observed pixels were changed"
    assert out.tobytes() == plain.tobytes(), "threads or the generated image leave a trace"
    if out.dtype.kind == "f":
        assert np.isfinite(out).all(), "not finite"
        assert np.isfinite(generated).all(), "not finite"
    n_channels = len(image) if options["channel_axis"] == 0 else 1
    for truth, made, hole in zip(
        *(a.reshape(n_channels, -1) for a in (image, out, kept)), strict=True
    ):
        seen = without_hot(truth[~hole])
        assert (made[hole] >= seen.min()).all(), "below the range"
        assert (made[hole] <= seen.max()).all(), "above the range"
        if is_ramp and hole.any():
            error, constant = (
                np.sqrt(np.mean((truth[hole].astype(float) - fill) ** 2))
                for fill in (made[hole].astype(float), seen.astype(float).mean())
            )
            # A pixel in the middle may happen to be the mean.
            slack = 4 * np.finfo(truth.dtype).eps * float(np.abs(truth).max())
            slack += 1e-3 * float(np.ptp(seen.astype(float)))
            assert error <= 1.5 * constant + slack, f"error {error:.3g}, constant {constant:.3g}"


def describe(number):
    """The image, the mask and the options."""
    image, missing, options, _ = problem(number)
    return f"{image.shape} {image.dtype}, {missing.mean():.0%} missing, {options}"
