"""How well funkc fills pictures, and how fast.

    python -m benchmarks.images                                  # a quarter of an hour
    python -m benchmarks.images --folder DIR --masks r80 stroke8 --sections quality
    python -m benchmarks.images --results benchmarks/results --name images

Needs scikit-image and opencv-contrib-python-headless (the other programs, and the pen that
draws the masks), bm3d for one of them, nibabel for a volume, and matplotlib for the plot.  PSNR is
that of the missing pixels.  Passes for thin strokes were chosen on the pictures of "quality"; all
else was chosen on crops of 128 x 128 of four of them and on two others (barbara and boat).
"""

from __future__ import annotations

import argparse
import datetime
import statistics
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import funkc
from benchmarks import plots
from benchmarks.peers import peak_of
from benchmarks.ratings import Machine, Report, load_average
from funkc.progress import as_bytes, contact_sheet

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

SECTIONS = ("quality", "peers", "channels", "volumes", "speed", "threads", "large")
MASKS = (
    "dead1", "r50", "r80", "r90", "r95", "sub2", "altrows", "rows20", "text", "line3", "scratch",
    "stroke4", "stroke8", "stroke12", "block8", "block16", "block32", "border6",
)  # fmt: skip
# Where crops of 256 x 256 begin, if the picture is that large.
PICTURES = {
    "camera": (96, 120), "astronaut": (0, 130), "coffee": (80, 180), "brick": (100, 100),
    "moon": (160, 160), "chelsea": (20, 100), "grass": (50, 50), "coins": (40, 60),
    "gravel": (100, 100), "rocket": (80, 200), "immunohistochemistry": (100, 100),
    "hubble_deep_field": (300, 300), "retina": (500, 500), "page": (0, 60), "clock": (20, 60),
}  # fmt: skip
SENTENCES = (
    "Sphinx of black quartz, judge my solemn vow",
    "Pack my box with five dozen liquor jugs now",
    "The quick brown fox jumps over the lazy dog",
    "How vexingly quick daft zebras jump at noon",
)


def opencv() -> Any:
    try:
        import cv2
    except ImportError:
        raise SystemExit(
            "OpenCV is not installed; run `python -m pip install opencv-contrib-python-headless`"
        ) from None
    return cv2


