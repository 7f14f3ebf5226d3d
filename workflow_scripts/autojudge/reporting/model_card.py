"""The model card of a judge: what it is, what it was chosen by, how to use it."""

from autojudge.judging.mismatches import Sources
from autojudge.judging.needs import describe_needs, needs_of_columns
from autojudge.judging.record import OperatingPoint, Record
from autojudge.reporting.judges_page import describe_sources
from autojudge.reporting.label_kinds import LabelKinds, describe_kinds, describe_question

CARD = """# Judge for {draft} and {target}

Gives p(important) of a draft token that the target would not have chosen: the probability that the token
{question}.
Trained without human labels by AutoJudge (arXiv 2504.20039) on `{dataset}` ({task}).

| | |
|---|---|
| classifier | {classifier}, {hyperparameter} |
| reads | {columns} ({features_read} numbers) |
| an engine needs | {needs} |
| threshold | {threshold} |
{point}| by recall | p(important) < {recall_threshold:.4g}: {recall:.1%} of important validation mismatches refused, \
{accepted:.1%} of unimportant ones kept |
| on validation | AUC {auc} of {mismatches} mismatches, {problems} problems |
| commit | {commit} |

{notes}The validation split chose this judge, so its figures are optimistic{unbiased}.
Probabilities are calibrated on validation (Platt). The judge is for these two models at these revisions, and for
problems like those it was trained on; hidden states are those after the final norm, of a model in {dtype}.

## Serving

Decoding with a judge is lossy: responses may differ from the target's own, and more of them do with a higher
threshold; 0 is lossless.{serving}

Or ask the judge yourself:

```python
from autojudge.judging.artifact import load_judge  # after `pip install .`; needs only torch and safetensors

judge = load_judge("FOLDER")
keep = judge.probability(features) < {used}  # features: column -> (n, size), a scalar (n,)
```
"""
ENGINES = """ FOLDER is this one, or its name on the Hub.

vLLM, after `pip install 'autojudge[vllm]'`:

```bash
vllm serve {target} --dtype {dtype} \\
    --speculative-config '{{"method": "draft_model", "model": "{draft}", "num_speculative_tokens": {window}}}' \\
    --additional-config '{{"autojudge": {{"judge": "FOLDER"{vllm_threshold}}}}}'
```

transformers, with both models loaded:

```python
target.generate(
    **inputs, custom_generate="FOLDER", trust_remote_code=True, assistant_model=draft, window={window}{option}
)
```"""
NO_POINT = "none here: the judge's sweep recommends one, which is written into its export"


def build_card(
    record: Record, kinds: LabelKinds, sources: Sources | None, folds: int | None, held_out: str | None
) -> str:
    """Return the Markdown of a judge's card.

    Parameters
    ----------
    kinds : LabelKinds
        By what its labels were made.
    sources : Sources or None
        From where its labels come, if that is known.
    folds : int or None
        Number of the dataset's folds.
    held_out : str or None
        The fold that it is the judge of.
    """
    validation, models = record.validation, record.models
    notes = [_describe_folds(folds, held_out)] if folds else []
    notes += describe_kinds(kinds) + ([describe_sources(sources)] if sources else [])
    return CARD.format(
        draft=models["draft"].get("model") or f"its own first {models['draft'].get('first_layers')} layers",
        target=models["target"]["model"],
        question=describe_question(kinds),
        dataset=record.dataset,
        task=record.task,
        classifier=record.classifier.replace("_", " "),
        hyperparameter=f"{record.hyperparameter} = {record.value:.3g}",
        columns=", ".join(record.columns),
        features_read=record.features_read,
        needs=describe_needs(needs_of_columns(record.columns)),
        threshold=NO_POINT
        if record.threshold is None
        else f"keep a draft token when p(important) < {record.threshold:.4g}",
        point=_describe_point(record.operating_point),
        recall_threshold=record.recall_threshold,
        serving=_describe_engines(record),
        used="THRESHOLD" if record.threshold is None else "judge.record.threshold",
        recall=validation.recall,
        accepted=validation.unimportant_accepted,
        auc=validation.auc,
        mismatches=validation.mismatches,
        problems=validation.problems,
        # No problem is left that a judge of all folds' problems could be tested on.
        unbiased=""
        if folds and not held_out
        else "; the run's judges.md has those of the test split, if that was mined",
        notes="".join(f"{note}\n\n" for note in notes),
        commit=record.provenance.get("commit"),
        dtype=models["target"]["dtype"],
    )


def _describe_point(point: OperatingPoint | None) -> str:
    """Return the rows of the table that tell where the judge is served best."""
    if point is None:
        return ""
    measured = "the folds' own problems, by the folds' judges" if point.measured_on == "folds" else "validation"
    return (
        f"| window | {point.window} draft tokens per cycle |\n"
        f"| there, on {measured} | {point.drop:.1f} points lost against lossless decoding ({point.drop_low:.1f} to "
        f"{point.drop_high:.1f}), {point.emitted_per_cycle:.2f} tokens emitted and {point.accepted_per_cycle:.2f} "
        f"accepted per cycle; {point.problems} problems |\n"
        f"| chosen | {point.chosen_by} |\n"
    )


def _describe_engines(record: Record) -> str:
    """Return the commands of engines, for drafts that are models of their own."""
    draft, point = record.models["draft"].get("model"), record.operating_point
    if not draft:
        return ""
    return ENGINES.format(
        target=record.models["target"]["model"],
        dtype=record.models["target"]["dtype"],
        draft=draft,
        window=point.window if point else "WINDOW",
        vllm_threshold="" if point else ', "threshold": THRESHOLD',
        option="" if point else ", threshold=THRESHOLD",
    )


def _describe_folds(folds: int, held_out: str | None) -> str:
    """Return what the judge has to do with the dataset's figure."""
    if held_out:
        return f"The judge of fold {held_out}: no problem of that fold was part of its training or choice."
    return (
        "Trained and chosen on problems of all folds, to be served. Accuracies in the dataset's figure are not of this "
        f"judge but of those of its {folds} folds, each of which decodes only problems that were no part of its "
        "training or choice."
    )
