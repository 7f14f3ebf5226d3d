"""What is measured in vLLM, and the process that measures, with modules that stand in for vLLM's."""

import sys
from dataclasses import replace
from types import ModuleType, SimpleNamespace

import pytest

from autojudge.engine.endings import Ending
from autojudge.errors import InputError
from autojudge.serving.measuring import process
from autojudge.serving.measuring.methods import (
    SETTLED,
    Served,
    check_engine,
    check_pair,
    choose_thresholds,
    list_methods,
)
from conftest import make_record, model_settings

PAIR = {role: model_settings(f"models/{role}") for role in ("draft", "target")}
SETTINGS = {"batches": [1, 8], "tensor_parallel_size": 2, "engine": {}}
SERVED = Served(PAIR, "judge", [0.0, 0.2], 8, Ending(100, frozenset({4, 2}), (), str), 50, SETTINGS)


def test_thresholds_are_the_recommended_one_and_some_around_it():
    record = make_record(thresholds=[n / 100 for n in range(0, 60, 5)] + [1.00001])
    assert choose_thresholds(record, 0.3, None) == [0.0, 0.15, 0.3, 0.5, 1.0]
    assert choose_thresholds(record, 0.02, None) == [0.0, 0.02, 0.35, 1.0]
    assert choose_thresholds(record, None, [0.5, 0, 0.5]) == [0.0, 0.5]
    with pytest.raises(InputError, match=r"no recommended `threshold`.*`vllm.thresholds`"):
        choose_thresholds(record, None, None)


def test_a_pair_without_a_draft_model_or_of_gguf_files_is_refused_by_its_key():
    with pytest.raises(InputError, match=r"`pairs.mine.draft`: names no model"):
        check_pair(PAIR | {"draft": {"prompt_lookup": True}}, "mine")
    with pytest.raises(InputError, match=r"`pairs.mine.target.gguf_file`"):
        check_pair(PAIR | {"target": PAIR["target"] | {"gguf_file": "a.gguf"}}, "mine")
    check_pair(PAIR, "mine")


def test_methods_differ_by_speculation_and_plugin_alone():
    target, lossless, fly, judge = (SERVED.engine(m, False) for m in ("target", "lossless", "fly", "judge"))
    assert "speculative_config" not in target and "additional_config" not in lossless
    assert lossless["speculative_config"] == {
        "method": "draft_model", "model": "models/draft", "revision": None, "num_speculative_tokens": 8
    }  # fmt: skip
    assert fly["speculative_config"]["rejection_sample_method"] == "fly"
    assert judge["additional_config"] == {"autojudge": {"judge": "judge", "threshold": 0.2}}
    same = {key: value for key, value in judge.items() if key not in ("speculative_config", "additional_config")}
    assert same == target and target["tensor_parallel_size"] == 2 and target["max_model_len"] == 159
    assert "enforce_eager" not in target and SERVED.engine("target", True)["enforce_eager"]
    own = replace(SERVED, settings=SETTINGS | {"engine": {"enforce_eager": False}})
    assert own.engine("target", True)["enforce_eager"] is False


def test_every_argument_that_the_measurement_settles_is_refused_in_the_config():
    settled = set(SERVED.engine("judge", True)) - {"enforce_eager"}
    assert {*settled, "seed", "tokenizer", "disable_log_stats"} <= set(SETTLED)
    with pytest.raises(InputError, match="`vllm.engine.max_num_seqs`: the largest of `vllm.batches` gives it; take"):
        check_engine({"enforce_eager": True, "max_num_seqs": 4})
    check_engine({"enforce_eager": False, "gpu_memory_utilization": 0.8})


def test_requests_end_where_the_decoder_ends():
    assert SERVED.sampling == {
        "temperature": 0.0, "max_tokens": 100, "stop_token_ids": [2, 4], "detokenize": False
    }  # fmt: skip
    stopping = replace(SERVED, ending=replace(SERVED.ending, stop=("\nQ:",)))
    assert stopping.sampling["stop"] == ["\nQ:"] and stopping.sampling["include_stop_str_in_output"]
    assert stopping.engine("target", True)["skip_tokenizer_init"] is False


@pytest.mark.parametrize(
    "version, is_cpu, has_fly", [("0.32.0", False, False), ("0.33.0", True, False), ("0.33.0", False, True)]
)
def test_vllms_own_lossy_method_is_measured_where_it_runs(version, is_cpu, has_fly):
    assert ("fly" in list_methods({"vllm": version, "is_cpu": is_cpu})) is has_fly


