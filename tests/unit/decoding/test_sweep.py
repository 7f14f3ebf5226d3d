"""The sweep takes finished work from its store: nothing is decoded twice, and the table is that of one run."""

from dataclasses import replace

import pytest

import sweep_thresholds as script
from autojudge.decoding.sweep import ends_in_a_loop
from autojudge.jobs import sweep_work
from autojudge.scoring.scorer import Scorer
from autojudge.tables.decoding import SWEEP
from autojudge.tables.files import read_table, write_table
from autojudge.tables.folds import split_in
from autojudge.tables.mining import PROBLEMS
from autojudge.tasks import load_task
from autojudge.workflow.work import sweep_work as describe_work

N = 6
LOSSLESS = {"lossless": [0], "kl_divergence": [0.3]}


class StoppedError(Exception):
    """Raised to end a run."""


@pytest.fixture
def run(tmp_path, problems, pair_settings, caplog):
    """Runs a sweep in a folder; returns its table and how many pieces it took and computed."""
    write_table(PROBLEMS, [p for p in problems if p["split"] == "test"][:N], tmp_path / "problems.parquet")

    def run(
        folder,
        thresholds=None,
        limit=160,
        branches=512,
        shard="1-of-1",
        rules=None,
        windows=(8,),
        judges=None,
        **sampling,
    ):
        output = tmp_path / folder / "sweep" / f"{shard}.parquet"
        caplog.clear()
        decoding = {
            "max_new_tokens": limit,
            "windows": list(windows),
            "branches": branches,
            "temperature": 0,
            "top_p": 1,
            "repeats": 1,
            "truncated": False,
            "batch": 4,
        } | sampling
        entries = rules or {rule: {"thresholds": given} for rule, given in (thresholds or LOSSLESS).items()}
        models = {"draft": {"contents": "d"}, "target": {"contents": "t"}}
        with caplog.at_level("INFO", logger="autojudge"):
            script.sweep_thresholds(
                problems=str(tmp_path / "problems.parquet"),
                shard=shard,
                works={
                    fold: (describe_work("arith", models, decoding, entries, judge, {}), judge)
                    for fold, judge in (judges or {None: None}).items()
                },
                scorer=Scorer(load_task("arith")),
                pair=pair_settings,
                decoding=decoding,
                output=str(output),
            )
        counts = [record.args for record in caplog.records if record.msg.startswith("store: ")]
        return read_table(SWEEP, output), tuple(map(sum, zip(*counts, strict=True)))

    return run


def agree(ours, theirs):
    keys = ["problem_id", "repeat", "window", "rule", "threshold"]
    ours, theirs = (table.sort_values(keys).reset_index(drop=True) for table in (ours, theirs))
    for column in set(theirs) - {"response", "kept_at", "threshold", "threshold_low"}:
        assert ours[column].equals(theirs[column]), column
    for column in ("response", "kept_at"):
        assert ours[column].map(list).equals(theirs[column].map(list)), column
    for column in ("threshold", "threshold_low"):
        assert ours[column].to_numpy() == pytest.approx(theirs[column].to_numpy(), rel=2e-3)


def test_a_stopped_sweep_resumes_and_ends_with_the_same_table(run, monkeypatch):
    undisturbed, counts = run("undisturbed")
    assert counts == (0, 3 * N)
    done, add = [], sweep_work.Store.add

    def stop(store, pieces):
        add(store, pieces)
        done.extend(pieces)
        if len(done) in (4, 10):
            raise StoppedError

    monkeypatch.setattr(sweep_work.Store, "add", stop)
    with pytest.raises(StoppedError):
        for _ in range(3):
            run("stopped")
    before = len(done)
    resumed, (taken, computed) = run("stopped")
    assert taken == before and computed == 3 * N - before
    assert len(set(done)) == len(done) == 3 * N, "each piece once"
    agree(resumed, undisturbed)


