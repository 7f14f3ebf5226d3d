"""Rule evaluate_testbed: greedy accuracy of both embedded models on unseen problems."""

import json
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from autojudge.decoding.branches import Job
from autojudge.decoding.decoder import Decoder
from autojudge.engine.models import load_pair
from autojudge.reading.prompts import encode_chat
from autojudge.reporting.statistics import wilson_interval
from autojudge.tasks import load_task, prompt_of
from autojudge.testbed.problems import generate_problems


def evaluate_testbed(pair: dict[str, Any], n_problems: int, seed: int, threads: int, output: str) -> None:
    """Write parameters and accuracy, with its Wilson interval, of each model."""
    torch.set_num_threads(threads)
    models, task = load_pair(pair), load_task("arith")
    problems = list(islice(generate_problems(seed, experiment=True), n_problems))
    prompt = prompt_of(task)
    jobs = [Job(encode_chat(prompt.messages(problem.question), models.tokenizer), {}) for problem in problems]
    report = {}
    for name, model in {"draft": models.draft, "target": models.target}.items():
        decoder = Decoder(replace(models, target=model), judge=None, window=1, max_new_tokens=192, batch=100)
        answers = {i: task.extract_answer(models.decode(decoded.tokens)) for i, (decoded,) in decoder.decode(jobs)}
        correct = sum(answers[i] == str(problem.answer) for i, problem in enumerate(problems))
        low, high = wilson_interval(correct, n_problems)
        report[name] = {
            "parameters": model.num_parameters(),
            "problems": n_problems,
            "accuracy": correct / n_problems,
            "interval": [low, high],
        }
    Path(output).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    from autojudge.jobs.progress import job_log

    with job_log(snakemake.log[0]):
        evaluate_testbed(
            pair=snakemake.config["pairs"]["testbed"],
            n_problems=snakemake.params.problems,
            seed=snakemake.params.seed,
            threads=snakemake.threads,
            output=snakemake.output[0],
        )
