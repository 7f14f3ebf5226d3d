"""Draw the problems of an experiment, split them by a hash of their text, and build their prompts."""

import hashlib
from collections.abc import Mapping
from typing import Any

from transformers import PreTrainedTokenizerBase

from autojudge.errors import InputError
from autojudge.reading.prompts import Prompt, encode_chat
from autojudge.tasks import Task, prompt_of

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


def prepare_problems(
    task: Task,
    dataset: Mapping[str, Any],
    tokenizer: PreTrainedTokenizerBase,
    context: int,
    seed: int,
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

    Raises
    ------
    InputError
        A split comes out short or empty, a prompt and its response would not fit the context, the target has no chat
        template, or more worked examples are asked for than there are.
    """
    wanted, rows, asked, shots = dict(dataset["problems"]), {}, prompt_of(task), dataset.get("shots", 0)
    check_shots(asked, shots, dataset.get("task", ""))
    for example in task.load_examples(dataset["source"], wanted, seed):
        problem_id = problem_hash(example.question)
        split = choose_split(problem_id, example.origin)
        if wanted[split] == 0 or problem_id in rows:
            continue
        wanted[split] -= 1
        prompt = encode_chat(asked.messages(example.question, shots), tokenizer)
        if len(prompt) + dataset["max_new_tokens"] > context:
            raise InputError(
                f"problem {problem_id} ({example.question[:60]!r}...): its prompt of {len(prompt)} tokens and "
                f"{dataset['max_new_tokens']} new ones exceed the models' context of {context}; "
                + ("lower max_new_tokens" if len(prompt) < context else "drop that row")
            )
        rows[problem_id] = {
            "problem_id": problem_id,
            "question": example.question,
            "gold": example.gold,
            "prompt_tokens": prompt,
            "split": split,
        }
        if not any(wanted.values()):
            break
    short = {split: missing for split, missing in wanted.items() if missing}
    if short:
        split, missing = next(iter(short.items()))
        raise InputError(
            f"config key `datasets.*.problems.{split}`: {dataset['problems'][split]} asked for, {missing} more than "
            f"the dataset's {split} split holds; ask for fewer or give more rows"
        )
    return list(rows.values())