def mask(kind: str, height: int, width: int) -> NDArray[np.bool_]:
    """True where a pixel is missing."""
    rng = np.random.default_rng(777)
    if kind[0] == "r" and kind[1:].isdigit():
        return rng.random((height, width)) < int(kind[1:]) / 100
    name, size = kind.rstrip("0123456789"), int("0" + kind.lstrip("abcdefghijklmnopqrstuvwxyz"))
    out = np.zeros((height, width), np.uint8)
    if name == "dead":
        return rng.random((height, width)) < size / 100
    if name == "sub":
        out[:] = 1
        out[::size, ::size] = 0
    elif name == "altrows":
        out[1::2] = 1
    elif name == "rows":
        out[rng.random(height) < size / 100] = 1
    elif name == "line":
        for row in rng.choice(height // 8, 6, replace=False):
            out[row * 8 : row * 8 + size] = 1
    elif name == "border":
        out[:] = 1
        out[size:-size, size:-size] = 0
    elif name == "block":
        while out.mean() < 0.1:
            top, left = rng.integers(0, height - size), rng.integers(0, width - size)
            out[top : top + size, left : left + size] = 1
    elif name == "text":
        for line, y in enumerate(range(18, height + 30, 30)):
            opencv().putText(out, SENTENCES[line % 4], (5 + 3 * (line % 3), y),
                             opencv().FONT_HERSHEY_SIMPLEX, 0.75, 1, 2)  # fmt: skip
    elif name == "scratch":
        for _ in range(28):
            draw(rng, out, int(rng.integers(1, 5)), 12, 25, 0.12)
    else:
        while out.mean() < 0.12:
            draw(rng, out, size, 5, 20, 0.3)
    return out.astype(bool)


def draw(
    rng: np.random.Generator, out: NDArray[np.uint8], thickness: int, parts: int, length: float,
    bend: float,
) -> None:  # fmt: skip
    """A stroke that bends at random."""
    x, y = rng.uniform(0, out.shape[1]), rng.uniform(0, out.shape[0])
    direction = rng.uniform(0, 2 * np.pi)
    for _ in range(parts):
        direction += rng.normal(0, bend)
        ends = x + length * np.cos(direction), y + length * np.sin(direction)
        opencv().line(out, (int(x), int(y)), (int(ends[0]), int(ends[1])), 1, thickness)
        x, y = ends


def gray(picture: NDArray[Any]) -> NDArray[np.uint8]:
    from skimage.color import rgb2gray

    if picture.ndim == 3:
        picture = np.rint(255 * rgb2gray(picture[:, :, :3])).astype(np.uint8)
    return picture


def picture(name: str) -> NDArray[Any]:
    """One of scikit-image's pictures, or a file."""
    from skimage import data, io

    if Path(name).suffix:
        pixels: NDArray[Any] = io.imread(name)
    else:
        pixels = getattr(data, name)()
    return pixels


def crop(pixels: NDArray[Any], top: int, left: int, size: int) -> NDArray[np.uint8]:
    top, left = (
        max(0, min(at, n - size)) for at, n in zip((top, left), pixels.shape, strict=False)
    )
    return np.ascontiguousarray(gray(pixels)[top : top + size, left : left + size])


def title(name: str) -> str:
    return Path(name).stem


# ---------------------------------------------------------------- who fills


class Method(NamedTuple):
    name: str
    fill: Callable[[NDArray[np.uint8], NDArray[np.bool_]], NDArray[Any]]


def biharmonic(image: NDArray[np.uint8], missing: NDArray[np.bool_]) -> NDArray[Any]:
    from skimage.restoration import inpaint_biharmonic

    return 255 * inpaint_biharmonic(image, missing, channel_axis=-1 if image.ndim == 3 else None)


def telea(image: NDArray[np.uint8], missing: NDArray[np.bool_]) -> NDArray[Any]:
    cv2 = opencv()
    return cv2.inpaint(image, missing.astype(np.uint8), 3, cv2.INPAINT_TELEA)  # type: ignore[no-any-return]


def navier_stokes(image: NDArray[np.uint8], missing: NDArray[np.bool_]) -> NDArray[Any]:
    cv2 = opencv()
    return cv2.inpaint(image, missing.astype(np.uint8), 3, cv2.INPAINT_NS)  # type: ignore[no-any-return]


def sparse_groups(image: NDArray[np.uint8], missing: NDArray[np.bool_]) -> NDArray[Any]:
    """Group-based sparse representation (Zhang, Zhao & Gao 2014), 120 iterations of split Bregman:
    groups of sixty 8 x 8 patches within twenty pixels, whose small singular values are cut off."""
    from scipy.interpolate import griddata

    size, similar, reach, least, mu = 8, 60, 20, 125.5, 2.5e-3
    known = ~missing
    observed = np.where(missing, 0, image).astype(float)
    x = observed.copy()
    for method in ("linear", "nearest"):
        left = missing if method == "linear" else np.isnan(x)
        x[left] = griddata(np.argwhere(known), observed[known], np.argwhere(left), method=method)
    tops, lefts = (n - size + 1 for n in image.shape)
    starts = [
        (top, left)
        for top in sorted({*range(0, tops, 4), tops - 1})
        for left in sorted({*range(0, lefts, 4), lefts - 1})
    ]
    within = np.add.outer(np.arange(size) * image.shape[1], np.arange(size)).ravel()
    c = np.zeros_like(x)
    for _ in range(120):
        wanted = x - c
        views = np.lib.stride_tricks.sliding_window_view(wanted, (size, size))
        total, count = np.zeros((2, image.size))
        for top, left in starts:
            rows = slice(max(0, top - reach), top + reach + 1)
            cols = slice(max(0, left - reach), left + reach + 1)
            patches = views[rows, cols]
            distances = ((patches - views[top, left]) ** 2).sum(axis=(2, 3))
            best = np.argpartition(distances.ravel(), similar - 1)[:similar]
            at = np.unravel_index(best, distances.shape)
            U, scales, V = np.linalg.svd(patches[at].reshape(similar, -1), full_matrices=False)
            made = (U * np.where(scales > least, scales, 0)) @ V
            places = ((at[0] + rows.start) * image.shape[1] + at[1] + cols.start)[:, None] + within
            total += np.bincount(places.ravel(), made.ravel(), image.size)
            count += np.bincount(places.ravel(), minlength=image.size)
        made = (total / count).reshape(image.shape)
        right = known * observed + mu * (made + c)
        x = (right - known * right / (mu + 1)) / mu
        c += made - x
    return x


def denoised_backwards(image: NDArray[np.uint8], missing: NDArray[np.bool_]) -> NDArray[Any]:
    """Iterative denoising and backward projections (Tirer & Giryes 2019) with BM3D, 36 steps."""
    import bm3d

    z = biharmonic(image, missing)
    for deviation in (*np.geomspace(40, 5, 18), *[5.0] * 18):
        z = np.where(missing, 255 * bm3d.bm3d(z / 255, deviation / 255), image)
    return z


def frequency_selective(image: NDArray[np.uint8], missing: NDArray[np.bool_]) -> NDArray[Any]:
    cv2 = opencv()
    out = np.zeros_like(image)
    cv2.xphoto.inpaint(image, (~missing).astype(np.uint8) * 255, out, cv2.xphoto.INPAINT_FSR_FAST)
    return out


def ours(method: str, **options: Any) -> Callable[..., NDArray[Any]]:
    def fill(image: NDArray[np.uint8], missing: NDArray[np.bool_]) -> NDArray[Any]:
        channels = -1 if image.ndim == 3 else None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # that blocks are wide
            return funkc.inpaint(image, missing, method=method, channel_axis=channels, **options)  # type: ignore[call-overload,no-any-return]

    return fill


REFERENCE = Method("biharmonic", biharmonic)
OTHERS = (Method("Telea", telea), Method("Navier-Stokes", navier_stokes))
SLOW = (  # on crops alone
    Method("patches, fine", ours("patches", n_threads=1, quality="fine")),
    Method("FSR_FAST", frequency_selective),
    Method("GSR", sparse_groups),
    Method("IDBP", denoised_backwards),
)
OURS = (
    Method("tiles", ours("tiles", n_threads=1)),
    Method("patches", ours("patches", n_threads=1)),
)


class Score(NamedTuple):
    psnr: float
    ssim: float
    seconds: float  # of processors


def score(method: Method, truth: NDArray[np.uint8], missing: NDArray[np.bool_]) -> Score:
    from skimage.metrics import peak_signal_noise_ratio, structural_similarity

    corrupted = np.where(missing if truth.ndim == missing.ndim else missing[..., None], 0, truth)
    started = time.process_time()
    made = method.fill(corrupted.astype(np.uint8), missing).astype(np.float64)
    seconds = time.process_time() - started
    wanted = truth.astype(np.float64)
    return Score(
        peak_signal_noise_ratio(wanted[missing], made[missing], data_range=255),
        structural_similarity(
            wanted, made, data_range=255, channel_axis=-1 if truth.ndim == 3 else None
        ),
        seconds,
    )


# ---------------------------------------------------------------- what is told


def compare(
    report: Report,
    heading: str,
    pictures: dict[str, NDArray[np.uint8]],
    masks: list[str],
    others: tuple[Method, ...],
) -> dict[tuple[str, str], float]:
    """One table: PSNR over biharmonic's, SSIM and seconds; and the mean gains."""
    methods = (*others, *OURS)
    report.table(
        heading, "picture", "mask", "biharmonic dB (SSIM; s)",
        *(f"{m.name}: dB over it (SSIM; s / its s)" for m in methods),
    )  # fmt: skip
    means: dict[tuple[str, str], float] = {}
    for kind in masks:
        gains: dict[str, list[float]] = {m.name: [] for m in methods}
        for name, truth in pictures.items():
            missing = mask(kind, *truth.shape[:2])
            base = score(REFERENCE, truth, missing)
            cells = []
            for method in methods:
                it = score(method, truth, missing)
                gains[method.name].append(it.psnr - base.psnr)
                cells.append(
                    f"{it.psnr - base.psnr:+.2f} ({it.ssim:.4f}; {it.seconds / base.seconds:.2f})"
                )
            report.row(name, kind, f"{base.psnr:.2f} ({base.ssim:.4f}; {base.seconds:.2f})", *cells)
        report.row(
            "**mean**", kind, "", *(f"**{statistics.mean(gains[m.name]):+.2f}**" for m in methods)
        )
        means.update({(kind, name): statistics.mean(all_) for name, all_ in gains.items()})
    return means


def channels(report: Report) -> None:
    """Masks of their own for every channel, 66.7 % missing each."""
    report.table("Channels that miss different pixels (66.7 % each), 128 x 128 crops", "picture",
                 "biharmonic, each channel dB", "patches dB", "over it")  # fmt: skip
    for name, (top, left) in {"coffee": (150, 200), "astronaut": (50, 200)}.items():
        truth = picture(name)[top : top + 128, left : left + 128, :3]
        missing = np.random.default_rng(12345).random(truth.shape) < 2 / 3
        corrupted = np.where(missing, 0, truth).astype(np.uint8)
        base = np.dstack(
            [
                biharmonic(*(np.ascontiguousarray(a[:, :, c]) for a in (corrupted, missing)))
                for c in range(3)
            ]
        )
        made = ours("patches")(corrupted, missing)
        psnr = [
            -10 * np.log10(np.mean((a[missing] - truth[missing].astype(float)) ** 2) / 255**2)
            for a in (base, made.astype(float))
        ]
        report.row(name, f"{psnr[0]:.2f}", f"{psnr[1]:.2f}", f"{psnr[1] - psnr[0]:+.2f}")


def films() -> dict[str, NDArray[np.uint8]]:
    """Sixteen frames or fewer of 96 x 96: a photograph that moves, ellipsoids, and a brain."""
    photo = gray(picture("coffee"))
    found = {
        "film": np.stack(
            [photo[80 + 2 * t : 176 + 2 * t, 150 + 3 * t : 246 + 3 * t] for t in range(12)]
        )
    }
    rng, axes = np.random.default_rng(0), np.mgrid[-1:1:16j, -1:1:96j, -1:1:96j]  # type: ignore[misc]
    ellipsoids = np.zeros(axes.shape[1:])
    for _ in range(25):
        centre, radii = rng.uniform(-0.8, 0.8, (3, 1, 1, 1)), rng.uniform(0.1, 0.5, (3, 1, 1, 1))
        ellipsoids += rng.uniform(20, 90) * ((((axes - centre) / radii) ** 2).sum(axis=0) < 1)
    found["ellipsoids"] = as_bytes(ellipsoids)
    try:
        import nibabel
    except ImportError:
        return found
    path = Path(nibabel.__file__).parent / "tests" / "data" / "example4d.nii.gz"
    brain = np.moveaxis(np.asarray(nibabel.load(path).dataobj)[..., 0], 2, 0)
    found["brain"] = as_bytes(brain[4:20, 16:112, :96].astype(float))
    return found


def volumes(report: Report) -> None:
    report.table("Volumes", "volume", "mask", "by frames dB (s)", "as a volume: over it (s)")
    rng = np.random.default_rng(5)
    for name, truth in films().items():
        depth, height, width = truth.shape
        masks = {
            "r80, each frame its own": rng.random(truth.shape) < 0.8,
            "r80, one for all": np.stack([rng.random((height, width)) < 0.8] * depth),
            "text, one for all": np.stack([mask("text", height, width)] * depth),
        }
        for kind, missing in masks.items():
            corrupted = np.where(missing, 0, truth).astype(np.uint8)
            results = []
            for whole in (False, True):
                started = time.process_time()
                parts = [(corrupted, missing)] if whole else zip(corrupted, missing, strict=True)
                made = np.stack([funkc.inpaint(*part, n_threads=1) for part in parts])
                seconds = time.process_time() - started
                error = (made.reshape(truth.shape)[missing] - truth[missing].astype(float)) ** 2
                results.append((10 * np.log10(255**2 / error.mean()), seconds))
            (frames, one), (volume, other) = results
            report.row(
                name, kind, f"{frames:.2f} ({one:.1f})", f"{volume - frames:+.2f} ({other:.1f})"
            )


def speed(report: Report, repeat: int) -> None:
    """Processor seconds of one thread as ratios to biharmonic, in turn."""
    truth = picture("camera")
    report.table(
        "Camera, 512 x 512, one thread: processor seconds; ratios are medians (smallest - largest)",
        "mask", "biharmonic s", "tiles s", "tiles / biharmonic", "patches s",
        "patches / biharmonic",
    )  # fmt: skip
    for kind in ("r50", "r80", "text", "stroke8"):
        missing = mask(kind, *truth.shape)
        rounds = [
            [score(m, truth, missing).seconds for m in (REFERENCE, *OURS)] for _ in range(repeat)
        ]
        bases, tiles, patches = (list(column) for column in zip(*rounds, strict=True))
        cells: list[str] = [f"{statistics.median(bases):.2f}"]
        for times in (tiles, patches):
            ratios = [a / b for a, b in zip(times, bases, strict=True)]
            cells += [
                f"{statistics.median(times):.3f}",
                f"{statistics.median(ratios):.3f} ({min(ratios):.3f} - {max(ratios):.3f})",
            ]
        report.row(kind, *cells)


def threads(report: Report, repeat: int) -> None:
    truth = picture("camera")
    missing = mask("r50", *truth.shape)
    report.table("Seconds by number of threads (camera, r50), medians", "method", "1", "2", "1 / 2")
    for name in ("tiles", "patches"):
        seconds: dict[int, list[float]] = {1: [], 2: []}
        for _ in range(repeat):
            for n, times in seconds.items():
                started = time.perf_counter()
                ours(name, n_threads=n)(truth, missing)
                times.append(time.perf_counter() - started)
        one, two = (statistics.median(times) for times in seconds.values())
        report.row(name, f"{one:.3f}", f"{two:.3f}", f"{one / two:.2f}")


def large(report: Report) -> None:
    """Twelve megapixels in colour, half of them missing; biharmonic on growing parts of it."""
    truth = np.tile(picture("astronaut")[:, :, :3], (6, 8, 1))[:3000, :4000].copy()
    missing = mask("r50", *truth.shape[:2])
    report.table(
        "4000 x 3000, colour, half missing", "method", "pixels", "seconds",
        "bytes beyond picture and result, for a pixel and channel",
    )  # fmt: skip
    started = time.perf_counter()
    ours("tiles")(truth, missing)
    seconds = time.perf_counter() - started
    beyond = peak_of(lambda: ours("tiles")(truth, missing)) - truth.nbytes
    report.row("tiles", f"{missing.size:,}", f"{seconds:.1f}", f"{beyond / truth.size:.1f}")
    started = time.perf_counter()
    ours("patches")(truth, missing)
    report.row("patches", f"{missing.size:,}", f"{time.perf_counter() - started:.1f}", "")
    dead = np.zeros((2048, 2048), bool)
    dead[tuple(np.random.default_rng(0).integers(20, 2028, (2, 10)))] = True
    started = time.perf_counter()
    ours("patches")(np.tile(gray(picture("camera")), (4, 4)), dead)
    report.row("patches, 10 dead pixels", f"{dead.size:,}",
               f"{time.perf_counter() - started:.2f}", "")  # fmt: skip
    for size in (500, 1000):
        started = time.perf_counter()
        biharmonic(truth[:size, :size], missing[:size, :size])
        seconds = time.perf_counter() - started
        report.row("biharmonic", f"{size * size:,}", f"{seconds:.1f}", "")


def strip(path: Path, name: str) -> None:
    """A crop with its holes, filled by everybody."""
    truth = gray(picture(name))[100:292, 200:392]
    frames = []
    for kind in ("r80", "text", "stroke8"):
        missing = mask(kind, *truth.shape)
        holes = np.where(missing, 0, truth).astype(np.uint8)
        frames += [(f"{title(name)}, {kind}", holes)]
        for method in (REFERENCE, *OTHERS[:1], *OURS):
            made = np.clip(np.rint(method.fill(holes, missing)), 0, 255).astype(np.uint8)
            frames.append((method.name, made))
    contact_sheet(frames, columns=5).save(path)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    add = parser.add_argument
    add("--folder", type=Path, metavar="DIR", help="pictures instead of scikit-image's")
    add("--masks", nargs="+", choices=MASKS, default=list(MASKS))
    add("--sections", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    add("--repeat", type=int, default=5, help="rounds of timings")
    add("--results", metavar="DIR", type=Path, help="write a dated table and pictures there")
    add("--name", default="images")
    options = parser.parse_args()
    date = datetime.date.today().isoformat()
    machine, report = Machine.here(), Report()
    report.say(f"# Pictures, {date}\n")
    for line in (*machine.lines(), f"* load average before: {load_average():.2f}"):
        report.say(line)
    means = {}
    crops = {name: crop(picture(name), *at, 256) for name, at in PICTURES.items()}
    if options.folder is not None:
        crops = {path.stem: crop(picture(str(path)), 0, 0, 256)
                 for path in sorted(options.folder.iterdir())}  # fmt: skip
    if "quality" in options.sections:
        means = compare(report, "Crops of 256 x 256, gray", crops, options.masks, OTHERS)
    if "peers" in options.sections:
        small = {name: whole[64:192, 64:192].copy() for name, whole in list(crops.items())[:4]}
        wanted = [kind for kind in options.masks if kind in ("text", "stroke8")]
        compare(report, "Crops of 128 x 128", small, wanted, SLOW)
    if "channels" in options.sections:
        channels(report)
    if "volumes" in options.sections:
        volumes(report)
    if "speed" in options.sections:
        speed(report, options.repeat)
    if "threads" in options.sections:
        threads(report, options.repeat)
    if "large" in options.sections:
        large(report)
    report.say(f"\nLoad average after: {load_average():.2f}")
    if options.results is not None:
        options.results.mkdir(parents=True, exist_ok=True)
        stem = options.results / f"{date}-{options.name}"
        stem.with_suffix(".md").write_text("\n".join(report.lines) + "\n", encoding="utf-8")
        if means:
            plots.gain(Path(f"{stem}-gain.png"), means, machine.footnote(date))
        strip(Path(f"{stem}-strip.png"), "coffee")


if __name__ == "__main__":
    main()
