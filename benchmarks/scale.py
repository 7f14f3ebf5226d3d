"""Ten thousand mining shards: how long a dry run takes, how fast jobs start, how much memory the gather takes.

The plan has 20 combinations of dataset and pair, 500 shards each. Jobs are timed with a stand-in miner that only
sleeps, on fewer shards, as each is a process of its own; the gather reads 10,000 links to one shard of 20 rows with
three blocks of 2,048 numbers: 200,000 rows of 6,144 features.

    python benchmarks/scale.py --json FILE
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "workflow_scripts"))

import numpy as np  # noqa: E402
import yaml  # noqa: E402
from report import write_report  # noqa: E402

from autojudge.jobs.provenance import current_commit  # noqa: E402
from autojudge.tables.feature_names import BLOCKS, SCALARS  # noqa: E402
from autojudge.tables.files import write_table  # noqa: E402
from autojudge.tables.mining import FEATURES  # noqa: E402

PAIRS, DATASETS = 10, 2
ROWS, WIDTH, FILLED = 20, 2048, 3  # of a shard; blocks with numbers
STAND_IN = """
import time
from pathlib import Path

time.sleep({seconds})
for path in snakemake.output:
    Path(path).write_bytes(b"")
"""
GATHER = """
import resource, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from autojudge.tables.files import gather_shards
from autojudge.tables.mining import FEATURES
shards = sorted(map(str, Path(sys.argv[2]).glob("*.parquet")))
gather_shards(FEATURES, shards, sys.argv[3])
print(len(shards), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
"""


def copy_repository(folder):
    """Copy the repository's files."""
    command = ["git", "ls-files", "-co", "--exclude-standard"]
    for name in subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


def write_config(folder, shards, pairs, datasets):
    """Write a config of so many combinations and return the files that gathering makes."""
    models = {role: {"model": f"resources/testbed/{role}"} for role in ("draft", "target")}
    names = [f"pair{i:02}" for i in range(pairs)]
    problems = {"train": 3 * shards, "validation": shards, "test": 1}
    config = {
        "pairs": dict.fromkeys(names, models),
        "datasets": {
            f"set{i}": {"task": "arith", "problems": problems, "max_new_tokens": 160} for i in range(datasets)
        },
        "runs": [{"dataset": f"set{i}", "pairs": names} for i in range(datasets)],
        "mining": {"shards": shards},
        "decoding": {"rules": ["lossless", "judge"]},
    }
    (folder / "scale.yaml").write_text(yaml.safe_dump(json.loads(json.dumps(config))))
    return [f"results/set{i}/{name}/labels.parquet" for i in range(datasets) for name in names]


def snakemake(folder, *arguments):
    """Run snakemake in the copy; return its seconds and what it printed."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = [sys.executable, "-m", "snakemake", *arguments, "--configfile", "scale.yaml"]
    start = time.monotonic()
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=os.environ | {"PATH": path})
    seconds = time.monotonic() - start
    if result.returncode:
        sys.exit(result.stdout[-2000:] + result.stderr[-2000:])
    return seconds, result.stdout + result.stderr


def time_dry_run(folder, shards):
    """Return the seconds of a dry run of all shards, and how many it plans."""
    targets = write_config(folder, shards, PAIRS, DATASETS)
    seconds, text = snakemake(folder, "-n", *targets, "--quiet", "rules")
    return seconds, int(re.search(r"^mine_labels +(\d+)", text, re.MULTILINE)[1])


def time_jobs(folder, shards, sleep):
    """Return how many mining jobs per minute start and end, with a miner that only sleeps."""
    (folder / "workflow_scripts/mine_labels.py").write_text(STAND_IN.format(seconds=sleep))
    write_config(folder, shards, 1, 1)
    shard_files = [f"results/set0/pair00/labels/{i}-of-{shards}.parquet" for i in range(1, shards + 1)]
    snakemake(folder, "results/set0/pair00/problems.parquet", "--cores", "all")
    seconds, _ = snakemake(folder, *shard_files, "--cores", "all")
    return 60 * shards / seconds


def measure_gather(folder, shards):
    """Return the peak memory in GiB of gathering so many shards of features, and the seconds."""
    rng, rows = np.random.default_rng(0), []
    for i in range(ROWS):
        key = {"problem_id": f"p{i}", "position": i}
        filled = {b: rng.standard_normal(WIDTH).astype(np.float16) for b in BLOCKS[:FILLED]}
        rows.append(key | dict.fromkeys(BLOCKS) | filled | dict.fromkeys(SCALARS, 0.5))
    source, parts = folder / "shard.parquet", folder / "parts"
    write_table(FEATURES, rows, source)
    parts.mkdir()
    for i in range(shards):
        (parts / f"{i}.parquet").symlink_to(source)
    command = [sys.executable, "-c", GATHER, str(ROOT / "workflow_scripts"), str(parts), str(folder / "whole.parquet")]
    start = time.monotonic()
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return float(printed.split()[1]), time.monotonic() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=int, default=500, help="of each of the 20 combinations")
    parser.add_argument("--timed-shards", type=int, default=40, help="that run with the stand-in miner")
    parser.add_argument("--sleep", type=float, default=0.5, help="seconds of a stand-in job")
    parser.add_argument("--json", help="file to write the figures to")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        copy_repository(folder)
        report = {}
        report["dry_run_s"], report["shards"] = time_dry_run(folder, args.shards)
        print(report, flush=True)
        report["jobs_per_minute"] = time_jobs(folder, args.timed_shards, args.sleep)
        report["gather_peak_gib"], report["gather_s"] = measure_gather(folder, args.shards * PAIRS * DATASETS)
    report |= {"cores": os.cpu_count(), "sleep": args.sleep, "commit": current_commit()}
    write_report(report, args.json)


if __name__ == "__main__":
    main()
