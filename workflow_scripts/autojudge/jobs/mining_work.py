"""The work of a mining job: on what exactly a mined problem depends, and mining what the store does not have."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from autojudge.engine.memory import memory_budget
from autojudge.engine.numerics import is_invariant, make_invariant, settle
from autojudge.engine.settings import Models
from autojudge.jobs.progress import Progress
from autojudge.jobs.store import Store, piece_key
from autojudge.mining.miner import Mined, Miner
from autojudge.mining.samples import Sampled, Sampler
from autojudge.scoring.scorer import Scorer

logger = logging.getLogger("autojudge")

Loaded = TypeVar("Loaded", Miner, Sampler)


@dataclass(frozen=True)
class SampleWork:
    """What continuations of a mined problem depend on beside how it was mined.

    Attributes
    ----------
    code : str
        Digest of the sampler's and the task's code.
    samples : mapping
        `Samples` by its attributes.
    """

    code: str
    samples: Mapping[str, Any]


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
    agreement : mapping or None
        When alternatives are stopped, `Agreement` by its attributes; None: never.
    likelihood : mapping or None
        Of labels by likelihood `tokens`, of which they are the change; a threshold labels what was mined. None: labels
        by answers.
    samples : SampleWork or None
        What is sampled of what was mined, in pieces of their own.
    """

    code: str
    max_new_tokens: int
    models: Models
    agreement: Mapping[str, Any] | None = None
    likelihood: Mapping[str, Any] | None = None
    samples: SampleWork | None = None

    def key(self, problem: Mapping[str, Any]) -> str:
        """Return the key of a mined problem, a row of problems.parquet."""
        parts = {name: part for name, part in vars(self).items() if name != "samples" and part is not None}
        return piece_key(parts | describe_problem(problem))

    def all_keys(self, problem: Mapping[str, Any]) -> list[str]:
        """Return the keys of a problem: as it was mined, and of what was sampled of it, if anything is."""
        mined = self.key(problem)
        return [mined, piece_key({"mined": mined} | vars(self.samples))] if self.samples else [mined]

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

    def sample(
        self,
        problems: Sequence[Mapping[str, Any]],
        mined: Sequence[Mined],
        store: Store,
        open_sampler: Callable[[], Sampler],
    ) -> list[Mined]:
        """Return mined problems with their shares of samples that keep the answer, drawn where the store has none.

        Parameters
        ----------
        mined : sequence of Mined
            Of the same problems. Nothing is drawn of one without a mismatch.
        open_sampler : callable
            Loads the models; called where a problem has to be sampled.
        """
        of = {m.response["problem_id"]: m for m in mined}
        keys = {p["problem_id"]: self.all_keys(p)[-1] for p in problems if of[p["problem_id"]].labels}
        found = [Sampled(**piece) for piece in store.take_all(keys.values()).values()]
        sampled = [result for result in found if result.belongs_to(of[result.problem_id])]
        missing = keys.keys() - {result.problem_id for result in sampled}
        rows = [dict(problem) for problem in problems if problem["problem_id"] in missing]
        progress = Progress(len(keys), "sampled problem", resumed=len(sampled))
        for result in open_sampler().sample([(row, of[row["problem_id"]]) for row in rows]) if rows else ():
            store.add({keys[result.problem_id]: result.to_json()})
            sampled.append(result)
            progress.advance()
        logger.info("store: samples of %d problems taken, of %d computed", len(keys) - len(rows), len(rows))
        of |= {result.problem_id: result.add_to(of[result.problem_id]) for result in sampled}
        return [of[m.response["problem_id"]] for m in mined]


def load_settled(
    load: Callable[..., Loaded],
    pair: Mapping[str, Any],
    scorer: Scorer,
    max_new_tokens: int,
    batch: int,
    memory_mb: int,
) -> Loaded:
    """Return `load` of the further arguments, its models with the numbers that the pair asks for. Raises like it."""
    settle(pair)
    loaded = load(pair, scorer, max_new_tokens, batch, memory_mb)
    if is_invariant(pair):
        make_invariant(loaded.pair)
        models = [model for model in (loaded.pair.draft, loaded.pair.target) if model is not None]
        loaded.memory = memory_budget(models, memory_mb - scorer.memory_mb)  # its layers may take more
    return loaded


def describe_problem(problem: Mapping[str, Any]) -> dict[str, Any]:
    """Return what results depend on of a row of problems.parquet."""
    prompt = list(map(int, problem["prompt_tokens"]))
    tests = {"tests": problem["tests"]} if problem.get("tests") else {}
    return {"problem_id": problem["problem_id"], "gold": problem["gold"], "prompt": prompt} | tests
