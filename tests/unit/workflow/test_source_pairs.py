"""Sources of labels: each pair has one more for each, which differs in how it is mined and in nothing else."""

import copy

import pytest
from snakemake.utils import validate

from autojudge.errors import InputError
from autojudge.jobs.store import Store
from autojudge.tables.files import read_table, records, write_table
from autojudge.tables.mining import PROBLEMS
from autojudge.workflow.configuration import agreement_of, check_config, check_path
from autojudge.workflow.label_sources import (
    check_exact,
    check_sampled,
    describe_sources,
    list_sources,
    mined_for,
    mines_the_same,
    with_label_sources,
)
from autojudge.workflow.stock import find_stocks
from autojudge.workflow.work import mining_work
from conftest import ROOT

SCHEMA = ROOT / "config/config.schema.yaml"


@pytest.fixture
def given(config):
    """The default config, which a test may change; the schema's defaults are not filled in."""
    return copy.deepcopy(config)


def filled(given):
    validate(given, str(SCHEMA))
    return given


def test_every_pair_has_one_more_for_each_source_with_the_same_models(given):
    given["label_sources"] = {"agreement": {"agreement": {}}, "late": {"agreement": {"tokens": 30}}, "gone": None}
    pairs = with_label_sources(given)["pairs"]
    own = set(given["pairs"])
    assert set(pairs) == own | {f"{pair}+{name}" for pair in own for name in ("agreement", "late")}
    assert pairs["testbed+late"] == pairs["testbed"] == given["pairs"]["testbed"]
    assert list_sources(given) == ["agreement", "late"]
    assert with_label_sources({"pairs": {"a": {}}}) == {"pairs": {"a": {}}}


def test_a_path_of_another_source_names_those_that_there_are(given):
    config = with_label_sources(given)
    check_path(config, "arith", "testbed+soft")
    with pytest.raises(InputError, match=r"`testbed\+sof` .* `pairs`; defined are .*, each also with .*`\+soft`"):
        check_path(config, "arith", "testbed+sof")


def test_a_source_is_mined_as_it_says_by_the_jobs_that_the_config_has(given):
    given["mining"] = {"shards": 3, "batch": 7}
    given["label_sources"] = {"late": {"agreement": {"tokens": 30}}}
    config = filled(given)
    late, own = mined_for(config, "testbed+late"), mined_for(config, "testbed")
    assert own == config
    assert (late["mining"]["shards"], late["mining"]["batch"]) == (3, 7)
    assert late["mining"]["agreement"] == {"tokens": 30, "same_numbers": 8, "audit": 0.05}
    assert agreement_of(own) is None and agreement_of(late)["tokens"] == 30
    config["mining"]["agreement"] = {"tokens": 20, "same_numbers": 8, "audit": 0.1}
    assert agreement_of(mined_for(config, "testbed+late")) == agreement_of(late), "a source says all about its labels"


def test_a_source_that_mines_like_the_pair_is_told_from_others(given):
    given["label_sources"] = {"late": {"agreement": {"tokens": 30}}, "same": {}}
    config = filled(given)
    config["label_sources"]["soft"] = {"samples": {"count": 8}}
    names = ("testbed", "testbed+late", "testbed+same", "testbed+soft")
    assert [mines_the_same(config, name) for name in names] == [False, False, True, True]
    config["mining"]["agreement"] = config["label_sources"]["late"]["agreement"]
    assert [mines_the_same(config, name) for name in names] == [False, True, False, False]


def test_what_sources_say_is_told_without_what_jobs_do(given):
    given["label_sources"] = {"late": {"agreement": {"tokens": 30}}, "gone": None}
    told = describe_sources(filled(given))
    assert told == {"exact": None, "late": {"agreement": {"tokens": 30, "same_numbers": 8, "audit": 0.05}}}