def test_one_more_rule_is_decoded_alone_and_gives_what_it_gives_beside_others(run):
    run("more")
    more, counts = run("more", LOSSLESS | {"top_k": [4], "fly": [0.799]})
    assert counts == (3 * N, 2 * N)
    together, _ = run("together", LOSSLESS | {"top_k": [4], "fly": [0.799]})
    agree(more, together)


def test_each_fold_is_decoded_by_its_own_judge_and_what_asks_none_once(run, tmp_path, problems, judge):
    chosen = [p | {"split": ("train", "validation")[i % 2]} for i, p in enumerate(problems[:N])]
    write_table(PROBLEMS, chosen, tmp_path / "problems.parquet")
    other = replace(judge, tensors={name: -tensor for name, tensor in judge.tensors.items()})
    judges, rules = {"1-of-2": judge, "2-of-2": other}, {"lossless": [0], "judge": [0.4, 0.6]}
    table, (_, computed) = run("folds", rules, judges=judges)
    for fold, of_fold in table.groupby("fold"):
        splits = {p["problem_id"]: split_in(fold, p["problem_id"], p["split"]) for p in chosen}
        assert dict(zip(of_fold["problem_id"], of_fold["split"], strict=True)) == {
            name: split for name, split in splits.items() if split != "train"
        }
    assert sorted(table.loc[table["split"] == "test"].drop_duplicates(["fold", "problem_id"])["problem_id"]) == sorted(
        p["problem_id"] for p in chosen
    )
    decoded = table.drop_duplicates(["fold", "problem_id"])
    assert len(decoded) > N and computed == 2 * N + len(decoded), "target and lossless once, the judge in each fold"
    write_table(PROBLEMS, [p | {"split": "test"} for p in chosen], tmp_path / "problems.parquet")
    for fold, own in judges.items():
        alone, _ = run(f"alone {fold}", rules, judges={None: own})
        held = table[table["fold"] == fold].drop(columns=["fold", "split"])
        agree(held, alone[alone["problem_id"].isin(held["problem_id"])].drop(columns=["fold", "split"]))


def test_given_thresholds_cost_nothing_on_exact_curves(run):
    before, _ = run("exact")
    after, counts = run("exact", {"lossless": [0], "kl_divergence": [0.1, 0.2, 0.3]})
    assert counts == (3 * N, 0)
    agree(after, before)


def test_of_a_rule_with_too_many_responses_each_given_threshold_is_a_piece(run):
    before, counts = run("few", {"lossless": [0], "kl_divergence": [0.1, 0.3]}, branches=2)
    assert counts == (0, 3 * N)
    inexact = before[~before["exact"]]
    assert set(inexact["rule"]) == {"kl_divergence"} and inexact["problem_id"].nunique() > 1
    assert run("few", {"lossless": [0], "kl_divergence": [0.1, 0.3]}, branches=2)[1] == (3 * N, 0)
    more, (_, computed) = run("few", {"lossless": [0], "kl_divergence": [0.1, 0.2, 0.3]}, branches=2)
    assert computed == inexact["problem_id"].nunique()
    agree(more, run("anew", {"lossless": [0], "kl_divergence": [0.1, 0.2, 0.3]}, branches=2)[0])
    exact, counts = run("few", branches=512)
    assert exact["exact"].all() and counts == (3 * N - inexact["problem_id"].nunique(), inexact["problem_id"].nunique())


def test_other_settings_are_other_work_and_other_shards_are_not(run):
    run("settings")
    assert run("settings", limit=99)[1] == (0, 3 * N)
    shards = [run("settings", shard=f"{i}-of-2")[1] for i in (1, 2)]
    assert sum(taken for taken, _ in shards) == 3 * N and all(computed == 0 for _, computed in shards)


