"""The table of what was measured in vLLM."""

import pyarrow as pa

from autojudge.tables.table import Column, Table

VLLM = Table(
    "vllm",
    {
        "method": Column(
            pa.string(),
            doc="target (alone), lossless (vLLM's own speculative decoding), judge (its plugin), or fly (vLLM's own "
            "lossy method, where it runs)",
        ),
        "threshold": Column(pa.float64(), doc="the judge's; none for others"),
        "recommended": Column(pa.bool_(), doc="the judge's threshold to use, which the sweep recommends"),
        "window": Column(pa.int32(), doc="tokens the draft proposes per cycle; 0 for the target alone"),
        "batch": Column(pa.int32(), doc="most responses side by side"),
        "problems": Column(pa.int64(), doc="test problems"),
        "accuracy": Column(pa.float64(), doc="share of correct answers"),
        "accuracy_low": Column(pa.float64(), doc="its Wilson 95 % interval, lower end"),
        "accuracy_high": Column(pa.float64(), doc="upper end"),
        "drop": Column(pa.float64(), doc="percentage points lost against lossless at that batch on the same problems"),
        "drop_low": Column(pa.float64(), doc="its paired bootstrap 95 % interval, lower end"),
        "drop_high": Column(pa.float64(), doc="upper end"),
        "differing": Column(pa.float64(), doc="share of responses that are not those of lossless at that batch"),
        "tokens": Column(pa.int64(), doc="tokens of all responses"),
        "mean_length": Column(pa.float64(), doc="tokens of a response"),
        "cut_off": Column(pa.float64(), doc="share of responses that end at the token limit"),
        "cycles": Column(
            pa.int64(), doc="draft windows verified, vLLM's spec_decode_num_drafts; 0 for the target alone"
        ),
        "mean_acceptance_length": Column(
            pa.float64(), doc="vLLM's: 1 + accepted draft tokens over cycles, also of those beyond a response's end"
        ),
        "acceptance_by_position": Column(
            pa.string(), doc="vLLM's: shares of cycles that accepted the draft's token at place 1, 2, ..., by spaces"
        ),
        "emitted_per_cycle": Column(
            pa.float64(), doc="tokens of responses, but for each one's first, which is not drafted, over cycles"
        ),
        "kept": Column(pa.int64(), doc="mismatches that the judge kept, by the plugin; 0 for others"),
        "rounds": Column(pa.int64(), doc="times that the problems were decoded"),
        "tokens_per_second": Column(
            pa.float64(), doc="of all responses together, prompts included; median of the rounds"
        ),
        "tokens_per_second_low": Column(pa.float64(), doc="slowest round"),
        "tokens_per_second_high": Column(pa.float64(), doc="fastest round"),
        "dtype": Column(pa.string(), doc="what both models compute in"),
        "tensor_parallel_size": Column(pa.int32(), doc="GPUs that the target is cut over; 1 on a CPU"),
        "vllm": Column(pa.string(), doc="version of vLLM"),
        "hardware": Column(pa.string(), doc="of the measurement; tokens per second on a CPU say nothing of a GPU"),
    },
    doc="One row per method, threshold and batch: results/{dataset}/{pair}/vllm.csv. Wall-clock on the machine "
    "of the run.",
)
