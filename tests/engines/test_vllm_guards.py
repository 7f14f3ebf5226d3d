"""What cannot be served refuses to start, with a message that says what and what to do: a process each."""

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from served import BED, DRAFT_MODEL, NGRAM, PYTHON, RUN, engine_options, environment

from autojudge.judging.artifact import load_judge

JUDGE = RUN / "export"


def edit(**known):
    """A copy of the judge with another record."""

    def write(folder: Path) -> None:
        judge = load_judge(JUDGE)
        replace(judge, record=replace(judge.record, **known)).save(folder)

    return write


def damage(folder: Path) -> None:
    shutil.copytree(JUDGE, folder, dirs_exist_ok=True)
    data = bytearray((folder / "judge.safetensors").read_bytes())
    data[-1] ^= 1
    (folder / "judge.safetensors").write_bytes(data)


READS_DRAFT, AT_TARGET = (edit(columns=[column], sizes=[1]) for column in ("kl_divergence", "target_at_target"))
WIDER = edit(columns=["target_at_draft"], sizes=[7])
OTHER_TARGET = {"model": BED["draft"], "speculative_config": DRAFT_MODEL | {"model": BED["target"]}}
# What is written into the judge's folder, options beside "judge", other engine options, more of the spec, the message.
CASES = {
    "no such judge": (None, {"judge": "results/none"}, {}, {}, "judge results/none: "),
    "a damaged judge": (damage, {}, {}, {}, "judge.safetensors and judge.json are not of the same judge"),
    "an unknown option": (None, {"treshold": 0.5}, {}, {}, 'option "treshold" is unknown; known are judge, threshold'),
    "a threshold of text": (None, {"threshold": "0.5"}, {}, {}, "\"threshold\" is '0.5', and must be a float"),
    "a threshold below 0": (None, {"threshold": -0.5}, {}, {}, "must be 0 (lossless) or more"),
    "no threshold": (edit(threshold=None), {}, {}, {}, "has no recommended `threshold`"),
    "no speculation": (None, {}, {"speculative_config": None}, {}, "there is no draft: give --speculative-config"),
    "another pair": (None, {}, OTHER_TARGET, {}, "the judge was trained for"),
    "another width": (WIDER, {"other_models": True}, {}, {}, "reads `target_at_draft` of 7 numbers"),
    "features of the target's token": (AT_TARGET, {}, {}, {}, "reads target_at_target, which vLLM does not"),
    "no draft model": (
        READS_DRAFT,
        {},
        {"speculative_config": NGRAM},
        {},
        'takes a draft model, and the method is "ngram"',
    ),
    "made-up acceptance": (
        None,
        {},
        {
            "speculative_config": DRAFT_MODEL
            | {"rejection_sample_method": "synthetic", "synthetic_acceptance_rates": [0.5] * 8}
        },
        {},
        '"rejection_sample_method": "synthetic" is lossy',
    ),
    "block verification": (
        None,
        {},
        {"speculative_config": DRAFT_MODEL | {"rejection_sample_method": "block"}},
        {"v2": True},
        '"rejection_sample_method": "block"',
    ),
    "two vocabularies": (
        None,
        {},
        {"speculative_config": DRAFT_MODEL | {"use_heterogeneous_vocab": True, "draft_sample_method": "greedy"}},
        {},
        '"use_heterogeneous_vocab"',
    ),
    "no draft logits": (
        READS_DRAFT,
        {},
        {"speculative_config": DRAFT_MODEL | {"use_local_argmax_reduction": True}},
        {},
        '"use_local_argmax_reduction" makes no draft logits',
    ),
    "no draft logits on V2": (
        READS_DRAFT,
        {},
        {"speculative_config": DRAFT_MODEL | {"draft_sample_method": "greedy"}},
        {"v2": True},
        '"draft_sample_method": "probabilistic" in --speculative-config',
    ),
    "pipeline parallelism": (None, {}, {"pipeline_parallel_size": 2}, {}, "pipeline parallelism"),
    "adapters": (None, {}, {"enable_lora": True}, {}, "LoRA"),
    "an unknown version": (None, {}, {}, {"version": "0.99.1"}, "does not know vLLM 0.99.1: tested with 0.32"),
    "an early V2 runner": (
        None,
        {},
        {},
        {"version": "0.29.0", "v2": True},
        "the V2 runner is served from vLLM 0.31 on",
    ),
    "another signature": (None, {}, {}, {"tamper": "signature"}, "apply_logits_processors takes"),
    "another sampler": (None, {}, {}, {"tamper": "sampler"}, "rejection sampler is OtherSampler"),
}


STARTS = {  # the same, where nothing is refused
    "all is right": (None, {}, {}, {}),
    "all is right on V2": (None, {}, {}, {"v2": True}),
    "an unknown version that the user names": (None, {"allow_version": "0.99.1"}, {}, {"version": "0.99.1"}),
    "no judge": (None, None, {}, {"version": "0.99.1"}),
}


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """How each start went, by name."""
    folder, specs = tmp_path_factory.mktemp("guards"), {False: {}, True: {}}
    for number, (name, (write, options, engine, spec, *_)) in enumerate((CASES | STARTS).items()):
        judge = JUDGE
        if write is not None:
            write(judge := folder / str(number))
        asked = {} if options is None else {"autojudge": {"judge": str(judge)} | options}
        given = engine_options(judge) | {"additional_config": asked} | engine
        specs[spec.get("v2", False)][name] = {"engine": given} | {k: v for k, v in spec.items() if k != "v2"}
    return run_guards(folder, specs[False], False) | run_guards(folder, specs[True], True)


def run_guards(folder, specs, is_v2):
    (folder / "spec.json").write_text(json.dumps({"specs": specs, "v2": is_v2}), encoding="utf-8")
    command = [PYTHON, str(Path(__file__).parent / "guard.py"), "spec.json", "out.json"]
    ran = subprocess.run(command, cwd=folder, capture_output=True, encoding="utf-8", env=environment())
    assert ran.returncode == 0, ran.stdout[-1000:] + ran.stderr[-3000:]
    return json.loads((folder / "out.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", CASES)
def test_refuses(told, name):
    assert told[name].startswith("REFUSED"), told[name]
    assert "autojudge refuses to start: " in told[name] and CASES[name][-1] in told[name], told[name][-2000:]


@pytest.mark.parametrize("name", STARTS)
def test_starts(told, name):
    assert told[name] == "STARTED"
