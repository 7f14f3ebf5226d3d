"""vLLM's OpenAI server, the plugin through its entry point: what a user starts with one flag."""

import json
import socket
import subprocess
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest
from served import BED, DRAFT_MODEL, GREEDY, LIMIT, PYTHON, RUN, ended, engine_options, environment, of_threshold

JUDGE = RUN / "export"
START = 600  # seconds


class Server:
    """A server in a process of its own; its log, and answers to prompts."""

    def __init__(self, folder):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.log = folder / "server.log"
        options = {
            "--model": BED["target"],
            "--served-model-name": "bed",
            "--port": str(self.port),
            "--dtype": "float32",
            "--max-model-len": "256",
            "--max-num-seqs": "16",
            "--speculative-config": json.dumps(DRAFT_MODEL),
            "--additional-config": json.dumps({"autojudge": {"judge": str(JUDGE)}}),
        }
        command = [PYTHON, "-m", "vllm.entrypoints.openai.api_server", "--enforce-eager"]
        command += [part for option in options.items() for part in option]
        metrics = folder / "metrics"
        metrics.mkdir()
        more = environment(PROMETHEUS_MULTIPROC_DIR=str(metrics), VLLM_USE_V2_MODEL_RUNNER="0")
        with self.log.open("w", encoding="utf-8") as log:
            self.process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=subprocess.STDOUT, env=more)

    def wait(self):
        for _ in range(START):
            assert self.process.poll() is None, self.log.read_text(encoding="utf-8")[-3000:]
            try:
                self.get("/health")
                return
            except OSError:
                time.sleep(1)
        raise AssertionError(self.log.read_text(encoding="utf-8")[-3000:])

    def get(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=60) as answer:
            return answer.read().decode()

    def complete(self, prompt, temperature=0.0, **asked):
        """Tokens that answer a prompt, or the error's text."""
        body = {"model": "bed", "prompt": prompt, "max_tokens": LIMIT, "temperature": temperature}
        body |= {"return_token_ids": True} | ({"vllm_xargs": asked} if asked else {})
        data, kind = json.dumps(body).encode(), {"Content-Type": "application/json"}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/v1/completions", data, kind)
        try:
            with urllib.request.urlopen(request, timeout=600) as answer:
                return json.load(answer)["choices"][0]["token_ids"]
        except urllib.error.HTTPError as fault:
            return f"{fault.code} {fault.read().decode()}"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    started = Server(tmp_path_factory.mktemp("server"))
    try:
        started.wait()
        yield started
    finally:
        started.process.terminate()
        started.process.wait(60)


@pytest.fixture(scope="module")
def offline(drive, prompts):
    """12 prompts with the judge and losslessly, by the engine without a server."""
    lossless = {"prompts": prompts[:12], "params": of_threshold(0.0)}
    told = drive({"engine": engine_options(JUDGE), "calls": [{"prompts": prompts[:12], "params": GREEDY}, lossless]})
    return ended(told)["responses"]


def ask(server, prompts, **asked):
    with ThreadPoolExecutor(12) as pool:
        return list(pool.map(lambda prompt: server.complete(prompt, **asked), prompts[:12]))


def test_it_answers_as_the_engine_does_and_losslessly_where_a_request_asks_for_that(server, offline, prompts):
    assert ask(server, prompts) == offline[0]
    assert ask(server, prompts, autojudge_threshold=0.0) == offline[1] != offline[0]


def test_what_a_request_cannot_have_is_its_error(server, prompts):
    assert (
        "400" in (told := server.complete(prompts[0], autojudge_threshold=-1))
        and "must be 0 (lossless) or more" in told
    )
    assert "400" in (told := server.complete(prompts[0], temperature=0.7)) and "only greedy requests" in told


def test_it_says_that_it_is_lossy_and_counts_beside_vllms_own_metrics(server, prompts):
    log = server.log.read_text(encoding="utf-8")
    assert "autojudge: LOSSY decoding" in log and "autojudge: installed in worker 0" in log
    server.complete(prompts[0])
    time.sleep(11)  # counts are told with the first step after 10 seconds
    server.complete(prompts[0])
    metrics = server.get("/metrics")
    (kept,) = [line for line in metrics.splitlines() if line.startswith("autojudge:kept_total")]
    assert float(kept.split()[-1]) > 0 and "vllm:spec_decode_num_drafts_total" in metrics
