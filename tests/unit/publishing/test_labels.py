"""Published labels hold no text unless asked for, come back as they were, and are refused where they do not fit."""

import copy
import json
import shutil

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mined import MISMATCHES, SECRET, write_mined

from autojudge.errors import InputError
from autojudge.judging.choice import fit_judge
from autojudge.judging.label_sources import answer_sources
from autojudge.judging.mismatches import Mismatches
from autojudge.publishing import hub, layout, loading, staging
from autojudge.publishing.layout import MINED, TEXTS
from autojudge.tables.files import read_table, write_table
from autojudge.tables.mining import LABELS, PROBLEMS, RESPONSES
from autojudge.tables.table import TOKENS
from autojudge.workflow.fingerprints import identify_models

TASK = "arith, scoring version 1"


@pytest.fixture
def mined(tmp_path):
    return write_mined(tmp_path / "mined")


def staged(mined, pair, folder, texts=False, **known):
    """Write the data set of mined tables and return its folder."""
    staging.stage_tables(mined, folder, texts)
    models = layout.describe_pair(pair, identify_models(pair))
    layout.write_provenance(folder, {"task": TASK, "models": models, "texts": texts} | known)
    return folder


def loaded(folder, pair, to):
    """Load a data set and return the tables' paths."""
    outputs = {table.name: str(to / f"{table.name}.parquet") for table in MINED}
    loading.restore_labels(folder, pair, identify_models(pair), TASK, outputs)
    return outputs


def test_every_column_of_a_text_is_known_as_one():
    """A column of tokens or an answer that is added to a table is withheld, too."""
    for table in MINED:
        of_texts = {
            name
            for name, column in table.columns.items()
            if column.type == TOKENS or name.endswith(("_token", "_answer"))
        }
        assert of_texts == TEXTS[table.name], table.name


def test_with_texts_the_tables_come_back_exactly_rows_in_their_order(mined, pair_settings, tmp_path, monkeypatch):
    for module in (staging, loading):
        monkeypatch.setattr(module, "READ_ROWS", 7)  # no split's rows end with a part
    folder = staged(mined, pair_settings, tmp_path / "set", texts=True)
    back = loaded(folder, pair_settings, tmp_path / "back")
    for table in MINED:
        assert pq.read_table(back[table.name]).equals(pq.read_table(mined[table.name])), table.name
    problems = pq.read_table(folder / "problems/train.parquet")
    assert problems["question"][0].as_py() == "how much?" and len(problems) == 40


def test_without_texts_none_is_there_and_the_same_judge_is_trained(mined, pair_settings, tmp_path):
    folder = staged(mined, pair_settings, tmp_path / "set")
    assert sorted(path.name for path in folder.iterdir()) == ["features", "labels", "provenance.json", "responses"]
    for file in folder.rglob("*.parquet"):
        frame = pq.read_table(file)
        values = [frame[name].to_pylist() for name in frame.column_names if name in TEXTS[file.parent.name]]
        told = json.dumps(values)
        assert str(SECRET) not in told and "7" not in told, file
    back = loaded(folder, pair_settings, tmp_path / "back")
    responses, before = (read_table(RESPONSES, paths["responses"]) for paths in (back, mined))
    assert responses["target_tokens"].map(len).equals(before["target_tokens"].map(len))
    assert set(responses["target_answer"]) == {layout.WITHHELD} and responses["draft_answer"].isna().all()
    assert train(back).digest() == train(mined).digest()
    assert train(back, only_correct=True).digest() == train(mined, only_correct=True).digest() != train(mined).digest()


def test_soft_labels_come_back_and_train_the_same_judge(pair_settings, tmp_path):
    shares = {"kept_share": lambda important: 0.25 if important else 0.75}
    mined, hard = write_mined(tmp_path / "mined", **shares), write_mined(tmp_path / "hard")
    back = loaded(
        staged(mined, pair_settings, tmp_path / "set", samples={"count": 4}), pair_settings, tmp_path / "back"
    )
    assert train(back).digest() == train(mined).digest() != train(hard).digest()


def test_labels_by_likelihood_come_back_as_such(pair_settings, tmp_path):
    mined = write_mined(tmp_path / "mined", likelihood_change=lambda important: -20.0 if important else -1.0)
    known = {"likelihood": {"tokens": 20, "threshold": 11.5}}
    back = loaded(staged(mined, pair_settings, tmp_path / "set", **known), pair_settings, tmp_path / "back")
    assert answer_sources(Mismatches(mined["labels"], mined["features"])) is None
    assert answer_sources(Mismatches(back["labels"], back["features"])) is None