def test_one_more_window_is_decoded_alone_and_gives_what_it_gives_beside_others(run):
    one, _ = run("windows")
    more, counts = run("windows", windows=(4, 8))
    assert counts == (3 * N, 2 * N), "the target alone has no window"
    together, _ = run("at once", windows=(8, 4))
    agree(more, together)
    agree(more[more["window"].isin([0, 8])], one)
    assert more.groupby("window")["rule"].unique().map(sorted).to_dict() == {
        0: ["target"],
        4: ["kl_divergence", "lossless"],
        8: ["kl_divergence", "lossless"],
    }
    lossless = more[more["rule"] == "lossless"].groupby("window")["response"].apply(lambda r: [list(x) for x in r])
    assert lossless[4] == lossless[8]


def test_rows_tell_what_a_window_kept_and_whether_the_text_is_that_of_lossless_decoding(run):
    table, _ = run("effects", windows=(4,))
    plain = table[table["rule"] == "lossless"].set_index("problem_id")["response"].map(list)
    for row in table.to_dict("records"):
        assert row["differs"] == (list(row["response"]) != plain[row["problem_id"]])
        kept = list(row["kept_at"])
        assert kept == sorted(kept, reverse=True) and len(kept) <= 4 and all(count <= row["cycles"] for count in kept)
        assert row["cycles"] == 0 or 0 <= row["emitted"] - sum(kept) <= row["cycles"], "and a token of the target's own"
    assert table["differs"].any() and not table.loc[table["rule"].isin(["lossless", "target"]), "differs"].any()


@pytest.mark.parametrize(
    "tokens, loops",
    [
        ([*range(20), *[7] * 40], True),
        ([*range(20), *[7] * 20], False),
        ([*range(9), *list(range(30, 42)) * 4], True),
        ([*range(9), *list(range(30, 42)) * 4, 5], False),
        ([*range(9), *list(range(60)) * 3], True),
        ([*range(9), *list(range(60)) * 2], False),
        (list(range(100)), False),
        ([5], False),
        ([], False),
    ],
)
def test_a_loop_is_an_end_of_three_rounds_and_32_tokens(tokens, loops):
    assert ends_in_a_loop(tokens) == loops


def test_a_response_at_the_token_limit_is_cut_off(run):
    assert run("short", limit=12)[0]["cut_off"].all()
    assert not run("long", limit=160)[0]["cut_off"].any()


def test_a_variant_of_a_rule_is_work_of_its_own_and_a_rule_without_modifiers_stays_done(run):
    lossless, kl = {"lossless": {"thresholds": [0]}}, {"thresholds": [0.3]}
    before, counts = run("variants", rules=lossless | {"kl_divergence": kl})
    assert counts == (0, 3 * N)
    spelled = lossless | {"kl_divergence": kl | {"rule": None, "confident": None, "strict_first": None}}
    after, counts = run("variants", rules=spelled)
    assert counts == (3 * N, 0)
    agree(after, before)
    variant = {"kl_confident": kl | {"rule": "kl_divergence", "confident": 0.9}}
    both, counts = run("variants", rules=lossless | {"kl_divergence": kl} | variant)
    assert counts == (3 * N, N) and set(both["rule"]) == {"target", "lossless", "kl_divergence", "kl_confident"}
    variant["kl_confident"]["confident"] = 0.95
    assert run("variants", rules=lossless | {"kl_divergence": kl} | variant)[1] == (3 * N, N)
    variant["kl_confident"]["strict_first"] = 4
    assert run("variants", rules=lossless | variant)[1] == (2 * N, N)
    assert run("variants", rules=lossless | variant)[1] == (3 * N, 0)


WARM = {"temperature": 1.0, "limit": 25}


