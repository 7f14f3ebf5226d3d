"""Preflight finds what would end a run later, and names the remedy."""

import copy
import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from collections import namedtuple
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml

from autojudge.errors import InputError
from autojudge.workflow import preflight
from autojudge.workflow.preflight import FAULT, NOTE, OK, check_all, describe, mining_seconds, plan
from conftest import ROOT, model_settings

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def settings(config, pair_settings, monkeypatch, tmp_path):
    """The default config as the schema completes it, on the embedded pair."""
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    config = yaml.safe_load(yaml.safe_dump(config))
    for dataset in config["datasets"].values():
        dataset.setdefault("source", None)
        dataset.setdefault("shots", 0)
    resources = {"gpus": 0, "threads": 1, "mem_mb": 4000, "runtime": 60}
    config["pairs"] = {"testbed": copy.deepcopy(pair_settings) | resources}
    return config


def faults(settings, tmp_path, gpus=0):
    found = list(check_all(settings, tmp_path / "results", gpus))
    assert len(found) >= 4 and describe(found)
    return [f"{finding.what}: {finding.detail}" for finding in found if finding.state == FAULT]


def test_a_sound_config_has_no_fault(settings, tmp_path):
    assert faults(settings, tmp_path) == []


@pytest.mark.parametrize("listed", [["<|end|>", 4], ["<|pad|>", 0], ["<|pad|>", [0, 3]]])
def test_it_tells_when_the_end_of_a_turn_had_to_be_added(settings, tmp_path, listed):
    folder, (token, numbers) = copy_target(settings, tmp_path), listed
    for name in ("config.json", "generation_config.json", "tokenizer_config.json"):
        known = json.loads((folder / name).read_text())
        known |= {"eos_token": token} if name.startswith("tokenizer") else {"eos_token_id": numbers}
        (folder / name).write_text(json.dumps(known))
    (told,) = [f.detail for f in check_all(settings, tmp_path / "results", 0) if f.what.startswith("models of")]
    assert ("and <|end|>, which the chat template ends an answer with" in told) == (token != "<|end|>")
    assert "end tokens: " + token in told


def other_tokenizer(settings, tmp_path):
    folder = shutil.copytree(settings["pairs"]["testbed"]["draft"]["model"], tmp_path / "draft")
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    vocabulary = tokenizer["model"]["vocab"]
    vocabulary["apples"], vocabulary["pens"] = vocabulary["pens"], vocabulary["apples"]
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    settings["pairs"]["testbed"]["draft"] = model_settings(folder)


def copy_target(settings, tmp_path):
    """Give the pair a copy of its target, to be damaged, and return its folder."""
    folder = shutil.copytree(settings["pairs"]["testbed"]["target"]["model"], tmp_path / "target")
    settings["pairs"]["testbed"]["target"] = model_settings(folder)
    return folder


def no_template(settings, tmp_path):
    folder = copy_target(settings, tmp_path)
    (folder / "chat_template.jinja").unlink()


def no_weights(settings, tmp_path):
    folder = copy_target(settings, tmp_path)
    (folder / "model.safetensors").unlink()


def cut_weights(settings, tmp_path):
    folder = copy_target(settings, tmp_path)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])


def missing_part(settings, tmp_path):
    folder = copy_target(settings, tmp_path)
    (folder / "model.safetensors").rename(folder / "consolidated.safetensors")  # lies there, but is not loaded
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "part-2.safetensors"}}))


def cut_index(settings, tmp_path):
    folder = copy_target(settings, tmp_path)
    (folder / "model.safetensors").rename(folder / "part-1.safetensors")
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a"')


def other_config(**values):
    def plant(settings, tmp_path):
        file = copy_target(settings, tmp_path) / "config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | values))

    return plant


def gone_blob(settings, tmp_path):
    weights = copy_target(settings, tmp_path) / "model.safetensors"
    weights.unlink()
    weights.symlink_to("../../blobs/1234")


def adapter(settings, tmp_path):
    (copy_target(settings, tmp_path) / "adapter_config.json").write_text('{"base_model_name_or_path": "owner/base"}')