@pytest.mark.parametrize(("key", "column"), layout.ADDED.items())
def test_a_column_that_the_source_of_labels_adds_is_not_left_out(key, column, mined, pair_settings, tmp_path):
    folder = staged(mined, pair_settings, tmp_path / "set", **{key: {}})
    edit(folder, "labels/validation.parquet", lambda table: table.drop_columns(column))
    with pytest.raises(
        InputError, match=rf"labels/validation.parquet: column `{column}` is missing; download it again"
    ):
        loaded(folder, pair_settings, tmp_path / "back")
    for split in ("train", "test"):
        edit(folder, f"labels/{split}.parquet", lambda table: table.drop_columns(column))
    with pytest.raises(InputError, match=rf"labels/train.parquet: column `{column}` is missing"):
        loaded(folder, pair_settings, tmp_path / "back")


def test_labels_that_were_published_without_sources_are_loaded(mined, pair_settings, tmp_path):
    folder = staged(mined, pair_settings, tmp_path / "set")
    for split in layout.SPLITS:
        edit(folder, f"labels/{split}.parquet", lambda table: table.drop_columns(list(layout.ADDED.values())))
    back = loaded(folder, pair_settings, tmp_path / "back")
    assert train(back).digest() == train(mined).digest()


def train(paths, **options):
    """Train a judge on tables of mining."""
    point = {"feature_set": "paper", "classifier": "logistic_regression", "hyperparameter": "C", "value": 0.01}
    sets, origin = {"paper": ["draft_at_draft", "target_at_draft"]}, {"dataset": "arith", "task": "arith"}
    select, origin = {"recall": 0.9, "thresholds": 26}, origin | {"models": {}, "provenance": {}}
    data = Mismatches(paths["labels"], paths["features"], **options)
    return fit_judge(data, point, sets, select, origin, seed=0)


def edit(folder, name, change):
    """Change a parquet file of a data set, and its hash."""
    pq.write_table(change(pq.read_table(folder / name)), folder / name)
    layout.write_provenance(folder, json.loads((folder / layout.PROVENANCE).read_text()))


def narrower(table):
    cut = [state[:100] for state in table["target_before"].to_pylist()]
    place, kind = table.column_names.index("target_before"), table.schema.field("target_before").type
    return table.set_column(place, "target_before", pa.array(cut, kind))


FAULTS = {
    "a column is missing": (
        lambda folder: edit(folder, "labels/train.parquet", lambda table: table.drop_columns("important")),
        r"labels/train.parquet: column `important` is missing; download it again",
    ),
    "a column is of another type": (
        lambda folder: edit(
            folder,
            "responses/test.parquet",
            lambda t: t.set_column(t.column_names.index("correct"), "correct", pa.array(["yes"] * len(t))),
        ),
        r"responses/test.parquet: column `correct` is string, not bool; convert it",
    ),
    "states are narrower": (
        lambda folder: edit(folder, "features/validation.parquet", narrower),
        r"features/validation.parquet: column `target_before` holds lists of 100 numbers, and the pair's .* have 128",
    ),
    "a row is gone": (
        lambda folder: edit(folder, "labels/test.parquet", lambda table: table.slice(1)),
        r"labels: column `row` does not count its files' 319 rows",
    ),
    "a file is gone": (
        lambda folder: (folder / "labels/test.parquet").unlink(),
        r"labels/test.parquet: is missing; download it again",
    ),
    "a file was edited": (
        lambda folder: pq.write_table(pq.read_table(folder / "labels/test.parquet"), folder / "labels/test.parquet"),
        r"labels/test.parquet: is not the file that provenance.json names",
    ),
    "a file is cut off": (
        lambda folder: cut_off(folder),
        r"features/train.parquet: not a readable parquet file",
    ),
    "no provenance": (
        lambda folder: (folder / layout.PROVENANCE).unlink(),
        r"provenance.json: is missing, so `snakemake publish` did not make this data set",
    ),
    "another task": (
        lambda folder: layout.write_provenance(
            folder, json.loads((folder / layout.PROVENANCE).read_text()) | {"task": "gsm8k, scoring version 4"}
        ),
        r"the labels are of task gsm8k, scoring version 4, and the dataset's task is arith",
    ),
}


