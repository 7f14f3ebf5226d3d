"""Draw the problems of an experiment, split them by a hash of their text, and build their prompts."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from transformers import PreTrainedTokenizerBase

from autojudge.errors import InputError
from autojudge.reading.prompts import Prompt, encode_chat
from autojudge.tables.folds import list_folds, split_in
from autojudge.tables.tests import digest_tests, dump_tests
from autojudge.tasks import Example, ProgramTask, Task, prompt_of

VALIDATION_SHARE = 0.25  # of the problems that may be mined


def problem_hash(question: str) -> str:
    """Return the id of a problem: 16 hex digits of its text's SHA-256."""
    return hashlib.sha256(question.encode()).hexdigest()[:16]


def choose_split(problem_id: str, origin: str) -> str:
    """Return the split of a problem: test by its origin, else train or validation by its hash."""
    if origin == "test":
        return "test"
    return "validation" if int(problem_id[:8], 16) / 16**8 < VALIDATION_SHARE else "train"


def check_shots(asked: Prompt, shots: int, task: str) -> None:
    """Raise InputError where more worked examples are asked for than a task has."""
    if shots > len(asked.shots):
        raise InputError(
            f"config key `datasets.*.shots`: {shots} asked for, but task `{task}` has {len(asked.shots)} worked "
            "examples; ask for fewer"
        )


def draw_problems(
    task: Task | ProgramTask, dataset: Mapping[str, Any], seed: int
) -> Iterator[tuple[str, str, Example]]:
    """Yield (id, split, example) of distinct problems, of each split as many as the config asks for.

    Those of a dataset with folds are test problems, of which each is mined, too: their splits are train and validation.

    Parameters
    ----------
    task : Task
        Module that loads examples.
    dataset : mapping
        An entry of `datasets` in the config.
    seed : int
        For tasks that draw their problems.

    Raises
    ------
    InputError
        After the last problem: a split, or a split of a fold, comes out short or empty.
    """
    counts = {split: count for split, count in dataset["problems"].items() if count}
    missing, folds = dict(counts), list_folds(dataset.get("folds"))
    drawn, origins = dict[str, str](), set[str]()
    for example in task.load_examples(dataset["source"], counts, seed):
        origins.add(example.origin)
        problem_id = problem_hash(example.question)
        split = choose_split(problem_id, example.origin)
        if missing.get(split) and problem_id not in drawn:
            missing[split] -= 1
            drawn[problem_id] = choose_split(problem_id, "train") if folds else split
            yield problem_id, drawn[problem_id], example
        if not any(missing.values()):
            return _check_folds(folds, drawn)
    short = [f"{counts[split]} {split} ({count} too many)" for split, count in missing.items() if count]
    remedy = "ask for fewer or give more rows"
    if "train" not in origins and not folds and (missing.get("train") or missing.get("validation")):
        remedy = "it has no training problems: give `problems: {test: N}` and `folds: 5` (docs/judge.md)"
    raise InputError(
        f"config key `datasets.*.problems`: asks for more problems than the dataset's splits hold: {', '.join(short)}; "
        f"{remedy}"
    )


def _check_folds(folds: Sequence[str], drawn: Mapping[str, str]) -> None:
    """Raise InputError where a fold has no problem of some split, given the split in the tables of each problem."""
    for fold in folds:
        splits = {split_in(fold, problem_id, split) for problem_id, split in drawn.items()}
        if lacking := sorted({"train", "validation", "test"} - splits):
            raise InputError(
                f"config key `datasets.*.folds`: of {len(drawn)} problems, dealt out by a hash, fold {fold} has none "
                f"for {lacking[0]}; ask for more problems (`problems.test`) or fewer folds"
            )


def prepare_problems(
    task: Task | ProgramTask,
    dataset: Mapping[str, Any],
    tokenizer: PreTrainedTokenizerBase,
    context: int,
    seed: int,
    template_arguments: Mapping[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """Return the rows of problems.parquet.

    Parameters
    ----------
    task : Task
        Module that loads examples and words the prompt.
    dataset : mapping
        An entry of `datasets` in the config.
    tokenizer : PreTrainedTokenizerBase
        The target's.
    context : int
        Longest text both models take, in tokens.
    seed : int
        For tasks that draw their problems.
    template_arguments : mapping, optional
        Of the target's chat template, by name.

    Raises
    ------
    InputError
        A split comes out short or empty, a prompt and its response would not fit the context, the target has no chat
        template, or more worked examples are asked for than there are.
    """
    rows, asked, shots = [], prompt_of(task), dataset.get("shots", 0)
    check_shots(asked, shots, dataset.get("task", ""))
    for problem_id, split, example in draw_problems(task, dataset, seed):
        named = f"problem {problem_id} ({example.question[:60]!r}...)"
        try:
            prompt = encode_chat(asked.messages(example.question, shots), tokenizer, template_arguments)
        except InputError as fault:
            raise InputError(f"{named}: {fault}") from None
        if len(prompt) + dataset["max_new_tokens"] > context:
            raise InputError(
                f"{named}: its prompt of {len(prompt)} tokens and "
                f"{dataset['max_new_tokens']} new ones exceed the models' context of {context}; "
                + ("lower max_new_tokens" if len(prompt) < context else "drop that row")
            )
        tests = None if example.tests is None else digest_tests(dump_tests(example.tests))
        row: dict[str, Any] = {"problem_id": problem_id, "question": example.question, "gold": example.gold}
        rows.append(row | {"prompt_tokens": prompt, "split": split, "tests": tests})
    return rows