@pytest.mark.parametrize(
    "sources, message",
    [
        (
            {"a": {"agreemnt": {}}},
            r"`label_sources.a`: unknown key `agreemnt`; known are agreement, likelihood, samples$",
        ),
        ({"a": {"agreement": {"token": 8}}}, r"`label_sources.a.agreement`: unknown key `token`; known are audit"),
        ({"a/b": {}}, r"`label_sources`: 'a/b' does not match"),
        ({"a+b": {}}, r"`label_sources`: 'a\+b' does not match"),
        ({"exact": {}}, r"`label_sources.exact`: is what tables call the labels that sources are compared with"),
        ({"a": {"shards": 4}}, r"`label_sources.a.shards`: says how jobs run, .*write it as `mining.shards`"),
    ],
)
def test_a_wrong_source_is_named_before_any_job(given, sources, message):
    given["label_sources"] = sources
    with pytest.raises(InputError, match=message):
        check_config(given, SCHEMA)


def test_a_run_may_name_a_source_and_is_checked_like_any(given):
    given["runs"] = [{"dataset": "arith", "pairs": ["testbed", "testbed+agreement"]}]
    check_config(given, SCHEMA)
    given["runs"][0]["pairs"] = ["testbed+nothing"]
    message = (
        r"`runs\[0\].pairs`: `testbed\+nothing` is not defined under `pairs`; defined are [^+]*, each also with `\+a"
    )
    with pytest.raises(InputError, match=message):
        check_config(given, SCHEMA)
    given["runs"] = [{"dataset": "mbpp", "pairs": ["testbed+agreement"]}]
    with pytest.raises(InputError, match="responses of dataset `mbpp` are programs"):
        check_config(given, SCHEMA)


def test_where_nothing_is_sampled_the_key_and_the_other_way_are_named(given):
    given["label_sources"] = {"late": {"agreement": {"tokens": 30}}, "soft": {"samples": {}}}
    config = filled(given)
    check_sampled(config, "arith", "testbed+soft")
    soft = "or ask for `results/arith/testbed\\+soft/label_stability.pdf`$"
    for pair, key in (("testbed", "mining"), ("testbed+late", "label_sources.late")):
        with pytest.raises(InputError, match=f"config key `{key}.samples`: is null.*set it to {{}}.*{soft}"):
            check_sampled(config, "arith", pair)
    del config["label_sources"]["soft"]
    with pytest.raises(InputError, match="`mining.samples`: is null.*or name a source with `samples: {}` under"):
        check_sampled(config, "arith", "testbed")
    config["mining"]["samples"] = config["label_sources"]["late"]["samples"] = {"count": 8}
    check_sampled(config, "arith", "testbed")
    check_sampled(config, "arith", "testbed+late")


def test_sources_are_compared_with_exact_labels_alone(given):
    config = filled(given)
    check_exact(config)
    config["mining"]["agreement"] = {}
    with pytest.raises(InputError, match=r"`mining.agreement`: sources of labels are compared with exact ones"):
        check_exact(config)


def test_what_a_source_has_mined_is_not_for_pruning_while_the_config_has_the_source(given, tmp_path):
    given["datasets"]["arith"]["problems"] = {"train": 1, "validation": 1, "test": 1}
    config = filled(given)
    made = tmp_path / "arith/testbed"
    rows = [
        {"problem_id": split, "question": "", "gold": "4", "prompt_tokens": [1], "split": split, "tests": None}
        for split in ("train", "validation", "test")
    ]
    write_table(PROBLEMS, rows, made / "problems.parquet")
    first = records(read_table(PROBLEMS, made / "problems.parquet"))[0]

    def key(pair) -> str:
        return mining_work("arith", 192, {}, agreement_of(mined_for(config, pair))).key(first)

    for pair in ("testbed", "testbed+agreement"):
        with Store(tmp_path / f"arith/{pair}/store/mining", "1-of-1") as store:
            store.add({key(pair): 1})
    assert sorted(file.name for file in (made / "store/mining").iterdir()) == [
        "+agreement-1-of-1.pieces",
        "1-of-1.pieces",
    ]

    def unused() -> set[str]:
        (stock,) = find_stocks(config, {"testbed": {}}, tmp_path)
        assert not stock.note and len(stock.store.places) == 2
        return stock.unused

    assert unused() == set()
    config["label_sources"]["agreement"] = None
    assert unused() == {store_key for store_key in Store(made / "store/mining").places} - {key("testbed")}
