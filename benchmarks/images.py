"""How well funkc fills pictures, and how fast.

    python -m benchmarks.images                                  # a few minutes
    python -m benchmarks.images --picture bird.png --masks r33 r50 r60 r80 text scratch blocks \\
        --results benchmarks/results --name images
    python -m benchmarks.images --sections held-out speed

Needs scikit-image and opencv-contrib-python-headless (the other programs, and the pen that
draws the masks), and matplotlib for the plots.  PSNR is that of the missing pixels, SSIM that of
the corrected picture.  The defaults were chosen on crops of the pictures of "quality", so its
figures are those of a tuning set; the pictures of "held-out" were never used for it.
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
from funkc.progress import contact_sheet

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

SECTIONS = ("quality", "held-out", "channels", "speed", "threads", "large")
MASKS = ("r33", "r50", "r60", "r80", "text", "scratch", "blocks")
PICTURES = ("camera", "astronaut", "coffee", "brick")
HELD_OUT = {
    "moon": (160, 352, 160, 352),
    "chelsea": (50, 242, 100, 292),
    "grass": (0, 192, 0, 192),
    "page": (0, 190, 0, 192),
    "coins": (50, 242, 50, 242),
    "gravel": (0, 192, 0, 192),
}
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
    rng = np.random.default_rng(12345)
    if kind[0] == "r":
        return rng.random((height, width)) < int(kind[1:]) / 100
    cv2, out = opencv(), np.zeros((height, width), np.uint8)
    if kind == "text":
        for line, y in enumerate(range(18, height + 30, 30)):
            cv2.putText(out, SENTENCES[line % 4], (5 + 3 * (line % 3), y),
                        cv2.FONT_HERSHEY_SIMPLEX, 0.75, 1, 2)  # fmt: skip
    elif kind == "scratch":
        for _ in range(28):
            x, y = rng.uniform(0, width), rng.uniform(0, height)
            direction, thickness = rng.uniform(0, 2 * np.pi), int(rng.integers(1, 5))
            for _ in range(12):
                direction += rng.normal(0, 0.12)
                ends = x + 25 * np.cos(direction), y + 25 * np.sin(direction)
                cv2.line(out, (int(x), int(y)), (int(ends[0]), int(ends[1])), 1, thickness)
                x, y = ends
    else:
        for _ in range(16):
            top, left = rng.integers(4, height - 20), rng.integers(4, width - 20)
            out[top : top + 16, left : left + 16] = 1
    return out.astype(bool)


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
SLOW = (Method("FSR_FAST", frequency_selective),)  # on crops alone
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


def speed(report: Report, repeat: int) -> None:
    """Processor seconds of one thread as ratios to biharmonic, in turn."""
    truth = picture("camera")
    report.table(
        "Camera, 512 x 512, one thread: processor seconds; ratios are medians (smallest - largest)",
        "mask", "biharmonic s", "tiles s", "tiles / biharmonic", "patches s",
        "patches / biharmonic",
    )  # fmt: skip
    for kind in ("r50", "r80", "text"):
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
    for size in (500, 1000):
        started = time.perf_counter()
        biharmonic(truth[:size, :size], missing[:size, :size])
        seconds = time.perf_counter() - started
        report.row("biharmonic", f"{size * size:,}", f"{seconds:.1f}", "")


def strip(path: Path, name: str) -> None:
    """A crop with its holes, filled by everybody."""
    truth = gray(picture(name))[100:292, 200:392]
    frames = []
    for kind in ("r80", "text"):
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
    add("--picture", nargs="+", default=[], metavar="FILE", help="more pictures for quality")
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
    if "quality" in options.sections:
        pictures = {title(n): gray(picture(n)) for n in (*options.picture, *PICTURES)}
        means = compare(
            report, "Whole pictures, gray (the tuning set)", pictures, options.masks, OTHERS
        )
    if "held-out" in options.sections:
        crops = {}
        for name, (top, bottom, left, right) in HELD_OUT.items():
            crops[name] = gray(picture(name))[top:bottom, left:right].copy()
        wanted = [m for m in options.masks if m in ("r50", "r80", "text", "scratch")]
        compare(
            report,
            "Pictures that nothing was tuned on (192 x 192 crops)",
            crops,
            wanted,
            (*OTHERS, *SLOW),
        )
    if "channels" in options.sections:
        channels(report)
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