def cut_off(folder):
    file = folder / "features/train.parquet"
    file.write_bytes(file.read_bytes()[:1000])
    layout.write_provenance(folder, json.loads((folder / layout.PROVENANCE).read_text()))


@pytest.mark.parametrize("fault", FAULTS)
def test_a_data_set_that_is_not_whole_is_refused_by_file_and_column(fault, mined, pair_settings, tmp_path):
    folder = staged(mined, pair_settings, tmp_path / "set")
    damage, message = FAULTS[fault]
    damage(folder)
    with pytest.raises(InputError, match=message):
        loaded(folder, pair_settings, tmp_path / "back")


def test_labels_of_another_pair_are_refused_by_key(mined, pair_settings, tmp_path, caplog):
    folder = staged(mined, pair_settings, tmp_path / "set")
    other = copy.deepcopy(pair_settings)
    other["target"]["dtype"] = "bfloat16"
    with pytest.raises(InputError, match="`models.target.dtype` is 'float32', and 'bfloat16' in this config"):
        loaded(folder, other, tmp_path / "back")
    other = copy.deepcopy(pair_settings)
    other["draft"]["model"] = str(shutil.copytree(pair_settings["draft"]["model"], tmp_path / "draft"))
    loaded(folder, other, tmp_path / "back")  # the same model in another place
    (tmp_path / "draft/generation_config.json").write_text("{}")
    with pytest.raises(InputError, match="`models.draft.contents` is .*; name the pair's models as there, or mine"):
        loaded(folder, other, tmp_path / "back")
    hub_names = {"draft": {}, "target": {"model": "them/large", "revision": None, "dtype": "float32"}}
    with pytest.raises(InputError, match="`models.target.model` is 'them/small', and 'them/large'"):
        loading.check_models({"target": hub_names["target"] | {"model": "them/small"}}, hub_names, folder)
    loading.check_models({"target": hub_names["target"] | {"revision": "main"}}, hub_names, folder)
    assert not caplog.records
    own = {"target": {"contents": "abc", "dtype": "float32"}}
    loading.check_models({"target": hub_names["target"]}, own, folder)
    assert "it cannot be checked whether they are the same" in caplog.text


def test_labels_of_problems_that_are_tested_here_are_refused(mined, tmp_path):
    loading.check_problems(mined, mined["problems"], True, tmp_path)
    problems = read_table(PROBLEMS, mined["problems"])
    trained = problems["problem_id"] == "p0"
    write_table(PROBLEMS, problems.assign(split=problems["split"].mask(trained, "test")), mined["problems"])
    with pytest.raises(InputError, match="1 of its train and validation problems are test problems of this config"):
        loading.check_problems(mined, mined["problems"], False, tmp_path)


def test_a_rule_that_reads_labels_wants_those_of_every_test_problem(mined, tmp_path):
    problems = read_table(PROBLEMS, mined["problems"])
    another = problems[problems["split"] == "test"].tail(1).assign(problem_id="of us alone")
    write_table(PROBLEMS, pd.concat([problems, another]), mined["problems"])
    loading.check_problems(mined, mined["problems"], False, tmp_path)
    with pytest.raises(InputError, match="1 of the 21 test problems of this config have no labels.*leave `oracle`"):
        loading.check_problems(mined, mined["problems"], True, tmp_path)


@pytest.mark.parametrize("name", ["important_tokens.pt", "data/labels.pkl", "pytorch_model.bin"])
def test_pickles_are_refused_with_the_way_to_convert_them(name, mined, pair_settings, tmp_path):
    folder = staged(mined, pair_settings, tmp_path / "set")
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"\x80")
    with pytest.raises(InputError, match=f"holds {name}: pickles run code .*import_official_labels.py FILE"):
        hub.find_labels({"hub": str(folder), "revision": None})


def test_no_path_of_this_machine_is_told(mined, pair_settings, tmp_path):
    folder = staged(mined, pair_settings, tmp_path / "set")
    told = json.loads((folder / layout.PROVENANCE).read_text())
    assert told["models"]["draft"]["model"] == "draft" and "/" not in json.dumps(told["models"])
    assert len(read_table(LABELS, mined["labels"])) == 80 * MISMATCHES