class Params(SimpleNamespace):
    """Stands in for SamplingParams."""

    def clone(self):
        return Params(**vars(self))


class Engine:
    """Stands in for vLLM's engine: a request takes as many steps as its prompt says, and so many run side by side."""

    def __init__(self):
        self.left, self.most, self.counts, self.names = {}, 0, 0, set()

    def add_request(self, name, prompt, params):
        assert name not in self.names and params.output_kind == "final"
        self.names.add(name)
        self.left[name] = [prompt["prompt_token_ids"][0], prompt["prompt_token_ids"], params]
        self.most = max(self.most, len(self.left))

    def step(self):
        outputs = []
        for name, request in list(self.left.items()):
            request[0] -= 1
            self.counts += 1
            if request[0] == 0:
                extra = getattr(self.left.pop(name)[2], "extra_args", {})
                tokens = [*request[1], len(extra)]
                outputs.append(
                    SimpleNamespace(request_id=name, finished=True, outputs=[SimpleNamespace(token_ids=tokens)])
                )
        return outputs


class Llm:
    """Stands in for vllm.LLM."""

    def __init__(self, **arguments):
        self.arguments, self.llm_engine = arguments, Engine()

    def get_metrics(self):
        counts, name = self.llm_engine.counts, process.SPECULATION
        values = {"drafts": counts, "draft_tokens": 8 * counts, "accepted_tokens": 2 * counts}
        found = [SimpleNamespace(name=name + key, value=value) for key, value in values.items()]
        vector = SimpleNamespace(name=f"{name}accepted_tokens_per_pos", values=[counts, counts])
        return [*found, vector, SimpleNamespace(name="vllm:prompt_tokens", value=9)]

    def collective_rpc(self, name):
        assert name == "autojudge_counts"
        return [{"kept": self.llm_engine.counts}]


@pytest.fixture
def llms(monkeypatch):
    made = []
    vllm, sampling = ModuleType("vllm"), ModuleType("vllm.sampling_params")
    vllm.LLM = lambda **arguments: made.append(Llm(**arguments)) or made[-1]
    vllm.SamplingParams, sampling.RequestOutputKind = Params, SimpleNamespace(FINAL_ONLY="final")
    monkeypatch.setitem(sys.modules, "vllm", vllm)
    monkeypatch.setitem(sys.modules, "vllm.sampling_params", sampling)
    return made


def ask(settings, **more):
    request = {"engine": {"model": "m"}, "sampling": {"temperature": 0.0}, "prompts": [[3], [1], [2], [1]]}
    return process.measure(request | {"rounds": 2, "settings": settings, "counts_judge": True} | more)


def test_a_setting_is_measured_with_so_many_requests_side_by_side(llms):
    settings = [{"batch": 1, "extra_args": {}}, {"batch": 3, "extra_args": {"autojudge_threshold": 0.5}}]
    rows = ask(settings)
    first = next(rows)
    (llm,) = llms
    assert llm.arguments == {"model": "m", "disable_log_stats": False}
    assert first["responses"] == [[3, 0], [1, 0], [2, 0], [1, 0]] and len(first["seconds"]) == 2
    llm.llm_engine.most = 0
    second = next(rows)
    assert llm.llm_engine.most == 3 and second["responses"] == [[3, 1], [1, 1], [2, 1], [1, 1]]


@pytest.mark.parametrize(
    "threads, cores, bound, told",
    [
        (1, {0, 1}, "nobind", "1 thread on 2 cores of "),
        (2, {0, 1}, "nobind", "2 threads on 2 cores of "),
        (1, {3}, "nobind", "1 thread on 1 core of "),
        (1, {0, 1}, "0-3", "threads bound by `0-3` on 2 cores of "),
    ],
)
def test_a_cpu_is_told_with_the_threads_that_compute(monkeypatch, threads, cores, bound, told):
    monkeypatch.setattr("torch.get_num_threads", lambda: threads)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: cores)
    monkeypatch.setenv("VLLM_CPU_OMP_THREADS_BIND", bound)
    assert process._name_cpu().startswith(told)


def test_counts_are_those_of_the_first_round_alone(llms):
    (row,) = ask([{"batch": 2, "extra_args": {}}])
    assert row["counts"] == {"cycles": 7, "drafted": 56, "accepted": 14, "accepted_at": [7, 7], "kept": 7}
    (row,) = ask([{"batch": 2, "extra_args": {}}], counts_judge=False)
    assert "kept" not in row["counts"]
