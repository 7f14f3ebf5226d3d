"""Stands in for vLLM: `python vllm_standin.py facts|measure`, with the protocol of `serving.measuring.process`.

STANDIN is a JSON file: `facts`; `fail_after`, rows before it fails, with the text `says`. What it is asked is added to
requests.jsonl beside it. The response to prompt [n] is [n, 7, 4], and with a judge's threshold above 0 [n, 8, 8, 4].
"""

import json
import os
import sys
from importlib.metadata import entry_points
from pathlib import Path


def respond(prompt, threshold):
    return [prompt[0], 8, 8, 4] if threshold else [prompt[0], 7, 4]


told = Path(os.environ["STANDIN"])
state, request = json.loads(told.read_text()), json.loads(sys.stdin.readline())
plugins = [point.value for point in entry_points(group="vllm.general_plugins") if point.name == "autojudge"]
with told.with_name("requests.jsonl").open("a") as log:
    log.write(
        json.dumps(request | {"ask": sys.argv[1], "plugins": plugins, "bind": os.environ["VLLM_CPU_OMP_THREADS_BIND"]})
        + "\n"
    )
print("vLLM prints much", file=sys.stderr)
if sys.argv[1] == "facts":
    print(json.dumps(state["facts"]))
    sys.exit()
for number, setting in enumerate(request["settings"]):
    if number == state.get("fail_after"):
        print(state["says"], file=sys.stderr)
        sys.exit(1)
    threshold = setting["extra_args"].get("autojudge_threshold", 0)
    responses = [respond(prompt, threshold) for prompt in request["prompts"]]
    cycles = len(responses) if "speculative_config" in request["engine"] else 0
    counts = {"cycles": cycles, "drafted": 8 * cycles, "accepted": cycles, "accepted_at": [cycles, 0] if cycles else []}
    counts |= {"kept": 3} if request["counts_judge"] else {}
    print(json.dumps({"responses": responses, "counts": counts, "seconds": [2.0, 1.0]}), flush=True)
