"""The model card of a judge: what it is, what it was chosen by, how to use it."""

from autojudge.judging.mismatches import Sources
from autojudge.judging.record import Record
from autojudge.reporting.judges_page import describe_sources

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

{notes}The validation split chose this judge, so its figures are optimistic{unbiased}.
Probabilities are calibrated on validation (Platt). Meant for these two models at these revisions and for problems like
those it was trained on; hidden states are those after the final norm, of a model in {dtype}.

```python
from autojudge.judging.artifact import load_judge  # after `pip install .`, which needs torch and safetensors alone

judge = load_judge("judge")
keep = judge.probability(features) < judge.record.threshold  # features: column -> (n, size), a scalar (n,)
```
"""


def build_card(record: Record, sources: Sources | None, folds: int | None, held_out: str | None) -> str:
    """Return the Markdown of a judge's card.

    Parameters
    ----------
    sources : Sources or None
        From where its labels come, if that is known.
    folds : int or None
        Number of the dataset's folds.
    held_out : str or None
        The fold that it is the judge of.
    """
    validation, models = record.validation, record.models
    notes = [_describe_folds(folds, held_out)] if folds else []
    notes += [describe_sources(sources)] if sources else []
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
        # No problem is left that a judge of all folds' problems could be tested on.
        unbiased="" if folds and not held_out else "; `../judges.md` has those of the test split, if that was mined",
        notes="".join(f"{note}\n\n" for note in notes),
        commit=record.provenance.get("commit"),
        dtype=models["target"]["dtype"],
    )


def _describe_folds(folds: int, held_out: str | None) -> str:
    """Return what the judge has to do with the dataset's figure."""
    if held_out:
        return f"The judge of fold {held_out}: no problem of that fold was part of its training or choice."
    return (
        "Trained and chosen on problems of all folds, to be served. Accuracies in the dataset's figure are not of this "
        f"judge but of the {folds} in `../folds/`, each of which decodes only problems that were no part of its "
        "training or choice."
    )
