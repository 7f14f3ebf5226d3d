"""A hub that refuses or cannot be reached ends with one message that says what to do."""

import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from conftest import ROOT

ERRORS = {"gated": (403, "GatedRepo"), "missing": (404, "RepoNotFound")}
PROGRAM = """
import sys
sys.path[:0] = {paths!r}
from autojudge.reading.rows import load_rows
from autojudge.errors import InputError
from autojudge.engine.models import load_tokenizer
from conftest import model_settings

for name in {names!r}:
    try:
        load_tokenizer({{"draft": model_settings(name), "target": model_settings(name)}})
    except InputError as fault:
        print(name, "|", fault)
try:
    list(load_rows("someone/no-rows", ("question",), "main"))
except InputError as fault:
    print("dataset", "|", fault)
"""


class Hub(BaseHTTPRequestHandler):
    """Answers for a hub that has nothing to give."""

    def answer(self):
        name = next((name for name in ERRORS if name in self.path), "missing")
        status, code = ERRORS[name]
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Error-Message", name)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_HEAD = do_POST = answer  # noqa: N815 the names that http.server asks for

    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def endpoint():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()


def messages(endpoint, names, home):
    """Return the message that each name ends with; the hub's address is read when its library is imported."""
    program = PROGRAM.format(paths=[str(ROOT / "workflow_scripts"), str(ROOT / "tests")], names=names)
    environment = os.environ | {"HF_ENDPOINT": endpoint, "HF_HOME": str(home), "NO_PROXY": "127.0.0.1"}
    environment.pop("HF_TOKEN", None)
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stderr
    return dict(line.split(" | ", 1) for line in result.stdout.splitlines() if " | " in line)


def test_gated_and_unknown_models_and_datasets_are_told_apart(endpoint, tmp_path):
    found = messages(endpoint, ["owner/gated", "owner/missing"], tmp_path)
    assert "licence has to be accepted" in found["owner/gated"] and "`hf auth login`" in found["owner/gated"]
    assert "https://huggingface.co/owner/gated" in found["owner/gated"]
    assert "neither a local folder nor a model on the hub" in found["owner/missing"]
    assert "dataset someone/no-rows (main, train): cannot be loaded from the hub" in found["dataset"]
    assert "`source: {train: FILE, test: FILE}`" in found["dataset"]


def test_a_hub_that_cannot_be_reached_is_named(tmp_path):
    found = messages("http://127.0.0.1:9", ["owner/model"], tmp_path)
    assert "the hub cannot be reached and the model is not in the cache" in found["owner/model"]
    assert "`hf download owner/model`" in found["owner/model"]
    assert "cannot be loaded from the hub or its cache" in found["dataset"]


def offline_after_preflight(endpoint):
    """Return what the preflight's script leaves in HF_HUB_OFFLINE before it imports what reads it."""
    program = (
        "import os, sys, preflight; preflight.stay_offline_without_hub(); "
        "assert 'huggingface_hub' not in sys.modules; print(os.environ.get('HF_HUB_OFFLINE'))"
    )
    environment = os.environ | {"HF_ENDPOINT": endpoint, "NO_PROXY": "127.0.0.1"}
    environment.pop("HF_HUB_OFFLINE", None)
    folder = ROOT / "workflow_scripts"
    return subprocess.check_output([sys.executable, "-c", program], cwd=folder, env=environment, text=True).strip()


def test_the_preflight_asks_a_dead_hub_once(endpoint):
    assert offline_after_preflight("http://127.0.0.1:9") == "1"
    assert offline_after_preflight(endpoint) == "None", "a hub that answers with an error is there"
