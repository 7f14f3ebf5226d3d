"""The model card of a judge: what it is, what it was chosen by, how to use it."""

from autojudge.judging.record import Record

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
from autojudge.judging.artifact import load_judge  # after `pip install .`, which needs torch and safetensors alone

judge = load_judge("judge")
keep = judge.probability(features) < judge.record.threshold  # features: column -> (n, size), a scalar (n,)
```
"""


def build_card(record: Record) -> str:
    """Return the Markdown of a judge's card."""
    validation, models = record.validation, record.models
    return CARD.format(
        draft=models["draft"].get("model") or f"its own first {models['draft'].get('first_layers')} layers",
        target=models["target"]["model"],
        dataset=record.dataset,
        task=record.task,
        classifier=record.classifier.replace("_", " "),
        hyperparameter=f"{record.hyperparameter} = {record.value:.3g}",
        columns=", ".join(record.columns),
        features_read=record.features_read,
        threshold=record.threshold,
        recall=validation.recall,
        accepted=validation.unimportant_accepted,
        auc=validation.auc,
        mismatches=validation.mismatches,
        problems=validation.problems,
        commit=record.provenance.get("commit"),
        dtype=models["target"]["dtype"],
    )
