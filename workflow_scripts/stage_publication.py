"""Rule stage_publication: the exported judge and the labels as the folders of two repositories, with their cards."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from autojudge.jobs.provenance import describe_run
from autojudge.judging.artifact import load_judge
from autojudge.publishing.cards import dataset_card, model_card
from autojudge.publishing.layout import describe_pair, write_provenance
from autojudge.publishing.staging import stage_tables
from autojudge.tasks import describe_task

OF_MINING = (
    "source",
    "max_new_tokens",
    "agreement",
    "likelihood",
    "samples",
)  # of loaded labels, those by which they were mined


def stage_publication(
    tables: Mapping[str, str],
    export: Path,
    origin: str | None,
    pair: Mapping[str, Any],
    known: Mapping[str, Any],
    settings: Mapping[str, Any],
    outputs: Mapping[str, str],
) -> None:
    """Write both folders; nothing leaves this machine.

    Parameters
    ----------
    origin : str or None
        labels_source.json of labels that were loaded, not mined.
    known : mapping
        `dataset`, `pair`, `task`, `source`, `max_new_tokens`, `agreement`, `likelihood`, `samples`, `models` and `seed`
        of the labels.
    settings : mapping
        `repos`, the names of both repositories by kind, `texts` and `licence`.
    """
    repos, licence, texts = settings["repos"], settings["licence"], settings["texts"]
    loaded = json.loads(Path(origin).read_text(encoding="utf-8")) if origin else None
    texts = texts and (loaded is None or loaded["provenance"]["texts"])  # what was withheld before is not there
    models = describe_pair(pair, known["models"])
    model, dataset = (Path(outputs[kind]) for kind in ("model", "dataset"))
    provenance = {key: value for key, value in known.items() if key != "seed"}
    provenance |= {"task": describe_task(known["task"]), "models": models, "texts": texts}
    provenance |= {"made_by": describe_run(known["seed"], known)}
    provenance |= {"origin": loaded}
    provenance |= {key: loaded["provenance"].get(key) for key in OF_MINING} if loaded else {}
    counts = stage_tables(tables, dataset, texts)
    write_provenance(dataset, provenance)
    card = dataset_card(provenance, counts, dataset, repos["dataset"], licence)
    (dataset / "README.md").write_text(card, encoding="utf-8")
    shutil.copytree(export, model, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    text, record = (export / "README.md").read_text(encoding="utf-8"), load_judge(export).record
    card = model_card(text, record, known["pair"], models, repos, licence)
    (model / "README.md").write_text(card, encoding="utf-8")


if __name__ == "__main__":
    from autojudge.jobs.progress import job_log

    with job_log(snakemake.log[0]):
        inputs, params = snakemake.input, snakemake.params
        stage_publication(
            tables={name: inputs[name] for name in ("labels", "features", "responses", "problems")},
            export=Path(inputs.export[0]).parent,
            origin=inputs.origin[0] if inputs.get("origin") else None,
            pair=snakemake.config["pairs"][snakemake.wildcards.pair],
            known=params.known,
            settings=params.settings,
            outputs=dict(snakemake.output.items()),
        )
