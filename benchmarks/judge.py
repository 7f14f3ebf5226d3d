"""The C path of the judge at the paper's size: the workflow's way against the published recipe, in one run.

Data of the paper's shape are made up: correlated features of falling variance, 18.9 % of the rows positive, and a best
linear rule whose AUC is near 0.81. The published recipe is StandardScaler and cold `LogisticRegression` fits at library
defaults in double precision; a few of its 19 values are timed and scaled up. Each way runs in a process of its own, so
that each has a peak of its own.

    python benchmarks/judge.py --json FILE             # the paper's size: 131,594 rows of 6,144 features
    python benchmarks/judge.py --scale 0.1             # a tenth of the rows and of the features
"""

import argparse
import sys
import threading
import time
from multiprocessing import get_context
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "workflow_scripts"))

import numpy as np  # noqa: E402
import psutil  # noqa: E402
import torch  # noqa: E402
from report import write_report  # noqa: E402
from sklearn.metrics import roc_auc_score  # noqa: E402

from autojudge.jobs.provenance import current_commit  # noqa: E402

ROWS, VALIDATION, WIDTH = 131_594, 14_135, 6_144
LOGIT_MEAN, LOGIT_SPREAD = -1.955, 1.41  # normal logits: 18.9 % positive, and the best rule has an AUC of 0.81
STRENGTHS = sorted([10 ** (-k / 2) for k in range(1, 15)] + [1, 3, 10, 50, 100])
PUBLISHED = [0, 4, 8, 13, 18]  # of these, the values that are timed with the published recipe
LATENT = 512  # directions that features share


def make_data(rows, width, seed):
    """Return features (rows, width), float16 as mining stores them, and labels (rows,)."""
    structure, rng = np.random.default_rng(0), np.random.default_rng(seed)
    latent = min(LATENT, width)
    mixing = structure.standard_normal((latent, width), dtype=np.float32)
    mixing *= (1 + np.arange(latent, dtype=np.float32))[:, None] ** -0.5
    offset = 3 * structure.standard_normal(width, dtype=np.float32)
    direction = structure.standard_normal(latent, dtype=np.float32)
    direction /= np.linalg.norm(direction)
    x, y = np.empty((rows, width), dtype=np.float16), np.empty(rows, dtype=bool)
    for start in range(0, rows, 4096):
        z = rng.standard_normal((min(4096, rows - start), latent), dtype=np.float32)
        noise = 0.3 * rng.standard_normal((len(z), width), dtype=np.float32)
        x[start : start + len(z)] = z @ mixing + noise + offset
        y[start : start + len(z)] = rng.random(len(z)) < 1 / (1 + np.exp(-LOGIT_MEAN - LOGIT_SPREAD * (z @ direction)))
    return x, y


def watch_memory(peak):
    """Note the process's largest resident size until the process ends."""
    process = psutil.Process()
    while True:
        peak[0] = max(peak[0], process.memory_info().rss)
        time.sleep(0.05)


def fit_ours(train, validation):
    """Fit the whole path as the workflow does; yield (C, AUC on validation, converged, seconds)."""
    from autojudge.judging.logistic import LogisticPath

    (x, y), (x_validation, y_validation) = train, validation
    start = time.monotonic()
    for line in LogisticPath(x, y).fit(STRENGTHS):
        seconds = time.monotonic() - start
        yield line.C, roc_auc_score(y_validation, line.logit(x_validation)), line.converged, seconds
        start = time.monotonic()


def fit_published(train, validation):
    """Fit a few values as the published script does; the seconds of the first hold the scaler's."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    (x, y), (x_validation, y_validation) = train, validation
    start = time.monotonic()
    scaler = StandardScaler()
    x, x_validation = scaler.fit_transform(x), scaler.transform(x_validation)
    scaling = time.monotonic() - start
    for i in PUBLISHED:
        start = time.monotonic()
        model = LogisticRegression(C=STRENGTHS[i]).fit(x, y)
        seconds = time.monotonic() - start
        auc = roc_auc_score(y_validation, model.predict_proba(x_validation)[:, 1])
        yield STRENGTHS[i], auc, bool(model.n_iter_[0] < model.max_iter), seconds
    yield None, None, None, scaling


WAYS = {"workflow": (fit_ours, np.float32), "published": (fit_published, np.float64)}


def run(way, files, threads, send):
    """Run one way in this process and send its figures."""
    import warnings

    warnings.simplefilter("ignore")
    torch.set_num_threads(threads)
    peak = [0]
    threading.Thread(target=watch_memory, args=(peak,), daemon=True).start()
    fit, dtype = WAYS[way]
    sets = [(np.load(f"{file}_x.npy", mmap_mode="r").astype(dtype), np.load(f"{file}_y.npy")) for file in files]
    fits = []
    for found in fit(*sets):
        fits.append(found)
        print(way, *found, flush=True)
    send.send((fits, peak[0]))


def measure(way, files, threads):
    """Return a way's fits and its peak memory in bytes."""
    context = get_context("spawn")
    receive, send = context.Pipe(duplex=False)
    process = context.Process(target=run, args=(way, files, threads, send))
    process.start()
    send.close()
    fits, peak = receive.recv()
    process.join()
    return fits, peak


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the rows and of the features")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", default="/var/tmp", help="where the made-up data are put (2 GB at full size)")
    parser.add_argument("--json", help="file to write the figures to")
    args = parser.parse_args()
    width, files = int(WIDTH * args.scale), []
    for name, rows, seed in (("train", ROWS, 1), ("validation", VALIDATION, 2)):
        x, y = make_data(int(rows * args.scale), width, seed)
        files.append(str(Path(args.folder) / f"autojudge_benchmark_{name}"))
        np.save(f"{files[-1]}_x.npy", x)
        np.save(f"{files[-1]}_y.npy", y)
        print(f"{name}: {x.shape[0]} rows of {width} features, {100 * y.mean():.1f} % positive", flush=True)
        del x, y
    ours, our_peak = measure("workflow", files, args.threads)
    published, their_peak = measure("published", files, args.threads)
    for file in files:
        for part in "xy":
            Path(f"{file}_{part}.npy").unlink()
    seconds = sum(fit[3] for fit in ours)
    *cold, (*_, scaling) = published
    theirs = scaling + sum(fit[3] for fit in cold) * len(STRENGTHS) / len(cold)
    by_c = {fit[0]: fit for fit in ours}
    gaps = {c: auc - by_c[c][1] for c, auc, converged, _ in cold if converged}
    report = {
        "minutes": seconds / 60,
        "peak_gib": our_peak / 2**30,
        "speedup": theirs / seconds,
        "memory_ratio": our_peak / their_peak,
        "auc_gap": max((abs(gap) for gap in gaps.values()), default=None),
        "published_minutes": theirs / 60,
        "published_minutes_scaled_up_from": f"{len(cold)} of {len(STRENGTHS)} values",
        "published_peak_gib": their_peak / 2**30,
        "published_converged": [c for c, _, converged, _ in cold if converged],
        "auc": {f"{c:.3g}": auc for c, auc, _, _ in ours},
        "published_auc": {f"{c:.3g}": auc for c, auc, _, _ in cold},
        "unconverged": [c for c, _, converged, _ in ours if not converged],
        "rows": int(ROWS * args.scale),
        "width": width,
        "threads": args.threads,
        "commit": current_commit(),
    }
    write_report(report, args.json)


if __name__ == "__main__":
    main()
