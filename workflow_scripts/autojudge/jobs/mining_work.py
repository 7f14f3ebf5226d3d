"""The work of a mining job: on what exactly a mined problem depends, and mining what the store does not have."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autojudge.engine.settings import Models
from autojudge.jobs.progress import Progress
from autojudge.jobs.store import Store, piece_key
from autojudge.mining.miner import Mined, Miner

logger = logging.getLogger("autojudge")


@dataclass(frozen=True)
class MiningWork:
    """What all mined problems depend on; what is not named here (shards, batches, devices, splits) changes no result.

    Attributes
    ----------
    code : str
        Digest of the miner's and the task's code.
    max_new_tokens : int
        Longest response.
    models : mapping
        What identifies draft and target.
    """

    code: str
    max_new_tokens: int
    models: Models

    def key(self, problem: Mapping[str, Any]) -> str:
        """Return the key of a problem, a row of problems.parquet."""
        return piece_key(vars(self) | describe_problem(problem))

    def mine(self, problems: Sequence[Mapping[str, Any]], store: Store, open_miner: Callable[[], Miner]) -> list[Mined]:
        """Take problems, rows of problems.parquet, from the store, and mine those that it does not have into it.

        Parameters
        ----------
        open_miner : callable
            Loads the models; called where a problem has to be mined.
        """
        keys = {problem["problem_id"]: self.key(problem) for problem in problems}
        taken = store.take_all(keys.values())
        mined = [Mined.from_json(piece) for piece in taken.values()]
        missing = [dict(problem) for problem in problems if keys[problem["problem_id"]] not in taken]
        progress = Progress(len(problems), "problem", resumed=len(mined))
        for result in open_miner().mine(missing) if missing else ():
            store.add({keys[result.response["problem_id"]]: result.to_json()})
            mined.append(result)
            progress.advance()
        logger.info("store: %d taken, %d computed", len(taken), len(missing))
        return sorted(mined, key=lambda m: m.response["problem_id"])


def describe_problem(problem: Mapping[str, Any]) -> dict[str, Any]:
    """Return what results depend on of a row of problems.parquet."""
    prompt = list(map(int, problem["prompt_tokens"]))
    tests = {"tests": problem["tests"]} if problem.get("tests") else {}
    return {"problem_id": problem["problem_id"], "gold": problem["gold"], "prompt": prompt} | tests