def token_beyond(settings, tmp_path):
    """Let both models' templates write a token that they do not embed."""
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    for role in ("draft", "target"):
        folder = shutil.copytree(settings["pairs"]["testbed"][role]["model"], tmp_path / f"larger_{role}")
        tokenizer = json.loads((folder / "tokenizer.json").read_text())
        tokenizer["added_tokens"].append({"id": 265, "content": "<|turn|>", **flags})
        (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
        (folder / "chat_template.jinja").write_text("<|turn|>{{ messages[0]['content'] }}")
        settings["pairs"]["testbed"][role] = model_settings(folder)


def convolution(settings, tmp_path):
    folder = copy_target(settings, tmp_path)
    config = json.loads((folder / "config.json").read_text())
    layers = ["conv", *["full_attention"] * (config["num_hidden_layers"] - 1)]
    (folder / "config.json").write_text(json.dumps(config | {"layer_types": layers}))


def no_test_rows(settings, tmp_path):
    row = json.dumps({"question": "?", "answer": "#### 1"})
    (tmp_path / "train.jsonl").write_text(row)
    (tmp_path / "test.jsonl").touch()
    source = {split: str(tmp_path / f"{split}.jsonl") for split in ("train", "test")}
    settings["datasets"]["arith"] |= {"task": "gsm8k", "source": source}


def too_few_rows(settings, tmp_path):
    rows = [json.dumps({"question": f"{i}?", "answer": "#### 1"}) for i in range(30)]
    source = {split: str(tmp_path / f"{split}.jsonl") for split in ("train", "test")}
    for path in source.values():
        Path(path).write_text("\n".join(rows))
    problems = {"train": 5, "validation": 1, "test": 300}
    settings["datasets"]["arith"] |= {"task": "gsm8k", "source": source, "problems": problems}


def set_pair(**values):
    return lambda settings, tmp_path: settings["pairs"]["testbed"].update(values)


def on_gpu(settings, tmp_path):
    settings["pairs"]["testbed"]["target"] |= {"device": "cuda"}


PLANTED = {
    "tokenizers that differ": (
        other_tokenizer,
        "tokenizers differ, first at token 'apples'.*choose two models of one family",
    ),
    "no chat template": (no_template, "has no chat template; choose an instruction-tuned model"),
    "no weights": (no_weights, r"has no weights.*save the model with save_pretrained"),
    "weights cut off": (cut_weights, "target/model.safetensors: missing or cut off .*; copy or download"),
    "weights without a part": (missing_part, "target/part-2.safetensors: missing or cut off"),
    "an index cut off": (cut_index, "model.safetensors.index.json: cut off or no index"),
    "a model with convolutions": (
        convolution,
        "conv, full_attention. do not fit a cache with branches; choose a model",
    ),
    "a config of another model": (
        other_config(num_hidden_layers=18),
        "18 missing .model.layers.16.input_layernorm.weight, .*; save the whole model",
    ),
    "quantized weights without the package": (
        other_config(quantization_config={"quant_method": "gptq", "bits": 4}),
        r"its weights are quantized \(gptq\) and cannot be loaded on `cpu` .*pip install",
    ),
    "a rope that is unknown": (
        other_config(rope_parameters={"rope_type": "ntk3", "rope_theta": 1e4}),
        "`rope_parameters.rope_type` 'ntk3', unknown to transformers",
    ),
    "a blob that is gone": (gone_blob, "target/model.safetensors: links to ../../blobs/1234, which is gone"),
    "an adapter beside the model": (adapter, "holds an adapter .* beside a model; merge it"),
    "a template of another tokenizer": (token_beyond, "token 265 .* is beyond its embeddings, which have 265 rows"),
    "too little memory": (
        set_pair(mem_mb=1000),
        r"set `pairs.testbed.mem_mb` .* to more than 10",
    ),
    "a response too long": (
        lambda s, p: s["datasets"]["arith"].update(max_new_tokens=500),
        "exceed the models' context of 512; lower",
    ),
    "an empty dataset file": (no_test_rows, "test.jsonl: holds no rows; check the file"),
    "too few problems": (too_few_rows, r"`datasets.\*.problems`: .* hold: 300 test \(276 too many\); ask for fewer"),
    "too few GPUs": (
        set_pair(gpus=2),
        "2 per job, 0 visible here; lower `pairs.testbed.gpus`, or run with --profile slurm",
    ),
    "models on GPUs, jobs without": (on_gpu, "its jobs ask for none; set `pairs.testbed.gpus`"),
    "no login": (lambda s, p: s["tracking"].update(mode="online"), "mode online, but no login here; `wandb login`"),
    "too many worked examples": (
        lambda s, p: s["datasets"]["arith"].update(shots=3),
        "shots.*3 asked for, but task `arith` has 0 worked examples",
    ),
}


def program_rows(task, **change):
    """Plant a dataset of one program to test, with something wrong in it."""

    def plant(settings, tmp_path):
        (tmp_path / "test.jsonl").write_text(json.dumps(PROGRAMS[task] | change))
        problems = {"train": 0, "validation": 0, "test": 1}
        source = {"test": str(tmp_path / "test.jsonl")}
        settings["datasets"]["arith"] |= {"task": task, "source": source, "problems": problems}

    return plant


PROGRAMS = {
    "humaneval": {
        "task_id": "HumanEval/0",
        "prompt": 'def add(a, b):\n    """ Add. """\n',
        "entry_point": "add",
        "canonical_solution": "    return a + b\n",
        "test": "def check(candidate):\n    assert candidate(1, 2) == 3\n",
    },
    "livecodebench": {
        "question_content": "Print 1.",
        "question_id": "one",
        "contest_date": "2024-05-04",
        "starter_code": "",
        "public_test_cases": json.dumps([{"input": "", "output": "1"}]),
        "private_test_cases": "[]",
        "metadata": "{}",
    },
}


@pytest.mark.parametrize(
    "task, change, message",
    [
        ("humaneval", {}, None),
        ("humaneval", {"canonical_solution": "    return a\n"}, "row 1: problem .* its own solution fails its tests"),
        ("livecodebench", {}, None),
        ("livecodebench", {"private_test_cases": "*"}, "row 1: problem one: its `private_test_cases` is neither JSON"),
    ],
)
def test_the_tests_of_programs_are_unpacked_and_tried(settings, tmp_path, task, change, message):
    program_rows(task, **change)(settings, tmp_path)
    found = [f for f in check_all(settings, tmp_path / "results", 0) if f.what == "dataset arith"]
    assert [(f.state, bool(re.search(message or "1 test problems", f.detail))) for f in found] == [
        (FAULT if message else OK, True)
    ], found


def test_tests_are_unpacked_where_no_sandbox_can_be_had(settings, tmp_path, monkeypatch):
    def no_sandbox(workers):
        raise InputError("no sandbox here")

    monkeypatch.setattr(preflight, "Sandbox", no_sandbox)
    program_rows("livecodebench", private_test_cases="*")(settings, tmp_path)
    sandbox, dataset = faults(settings, tmp_path)[:2]
    assert sandbox == "sandbox for arith: no sandbox here"
    assert dataset.startswith("dataset arith: ") and "is neither JSON" in dataset


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_found_with_its_remedy(settings, tmp_path, name):
    plant, message = PLANTED[name]
    plant(settings, tmp_path)
    (found,) = faults(settings, tmp_path)
    assert re.search(message, found), found


def test_a_slow_dtype_is_noted_and_no_fault(settings, tmp_path, monkeypatch):
    monkeypatch.setattr(preflight, "slow_dtype", lambda model: f"{model['dtype']} is slow; set another")
    found = list(check_all(settings, tmp_path / "results", 0))
    notes = {finding.what: finding.detail for finding in found if finding.state == NOTE}
    assert notes == {f"dtype of testbed's {role}": "float32 is slow; set another" for role in ("draft", "target")}
    assert faults(settings, tmp_path) == []
    lines = describe([*found, preflight.Finding(FAULT, "last", "of all")]).splitlines()
    states = [line.split()[0] for line in lines[1:] if line.split()[0] in (OK, NOTE, FAULT)]
    assert states == sorted(states, key=[OK, NOTE, FAULT].index) and states[-1] == FAULT


@pytest.mark.parametrize("numerics", ["default", "invariant"])
def test_labels_that_depend_on_the_batch_are_noted(settings, tmp_path, monkeypatch, numerics):
    monkeypatch.setattr(preflight, "slow_dtype", lambda model: "slow")
    pair = settings["pairs"]["testbed"]
    pair |= {"numerics": numerics, "target": pair["target"] | {"dtype": "bfloat16"}}
    found = list(check_all(settings, tmp_path / "results", 0))
    notes = [finding for finding in found if finding.state == NOTE]
    (told,) = [finding for finding in found if finding.what == "numbers of testbed"]
    assert (told.state, len(notes)) == ((NOTE, 3) if numerics == "default" else (OK, 0))
    assert "numerics: invariant`" in told.detail
    assert ("`pairs.testbed.numerics: invariant`, or `dtype: float32`" in told.detail) == (numerics == "default")


def test_the_weights_of_a_pair_with_invariant_numbers_count_as_they_are_kept(settings, tmp_path, monkeypatch):
    monkeypatch.setattr("autojudge.engine.packing.DTYPES", (torch.float32,))
    pair = settings["pairs"]["testbed"]
    sizes = {}
    for dtype, numerics in (("float32", "default"), ("bfloat16", "default"), ("bfloat16", "invariant")):
        pair |= {"numerics": numerics} | {role: pair[role] | {"dtype": dtype} for role in ("draft", "target")}
        sizes[dtype, numerics] = preflight._check_weights(pair, "testbed", 4000)
    assert sizes["bfloat16", "invariant"] == sizes["float32", "default"] != sizes["bfloat16", "default"]


def test_a_question_of_both_files_counts_once_where_it_is_wanted(settings, tmp_path):
    too_few_rows(settings, tmp_path)
    settings["datasets"]["arith"]["problems"] = {"train": 5, "validation": 1, "test": 3}
    assert faults(settings, tmp_path) == []


def test_a_full_disk_is_found(settings, tmp_path, monkeypatch):
    monkeypatch.setattr(preflight.shutil, "disk_usage", lambda folder: Usage(10, 9, 2**20))
    (found,) = faults(settings, tmp_path)
    assert "1 MiB free" in found and "free some, or link" in found


def test_several_faults_are_told_at_once(settings, tmp_path):
    for plant, _ in (PLANTED["too few GPUs"], PLANTED["no login"], PLANTED["a response too long"]):
        plant(settings, tmp_path)
    assert len(faults(settings, tmp_path)) == 3


def test_more_shards_than_problems_are_a_fault(settings, tmp_path):
    settings["mining"]["shards"] = 100_000
    assert "100000 mining jobs for 620 problems; lower `mining.shards`" in faults(settings, tmp_path)[0]


def test_the_disk_for_an_unknown_model_is_unknown(settings, tmp_path):
    settings["pairs"]["testbed"]["draft"]["model"] = "models/nothing"
    assert "no folder models/nothing" in faults(settings, tmp_path)[0]
    assert re.search(r"\| unknown +\|\s*$", plan(settings, tmp_path, tmp_path))


def test_a_scheduler_gives_the_gpus(settings, tmp_path):
    settings["pairs"]["testbed"]["gpus"] = 4
    found = {f.what: f for f in check_all(settings, tmp_path, None)}
    assert found["GPUs of testbed"].state == OK and "scheduler" in found["GPUs of testbed"].detail


def test_the_plan_names_its_basis(settings, tmp_path):
    text = plan(settings, tmp_path, tmp_path)
    assert "| unknown " in text and re.search(r"\| +620 +\|", text)
    settings["pairs"]["testbed"]["gpus"] = 1
    assert re.search(r"\| 11\.3 GPU-hours +\| .*the paper's code", plan(settings, tmp_path, tmp_path))


@pytest.mark.parametrize(("gpus", "seconds"), [(0, None), (1, 65.6), (2, 65.6), (4, 706), (8, 706)])
def test_without_earlier_jobs_the_papers_pair_on_as_many_gpus_is_taken(tmp_path, gpus, seconds):
    assert mining_seconds(tmp_path, tmp_path, gpus)[0] == seconds


def test_the_seconds_of_earlier_jobs_are_divided_by_the_problems_that_these_mined(settings, tmp_path):
    made, timed = tmp_path / "arith/testbed/responses", tmp_path / "mine_labels/arith/testbed"
    made.mkdir(parents=True)
    timed.mkdir(parents=True)
    for shard, seconds, problems in (("1-of-2", 100, 30), ("2-of-2", 60, 10), ("1-of-4", 7, None)):
        (timed / f"{shard}.tsv").write_text(f"s\th:m:s\n{seconds}\t0:01:00\n")
        if problems:
            pq.write_table(pa.table({"problem_id": [str(i) for i in range(problems)]}), made / f"{shard}.parquet")
    assert mining_seconds(made, timed, 1) == (160 / 40, f"2 earlier jobs ({timed})")
    for shards in (2, 8):  # of the next run; its threads are one
        settings["mining"]["shards"] = shards
        assert re.search(r"\| 0\.7 core-hours +\| 2 earlier jobs", plan(settings, tmp_path, tmp_path))


def test_the_script_asks_for_the_hub_when_it_runs_and_goes_offline_before_the_hub_is_imported():
    lines = """
        import os, sys, urllib.request
        asked = []
        def no_network(*arguments, **options):
            asked.append(arguments)
            raise OSError
        urllib.request.urlopen = no_network
        import preflight
        assert not asked and "huggingface_hub" not in sys.modules
        try:
            preflight.preflight(config={}, results=None, benchmarks=None, local=True)
        except KeyError:  # an empty config
            import huggingface_hub.constants
            print(len(asked), huggingface_hub.constants.HF_HUB_OFFLINE)
    """
    environment = {key: value for key, value in os.environ.items() if key != "HF_HUB_OFFLINE"}
    environment["PYTHONPATH"] = str(ROOT / "workflow_scripts")
    command = [sys.executable, "-c", textwrap.dedent(lines)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert result.stdout == "1 True\n", result.stderr
