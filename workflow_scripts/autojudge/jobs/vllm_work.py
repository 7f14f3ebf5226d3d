"""The work of measuring in vLLM: what a measured setting depends on, and measuring what the store does not have."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autojudge.engine.settings import Models, own_models
from autojudge.errors import InputError
from autojudge.jobs.progress import Progress
from autojudge.jobs.store import Store, piece_key
from autojudge.jobs.vllm_process import ask_vllm, check_python
from autojudge.serving.measuring.methods import FLY, JUDGE, THRESHOLD, Served, check_models, list_methods
from autojudge.serving.vllm.versions import check_version

logger = logging.getLogger("autojudge")
OF_MODELS = ("model", "revision", "trust_remote_code")
UNCOUNTED = {
    "model",
    "revision",
    "max_num_seqs",
    "speculative_config",
    "additional_config",
}  # described otherwise, or no matter


@dataclass(frozen=True)
class VllmWork:
    """What is measured, and all that it depends on.

    Attributes
    ----------
    served : Served
    models : mapping
        What identifies the pair's models.
    judge : str
        Digest of the judge.
    code : mapping of str to str
        Digests of what measures, `process`, and of the `plugin` with the judge's classifier.
    rounds : int
        How often each setting decodes the prompts.
    """

    served: Served
    models: Models
    judge: str
    code: Mapping[str, str]
    rounds: int

    def measure(
        self, prompts: Sequence[list[int]], store: Store, python: str, log: Path, mem_mb: int
    ) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Return facts of vLLM and the measured settings, from the store and by measuring what it does not have.

        Parameters
        ----------
        prompts : sequence of list of int
            Tokens.
        python : str
            That has vLLM.
        log : Path
            For what vLLM prints.
        mem_mb : int
            Memory of the job.

        Returns
        -------
        facts : dict
            Of `process.tell_facts`.
        measured : list of dict
            `method`, `batch` and `threshold` (None for all but the judge), with what `process.measure` tells.

        Raises
        ------
        InputError
            vLLM is not there, of an unknown version, does not serve these models, or failed.
        """
        facts = self._ask_facts(python, log, mem_mb)
        methods = list_methods(facts)
        if FLY not in methods:
            logger.info("vLLM %s here has no lossy method of its own that runs: no row for fly", facts["vllm"])
        every = {method: self._keys(method, facts, prompts) for method in methods}
        total = sum(map(len, every.values()))
        found = store.take_all(key for keys in every.values() for key in keys)
        logger.info("store: %d taken, %d to be measured", len(found), total - len(found))
        progress = Progress(total, "setting", resumed=len(found))
        for method, keys in every.items():
            if missing := {key: setting for key, setting in keys.items() if key not in found}:
                logger.info("vLLM starts: %s, %d settings", method, len(missing))
                request = self._request(method, facts, prompts, list(missing.values()))
                rows = ask_vllm(python, "measure", request, log, mem_mb)
                for key, row in zip(missing, rows, strict=True):
                    store.add({key: row})
                    found[key] = row
                    progress.advance()
        return facts, [
            found[key]
            | {"method": method, "batch": setting["batch"], "threshold": setting["extra_args"].get(THRESHOLD)}
            for method, keys in every.items()
            for key, setting in keys.items()
        ]

    def _ask_facts(self, python: str, log: Path, mem_mb: int) -> dict[str, Any]:
        check_python(python)
        asked = {role: {key: model[key] for key in OF_MODELS} for role, model in own_models(self.served.pair).items()}
        (facts,) = ask_vllm(python, "facts", {"models": asked}, log, mem_mb)
        try:
            logger.info("%s, %s", check_version(facts["vllm"], None), facts["hardware"])
        except InputError:
            raise InputError(
                f"{python} has vLLM {facts['vllm']}, which the plugin does not know: install one that "
                "docs/serving.md#versions lists"
            ) from None
        check_models(facts)
        return facts

    def _keys(self, method: str, facts: Mapping[str, Any], prompts: Sequence[list[int]]) -> dict[str, dict[str, Any]]:
        """Return a method's settings by the keys of their pieces."""
        engine = self.served.engine(method, facts["is_cpu"])
        common = {
            "facts": {name: facts[name] for name in ("vllm", "hardware")},
            "models": self.models,
            "code": self.code["process"],
            "prompts": piece_key({"prompts": prompts}),
            "engine": {name: value for name, value in engine.items() if name not in UNCOUNTED},
            "options": self.served.settings["engine"],
            "window": self.served.window,
            "sampling": self.served.sampling,
            "rounds": self.rounds,
            "method": method,
        }
        common |= {"judge": self.judge, "plugin": self.code["plugin"]} if method == JUDGE else {}
        return {piece_key(common | {"setting": setting}): setting for setting in self.served.asked(method)}

    def _request(
        self, method: str, facts: Mapping[str, Any], prompts: Sequence[list[int]], settings: list[dict[str, Any]]
    ) -> dict[str, Any]:
        return {
            "engine": self.served.engine(method, facts["is_cpu"]),
            "sampling": self.served.sampling,
            "prompts": prompts,
            "rounds": self.rounds,
            "settings": settings,
            "counts_judge": method == JUDGE,
        }
