"""Write what follows from the pins of requirements.txt: `make envs`. A test says when a file differs from them.

The environments of this folder hold the same pins; the locks hold every further package too, with its hashes.
"""

import re
import subprocess
from pathlib import Path

FOLDER = Path(__file__).parent
ROOT = FOLDER.parent
PIN = re.compile(r"([A-Za-z0-9._-]+)==[^\s;#]+")
COMPILE = ["uv", "pip", "compile", "--quiet", "requirements.txt", "--output-file", "requirements.lock"]
COMPILE += ["--universal", "--python-version", "3.11", "--generate-hashes", "--no-annotate", "--no-header"]

# torch, whose build (and so its hash) is another one for CUDA and for the CPU, and what it alone brings.
OF_TORCH = re.compile(r"(torch|triton|cuda-\w+|nvidia-[\w-]+)==")
LOCK = """\
# Every package that requirements.txt brings, with its hashes, but torch: written by `make envs`.
#   pip install --no-deps --require-hashes -r requirements.lock
# and then torch, either of the public index, with its CUDA libraries on Linux, hashes checked too:
#   pip install --no-deps --require-hashes -r requirements-torch.lock
# or of another index, such as PyTorch's for CPUs: pip install -r requirements.txt installs what is still missing.
"""
LOCK_OF_TORCH = (
    "# torch of the public index and what it alone brings (see requirements.lock): written by `make envs`.\n"
)

# In vLLM's environment: its own pins, and which of the workflow's packages come with them.
OF_VLLM = ["vllm==0.32.0", "transformers==5.19.0"]
BESIDE_VLLM = ["math-verify", "pandas", "pyarrow", "scipy", "snakemake"]

HEADS = {
    "cpu": """\
# Jobs without a GPU. The versions are those of requirements.txt, which tells how to get the smaller CPU build of torch.
""",
    "gpu": """\
# Jobs with a GPU: the package index's own torch, with its CUDA libraries. The versions are those of requirements.txt.
""",
    "vllm": """\
# Measurements in vLLM (rule measure_vllm), on GPUs: vLLM brings the torch that it was built for, and its transformers
# has to be older than the workflow's. 0.32 is what the plugin was run with; 0.33, of which only the source was read,
# also measures vLLM's own lossy method. What reads tables and scores responses is as in requirements.txt, where vLLM
# does not say otherwise. Not tried: nothing here was run on a GPU.
""",
}


def read_pins(requirements: str) -> dict[str, str]:
    """Return the pins (`name==version`) of a requirements file by the packages' names, in its order."""
    return {match[1]: match[0] for match in map(PIN.match, requirements.splitlines()) if match}


def environments(requirements: str) -> dict[str, str]:
    """Return the text of every environment file by its name, for the text of requirements.txt."""
    pins = read_pins(requirements)
    chosen = {"cpu": [*pins.values()], "gpu": [*pins.values()]}
    chosen["vllm"] = [*OF_VLLM, *(pins[name] for name in BESIDE_VLLM)]
    return {f"{name}.yaml": HEADS[name] + _body(name, chosen[name]) for name in HEADS}


def _body(name: str, pins: list[str]) -> str:
    head = ["name: autojudge-" + name, "channels:", "  - conda-forge", "dependencies:", "  - python=3.11", "  - pip"]
    return "\n".join([*head, "  - pip:", *(f"      - {pin}" for pin in pins)]) + "\n"


def split_lock(lock: str) -> dict[str, str]:
    """Return the two locks by their names, for the text of one of all packages."""
    entries = re.split(r"^(?=\w)", lock, flags=re.MULTILINE)[1:]
    ours, torch = ([entry for entry in entries if bool(OF_TORCH.match(entry)) == its] for its in (False, True))
    return {"requirements.lock": LOCK + "".join(ours), "requirements-torch.lock": LOCK_OF_TORCH + "".join(torch)}


def main() -> None:
    """Write all of them; packages that no pin names keep their locked version as long as it fits."""
    for file, text in environments((ROOT / "requirements.txt").read_text(encoding="utf-8")).items():
        (FOLDER / file).write_text(text, encoding="utf-8")
    subprocess.run(COMPILE, cwd=ROOT, check=True)
    for file, text in split_lock((ROOT / "requirements.lock").read_text(encoding="utf-8")).items():
        (ROOT / file).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
