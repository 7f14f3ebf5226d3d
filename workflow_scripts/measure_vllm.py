"""Rule measure_vllm: accuracy and speed of a pair and its judge in vLLM, which runs in a Python of its own."""

import sys
from pathlib import Path
from typing import Any

from autojudge.engine.endings import Ending
from autojudge.engine.models import load_generation_config, load_tokenizer
from autojudge.engine.settings import Models
from autojudge.jobs.gpus import claim_gpus
from autojudge.jobs.scoring import open_scorer
from autojudge.jobs.store import Store
from autojudge.jobs.vllm_work import VllmWork
from autojudge.judging.artifact import load_judge
from autojudge.reading.turns import end_tokens
from autojudge.reporting.vllm_table import Scored, build_rows
from autojudge.scoring.scorer import Scorer
from autojudge.serving.measuring.methods import Served, check_pair, choose_thresholds
from autojudge.serving.served_judge import settle_window
from autojudge.tables.engines import VLLM
from autojudge.tables.files import read_table, records, write_table
from autojudge.tables.folds import split_in
from autojudge.tables.mining import PROBLEMS
from autojudge.workflow.served import measuring_code


def measure_vllm(
    problems: str,
    folders: dict[str, Path],
    scorer: Scorer,
    pair: dict[str, Any],
    settings: dict[str, Any],
    models: Models,
    process: dict[str, Any],
    output: str,
) -> None:
    """Measure each method on the test problems, but for what the store has, and write the table.

    Parameters
    ----------
    folders : dict of str to Path
        `judge`, to be served; `export`, whose record recommends threshold and window.
    settings : dict
        Of config key `vllm`, with `pair`, `max_new_tokens`, `seed`, and where the dataset has folds, `fold`.
    models : mapping
        What identifies the pair's models.
    process : dict
        `python`, `log` and `mem_mb` of the process.
    """
    check_pair(pair, settings["pair"])
    rows = records(read_table(PROBLEMS, problems))
    tested = [row for row in rows if split_in(settings.get("fold"), row["problem_id"], row["split"]) == "test"]
    tested = tested[: settings["problems"]]
    prompts = [list(map(int, row["prompt_tokens"])) for row in tested]
    judge, exported, tokenizer = load_judge(folders["judge"]), load_judge(folders["export"]), load_tokenizer(pair)
    recommended, target = exported.record.threshold, pair["target"]
    ending = Ending(
        settings["max_new_tokens"],
        end_tokens(tokenizer, load_generation_config(target), target.get("chat_template_kwargs")),
        scorer.prompt.stop,
        lambda tokens: str(tokenizer.decode(tokens, skip_special_tokens=True)),
    )
    thresholds = choose_thresholds(judge.record, recommended, settings["thresholds"])
    window, folder = settle_window(exported, settings["window"]), str(folders["judge"].resolve())
    served = Served(pair, folder, thresholds, window, ending, max(map(len, prompts)), settings)
    work = VllmWork(served, models, judge.digest(), measuring_code(judge.record.classifier), settings["rounds"])
    with Store(Path(output).parent / "store/vllm", "measured") as store:
        facts, measured = work.measure(prompts, store, **process)
    common = {"window": window, "dtype": target["dtype"], "tensor_parallel_size": settings["tensor_parallel_size"]}
    common |= {name: facts[name] for name in ("vllm", "hardware")}
    write_table(
        VLLM, build_rows(measured, Scored(tested, scorer, ending), recommended, common, settings["seed"]), output
    )


if __name__ == "__main__":
    from autojudge.jobs.progress import job_log

    inputs, params, resources = snakemake.input, snakemake.params, snakemake.resources
    with (
        job_log(snakemake.log[0]),
        claim_gpus(resources.get("gpu", 0)),
        open_scorer(params.task, inputs.tests, snakemake.threads) as scorer,
    ):
        Path(snakemake.log.vllm).write_bytes(b"")
        python = snakemake.config["vllm"]["python"] or sys.executable
        measure_vllm(
            problems=inputs.problems,
            folders={"judge": Path(inputs.judge[0]).parent, "export": Path(inputs.export).parent},
            scorer=scorer,
            pair=snakemake.config["pairs"][snakemake.wildcards.pair],
            settings=params.settings,
            models=params.models,
            process={"python": python, "log": Path(snakemake.log.vllm), "mem_mb": resources.mem_mb},
            output=snakemake.output[0],
        )
