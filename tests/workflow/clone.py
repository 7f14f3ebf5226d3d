"""A copy of the repository with a small config, in which tests run snakemake."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd

from autojudge.tables.dictionary import TABLES
from autojudge.tables.files import read_table

ROOT = Path(__file__).parents[2]
RESULTS = "results/arith/testbed"
SMALL = """
datasets: {arith: {problems: {train: 40, validation: 16, test: 16}}}
judge:
  folds: 2
  feature_sets: {all_tokens: null, target_tokens: null, draft_at_draft: null, target_at_draft+scalars: null,
                 target_at_draft+target_scalars: null}
  classifiers:
    {logistic_regression: {C: [0.001, 0.01]}, sparse_regression: {features: [8]}, boosting: {n_estimators: [8]},
     random_forest: null, mlp: {hidden_units: [8]}}
  select:
    thresholds: 5
    classifiers: [logistic_regression, sparse_regression, boosting, mlp]
    feature_sets: [draft_at_draft+target_at_draft, draft_at_draft+target_at_draft+scalars, target_scalars]
decoding: {windows: [8], rules: [lossless, always, top_k, kl_divergence, fly, judge, oracle]}
rules: {top_k: {thresholds: [2, 64]}}
speed: {problems: 2, rounds: 1, threads: 1}
"""


class Clone:
    """A copy of the repository's files with a small config.

    Parameters
    ----------
    folder : Path
        Where it lies.
    filled : bool
        The files are there already.
    """

    def __init__(self, folder: Path, filled: bool = False) -> None:
        self.folder = folder
        if filled:
            return
        listed = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
        )
        for name in listed.stdout.splitlines():
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)
        (folder / "small.yaml").write_text(SMALL)

    def snakemake(self, *arguments: str, small: bool = True, **overrides: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "snakemake", *arguments]
        if small:
            command += ["--configfile", "small.yaml"]
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = os.environ | {"PATH": path, "WANDB_SILENT": "true"} | overrides
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, env=environment)

    def planned(self, *arguments: str, small: bool = True) -> dict[str, int]:
        """Number of jobs per rule that a dry run plans, `all` and the total left out."""
        result = self.snakemake("-n", *arguments, "--quiet", "rules", small=small)
        assert result.returncode == 0, result.stderr
        rows = [line.split() for line in (result.stdout + result.stderr).splitlines()]
        counts = {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].isdigit()}
        return {rule: count for rule, count in counts.items() if rule not in ("all", "total")}

    def job_logs(self, rule: str) -> str:
        """What the jobs of a rule logged; of each job the last attempt."""
        return "".join(path.read_text() for path in sorted((self.folder / "logs" / rule).rglob("*.log")))

    def counted(self, rule: str) -> tuple[int, int]:
        """How many pieces the jobs of a rule took from the store and computed, by their last attempts."""
        found = re.findall(r"store: (\d+) taken, (\d+) computed", self.job_logs(rule))
        return sum(int(taken) for taken, _ in found), sum(int(computed) for _, computed in found)

    def table(self, name: str) -> pd.DataFrame:
        return read_table(TABLES[name], self.folder / RESULTS / f"{name}.parquet")