def test_repeats_draw_other_numbers_and_the_first_one_is_the_sweep_without_repeats(run):
    once, counts = run("repeats", **WARM)
    assert counts == (0, 3 * N) and set(once["repeat"]) == {0}
    thrice, counts = run("repeats", repeats=3, **WARM)
    assert counts == (3 * N, 6 * N)
    agree(thrice[thrice["repeat"] == 0], once)
    assert set(thrice["problem_id"]) == set(once["problem_id"])
    for rule in ("target", "lossless"):
        texts = thrice[thrice["rule"] == rule].groupby("problem_id")["response"].agg(lambda r: len(set(map(tuple, r))))
        assert thrice[thrice["rule"] == rule].groupby("repeat").size().to_dict() == {0: N, 1: N, 2: N}
        assert texts.max() == 3, "a wording of its own each time"
    fewer, counts = run("repeats", repeats=2, **WARM)
    assert counts == (6 * N, 0)
    agree(fewer, thrice[thrice["repeat"] < 2])


def test_a_repeat_is_compared_with_lossless_decoding_of_that_repeat(run):
    table, _ = run("pairs", repeats=3, **WARM)
    plain = table[table["rule"] == "lossless"].set_index(["problem_id", "repeat"])["response"].map(list)
    lossy = table[table["rule"] == "kl_divergence"]
    assert lossy["differs"].any() and not lossy["differs"].all()
    for row in lossy.to_dict("records"):
        assert row["differs"] == (list(row["response"]) != plain[row["problem_id"], row["repeat"]])


def test_a_start_like_vllms_decodes_rules_anew_and_takes_the_target_from_the_store(run):
    run("start")
    table, counts = run("start", target_first=True)
    assert counts == (N, 2 * N)
    lossless = table[table["rule"] == "lossless"]
    assert (lossless["emitted"] == lossless["tokens"] - 1).all()


def test_truncated_targets_stand_beside_the_rules_that_truncate(run):
    given = {"lossless": [0], "kl_divergence": [0.3], "top_k": [1, 2, 1000], "typical": [0.9]}
    before, counts = run("cut", given, **WARM)
    assert counts == (0, 5 * N)
    table, counts = run("cut", given, truncated=True, **WARM)
    assert counts == (5 * N, 4 * N), "at every threshold of both, at one window"
    agree(table[~table["rule"].str.startswith("target_")], before)
    assert set(table["rule"]) - set(before["rule"]) == {"target_top_k", "target_typical"}
    cut = table[table["rule"] == "target_top_k"]
    held = cut.groupby(["threshold_low", "threshold"]).size().to_dict()
    assert held == {(-float("inf"), 1): N, (1, 2): N, (2, 1000): N}
    assert not cut["exact"].any() and set(cut["window"]) == {0} and (cut["draft_calls"] == 0).all()
    alone = table[table["rule"] == "target"].set_index("problem_id")["response"].map(list)
    for threshold, texts in cut.set_index("problem_id")["response"].map(list).groupby(cut["threshold"].to_numpy()):
        assert (texts == alone.loc[texts.index]).all() == (threshold == 1000), "all tokens of the vocabulary"


def test_a_truncated_target_depends_on_its_rule_and_threshold_alone(run):
    brief = {"temperature": 1.0, "limit": 6, "truncated": True}
    rules, total = {"lossless": {"thresholds": [0]}, "top_k": {"thresholds": [2, 4]}}, 5 * N
    assert run("keys", rules=rules, **brief)[1] == (0, total)
    assert run("keys", rules=rules, **brief)[1] == (total, 0)
    assert run("keys", rules=rules, windows=(8, 4), **brief)[1] == (total, 2 * N), "no window"
    more = rules | {"top_k": {"thresholds": [2, 3, 4]}}
    assert run("keys", rules=more, **brief)[1] == (total, N), "a threshold more"
    sure = rules | {"top_k": {"thresholds": [2, 4], "confident": 0.9}}
    assert run("keys", rules=sure, **brief)[1] == (2 * N, 3 * N), "the curve, and two thresholds"
    assert run("keys", rules=rules, **(brief | {"temperature": 1.3}))[1] == (0, total)
    assert run("keys", rules=rules, repeats=2, **brief)[1] == (total, total)
