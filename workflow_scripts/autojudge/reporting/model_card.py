"""The model card of a judge: what it is, what it was chosen by, how to use it."""

import os
from pathlib import Path

from autojudge.judging.artifact import Judge

CARD = """# Judge for {draft} and {target}

Tells of a draft token that the target would not have chosen whether it matters for the final answer: p(important).
Trained without human labels by AutoJudge (arXiv 2504.20039) on `{dataset}` ({task}).

| | |
|---|---|
| classifier | {classifier}, {hyperparameter} |
| reads | {columns} ({features_read} numbers) |
| threshold | keep a draft token when p(important) < {threshold:.4g} |
| on validation there | {recall:.1%} of important mismatches refused, {accepted:.1%} of unimportant ones kept |
| on validation | AUC {auc} of {mismatches} mismatches, {problems} problems |
| commit | {commit} |

The validation split chose this judge, so its figures are optimistic; `../judges.md` has those of the test split, if
that was mined.
Probabilities are calibrated on validation (Platt). Meant for these two models at these revisions and for problems like
those it was trained on; hidden states are those after the final norm, of a model in {dtype}.

```python
from autojudge.judging.artifact import load_judge# of workflow_scripts; needs torch and safetensors alone

judge = load_judge("judge")
keep = judge.probability(features) < judge.info["threshold"]  # features: column -> (n, size), a scalar (n,)
```
"""


def write_card(judge: Judge, folder: Path) -> None:
    """Write README.md beside a judge's files."""
    info, validation = judge.info, judge.info["validation"]
    ((hyperparameter, value),) = info["hyperparameter"].items()
    auc = validation["auc"]
    models = info["models"]
    text = CARD.format(
        draft=models["draft"].get("model") or f"its own first {models['draft'].get('first_layers')} layers",
        target=models["target"]["model"],
        dataset=info["dataset"],
        task=info["task"],
        classifier=info["classifier"].replace("_", " "),
        hyperparameter=f"{hyperparameter} = {value:.3g}",
        columns=", ".join(info["columns"]),
        features_read=info["features_read"],
        threshold=info["threshold"],
        recall=validation["recall"],
        accepted=validation["unimportant_accepted"],
        auc=f"{auc['value']:.3f} ({auc['low']:.3f} to {auc['high']:.3f})",
        mismatches=validation["mismatches"],
        problems=validation["problems"],
        commit=info["provenance"]["commit"],
        dtype=models["target"]["dtype"],
    )
    partial = folder / ".README.md.partial"
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, folder / "README.md")
