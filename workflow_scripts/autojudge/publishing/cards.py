"""The cards of what is published: the Hub's metadata, then what a reader wants to know."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from huggingface_hub import DatasetCardData, EvalResult, ModelCardData
from tabulate import tabulate

from autojudge.judging.record import Record
from autojudge.publishing.layout import PROVENANCE, ROW, SPLITS, TEXTS, held_table, split_files, table_file
from autojudge.tables.dictionary import in_cell
from autojudge.tables.mining import FEATURES, LABELS, PROBLEMS, RESPONSES
from autojudge.tables.pair_names import split_source
from autojudge.tables.table import Table

TAGS = ["speculative-decoding", "autojudge"]
PAPER = "https://arxiv.org/abs/2504.20039"
LICENCE = """
## Licence

{own}The code in `custom_generate/` is Apache-2.0. The judge was learned from what the two models
answer to the data set's problems, so their licences may bind its use: look them up before you do.
"""
REPRODUCE = """
## How it was made

The labels and features that it was trained on are in [`{labels}`](https://huggingface.co/datasets/{labels}). With
the workflow at commit `{commit}` and `datasets: {{{dataset}: {{labels: {{{pair}: {{hub: {labels}}}}}}}}}` in the
config, `snakemake results/{dataset}/{pair}/judge/judge.json` trains this very judge from them; `snakemake
results/{dataset}_pareto.pdf` decodes with it.
"""
DATASET = """# AutoJudge labels: {dataset}, {draft} and {target}

Mismatches of a draft and a target model with a label each: would the draft's token, in the place of the target's,
{question} Mined without people by AutoJudge ([paper]({paper})), for judges of lossy speculative decoding.
The features of each mismatch are the models' last hidden states (float16) and scalars that are known when the target
checks the draft.

{counts}

{texts}

## Train a judge from it

In the config of the AutoJudge workflow, with a pair of the same models under `pairs.{pair}`:

```yaml
datasets:
  {dataset}:
    labels:
      {pair}: {{hub: {repo}}} # and `revision: COMMIT` to pin it
```

`snakemake results/{dataset}/{pair}/judge/judge.json` then trains the judge without mining. Or read the
tables as they are:

```python
from datasets import load_dataset

labels = load_dataset("{repo}", "labels", split="train")
features = load_dataset("{repo}", "features", split="train")  # the same rows in the same order
```

## Provenance

{provenance}

`{file}` has all of it, with a hash of each file.

## Columns

Splits are by problem. `{row}` is a row's place among the rows of all splits of its table.

{columns}

## Licence

{licence}The responses are the target's and the draft's; their licences, and that of the data set, may bind the use
of what was learned from them.
"""
BY_ANSWERS = "change the final answer?"
BY_LIKELIHOOD = (
    "make the target's own next {tokens} tokens less likely, by more than {threshold:g} nats in all? Labels are by "
    "likelihood, not by answers."
)
SOFT = (
    " Labels are soft, too: {count} continuations of each mismatch were sampled, at temperature {temperature:g}, and "
    "`kept_share` is the share that keeps the target's answer, by which judges are fitted."
)
WITHHELD = (
    "**No texts**: prompts, tokens and answers are withheld. Each token is -1 and each answer `withheld`, so that "
    "lengths and gaps stay; judges are trained without them. Hidden states are functions of texts: whoever has the "
    "models may be able to tell parts of a text from them."
)
WITH_TEXTS = "Texts are included: prompts, tokens and answers, the problems under `problems`."


def model_card(
    text: str,
    record: Record,
    pair: str,
    models: Mapping[str, Mapping[str, Any]],
    repos: Mapping[str, str],
    licence: str | None,
) -> str:
    """Return the card of a judge's repository.

    Parameters
    ----------
    text : str
        The card of the exported judge.
    models : mapping
        `layout.describe_pair` of the pair.
    repos : mapping
        Names of the repositories, `model` and `dataset`.
    """
    data = ModelCardData(
        **_licence(licence),
        library_name="transformers",
        tags=[*TAGS, "custom_generate"],
        base_model=base_models(models) or None,
        datasets=[repos["dataset"]],
        model_name=repos["model"].split("/")[-1],
        eval_results=_results(record),
    )
    text = _with_name(text, repos["model"])
    filled = {"labels": repos["dataset"], "dataset": record.dataset, "pair": split_source(pair)[0]}
    made = REPRODUCE.format(**filled, commit=record.provenance.get("commit"))
    return f"---\n{data.to_yaml()}\n---\n\n{text.strip()}\n{made}{LICENCE.format(own=_own(licence))}"


def _with_name(text: str, repo: str) -> str:
    """Return the card of an exported judge with the repository's name in the commands; the library reads folders."""
    text = text.replace("FOLDER is this one, or its name on the Hub.", "")
    text = text.replace('load_judge("FOLDER")', f'load_judge(snapshot_download("{repo}"))  # of huggingface_hub')
    return text.replace('"FOLDER"', f'"{repo}"')


def _licence(name: str | None) -> dict[str, Any]:
    """Return the Hub's metadata of a licence; without a name that of the models has to be looked up."""
    return {"license": name} if name else {"license": "other", "license_name": "see-card"}


def _own(licence: str | None) -> str:
    return f"Published under `{licence}`. " if licence else ""


def base_models(models: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the models that the Hub has, target first; local folders have no name there."""
    of_hub = [models[role] for role in ("target", "draft") if "contents" not in models.get(role, {})]
    return [model["model"] for model in of_hub if model.get("model")]


def _results(record: Record) -> list[EvalResult]:
    """Return the judge's metrics on validation, and its operating point's, as the Hub lists them."""
    about: dict[str, Any] = {
        "task_type": "text-generation",
        "task_name": "speculative decoding",
        "dataset_type": record.dataset,
        "dataset_name": record.dataset,
        "dataset_split": "validation",
    }
    validation, point = record.validation, record.operating_point
    found = {
        "ROC AUC of important mismatches": ("roc_auc", validation.auc.value),
        "unimportant mismatches kept at 90 % recall": ("accepted_at_90", validation.accepted_at_90.value),
    }
    if point is not None:
        found |= {
            "points of accuracy lost against lossless decoding": ("accuracy_drop", point.drop),
            "tokens emitted per cycle": ("emitted_per_cycle", point.emitted_per_cycle),
            "tokens accepted per cycle": ("accepted_per_cycle", point.accepted_per_cycle),
        }
    return [
        EvalResult(**about, metric_type=kind, metric_name=name, metric_value=round(value, 4))
        for name, (kind, value) in found.items()
    ]


def dataset_card(
    provenance: Mapping[str, Any],
    counts: Mapping[str, Mapping[str, int]],
    folder: Path,
    repo: str,
    licence: str | None,
) -> str:
    """Return the card of a repository of labels.

    Parameters
    ----------
    provenance : mapping
        What provenance.json tells.
    counts : mapping of table to mapping of split to int
        Numbers of rows.
    folder : Path
        Where the tables are staged.
    """
    tables = [table for table in (LABELS, FEATURES, RESPONSES, PROBLEMS) if table.name in counts]
    data = DatasetCardData(
        **_licence(licence),
        tags=TAGS,
        pretty_name=f"AutoJudge labels of {provenance['dataset']}",
        configs=[_config(table, counts[table.name]) for table in tables],
    )
    models, texts = provenance["models"], provenance["texts"]
    card = DATASET.format(
        dataset=provenance["dataset"],
        draft=models["draft"].get("model") or "its own first layers",
        target=models["target"]["model"],
        pair=split_source(provenance["pair"])[0],
        question=_ask(provenance),
        paper=PAPER,
        counts=_count(counts),
        texts=WITH_TEXTS if texts else WITHHELD,
        repo=repo,
        provenance=_describe(provenance),
        file=PROVENANCE,
        row=ROW.name,
        columns="\n\n".join(_columns(_held(table, folder), texts) for table in tables),
        licence=_own(licence),
    )
    return f"---\n{data.to_yaml()}\n---\n\n{card}"


def _ask(provenance: Mapping[str, Any]) -> str:
    """Return what a label tells, and by what."""
    likelihood, samples = provenance.get("likelihood"), provenance.get("samples")
    question = BY_LIKELIHOOD.format(**likelihood) if likelihood else BY_ANSWERS
    return question + (SOFT.format(**samples) if samples else "")


def _held(table: Table, folder: Path) -> Table:
    return held_table(table, pq.read_schema(next(iter(split_files(folder, table).values()))).names)


def _config(table: Table, counts: Mapping[str, int]) -> dict[str, Any]:
    files = [{"split": split, "path": table_file(table, split)} for split in SPLITS if split in counts]
    return {"config_name": table.name, "data_files": files, "default": table is LABELS}


def _count(counts: Mapping[str, Mapping[str, int]]) -> str:
    splits = [split for split in SPLITS if any(split in of_table for of_table in counts.values())]
    rows = [[name, *(of_table.get(split, 0) for split in splits)] for name, of_table in counts.items()]
    return str(tabulate(rows, ["rows", *splits], "github"))


def _describe(provenance: Mapping[str, Any]) -> str:
    rows = [
        [role, ", ".join(f"{key} {value}" for key, value in known.items() if value)]
        for role, known in provenance["models"].items()
    ]
    rows += [[key, provenance[key]] for key in ("task", "max_new_tokens")]
    rows += [["source", provenance["source"]]] if provenance.get("source") else []
    rows += _describe_labels(provenance)
    rows += [[key, provenance["made_by"].get(key)] for key in ("commit", "seed")]
    rows += [["loaded from", provenance["origin"]]] if provenance.get("origin") else []
    return str(tabulate([[name, str(value)] for name, value in rows], ["", ""], "github", disable_numparse=True))


def _describe_labels(provenance: Mapping[str, Any]) -> list[list[str]]:
    """Return rows that tell how labels were mined."""
    if likelihood := provenance.get("likelihood"):
        return [["labels", "by likelihood, " + _list(likelihood)]]
    agreement, samples = provenance["agreement"], provenance.get("samples")
    return [
        ["labels", "by answers"],
        ["alternatives stopped by agreement", _list(agreement) if agreement else "no, all continued to their ends"],
        ["samples of each mismatch", _list(samples) if samples else "none"],
    ]


def _list(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in settings.items())


def _columns(table: Table, texts: bool) -> str:
    hidden = set() if texts else TEXTS.get(table.name, set())
    rows = [
        [f"`{name}`", str(column.type), in_cell(column.doc) + (" (withheld)" if name in hidden else "")]
        for name, column in table.columns.items()
    ]
    return f"### {table.name}\n\n{table.doc}\n\n" + str(tabulate(rows, ["column", "type", "meaning"], "github"))
