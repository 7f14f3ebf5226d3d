#!/bin/sh
# gpu.sh FOLDER: unit tests on a GPU, then mining and decoding timed at a real size with random weights.
#
#     benchmarks/gpu.sh benchmarks/gpu         (15 to 20 minutes on 16 cores, reckoned; 25 GB of GPU memory; nothing is downloaded)
#     PYTHON=python3 benchmarks/gpu.sh FOLDER  with another Python than the environment's
#
# Each part has its time and goes on where another failed; what it printed and its figures are in the folder.

cd "$(dirname "$0")/.." || exit
mkdir -p "${1:?a folder for the results}" && out=$(cd "$1" && pwd) || exit
python=${PYTHON:-.venv/bin/python}
export AUTOJUDGE_TEST_DEVICE=cuda OMP_NUM_THREADS=1 PYTHONUNBUFFERED=1
failed=0

part() {
    name=$1 seconds=$2
    shift 2
    echo "== $name"
    { timeout --signal=INT --kill-after=15 "$seconds" "$@" 2>&1; echo "$name: status $?"; } | tee "$out/$name.log"
    grep -qx "$name: status 0" "$out/$name.log" || failed=1
}

part card 60 sh -c "nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader; \"$python\" -c \
    'import torch, transformers; print(\"torch\", torch.__version__, \"transformers\", transformers.__version__)'"
part tests 1800 "$python" -m pytest -n 8 --dist worksteal --tb short -v -rfE \
    tests/unit/mining tests/unit/decoding tests/unit/engine
real="--random qwen2.5_0.5b_7b --device cuda --dtype bfloat16"
part mining 130 "$python" benchmarks/mining.py $real --problems 24 --plain-problems 2 --max-new-tokens 80 --rounds 2 \
    --json "$out/mining.json"
part decoding 130 "$python" benchmarks/decoding.py $real --judge --window 8 --batches 1 --problems 2 \
    --max-new-tokens 64 --rounds 2 --minutes 1.2 --json "$out/decoding.json"
part decoding_batch 90 "$python" benchmarks/decoding.py $real --judge --window 8 --batches 16 --problems 16 \
    --max-new-tokens 64 --rounds 2 --json "$out/decoding_batch.json"
exit $failed
