"""Reruns follow meaning: only what depends on a change is planned, and only its pieces are computed."""

import ast
import json
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from clone import RESULTS, Clone

LIBRARY = Path("workflow_scripts/autojudge")
MINED, SWEPT = f"{RESULTS}/labels.parquet", f"{RESULTS}/sweep.parquet"
PROBLEMS = 40 + 16 + 16
SWEPT_PROBLEMS = 16 + 16
RULES = 7


def modules(clone: Clone, folder: str = ".") -> Iterator[Path]:
    yield from sorted((clone.folder / "workflow_scripts" / folder).rglob("*.py"))


def edit(clone: Clone, file: Path, old: str, new: str) -> None:
    path = clone.folder / file
    text = path.read_text()
    assert text.count(old) == 1, f"{file} no longer has {old!r} once"
    path.write_text(text.replace(old, new))


def configure(clone: Clone, changes: dict) -> None:
    """Put changes over the small config."""

    def merge(ours: dict, theirs: dict) -> dict:
        inner = {
            k: merge(ours[k], v) for k, v in theirs.items() if isinstance(v, dict) and isinstance(ours.get(k), dict)
        }
        return ours | theirs | inner

    path = clone.folder / "small.yaml"
    path.write_text(yaml.safe_dump(merge(yaml.safe_load(path.read_text()), changes)))


def touch_everything(clone: Clone) -> None:
    order = random.Random(0)
    for path in clone.folder.rglob("*"):
        if path.is_file() and not path.is_symlink() and ".snakemake" not in path.parts:
            time = order.randint(10**9, 2 * 10**9)
            os.utime(path, (time, time))


class OtherDocstrings(ast.NodeTransformer):
    """Replaces each docstring."""

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        documented = (
            isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None
        )
        if documented:
            node.body[0] = ast.Expr(ast.Constant("Another docstring."))
        return node


def run(clone: Clone, *targets: str) -> None:
    result = clone.snakemake("--cores", "all", *targets)
    assert result.returncode == 0, result.stdout + result.stderr


def test_a_finished_run_has_nothing_to_do_after_edits_without_meaning(finished):
    assert finished.planned("--cores", "all") == {}
    for path in modules(finished):
        path.write_text(path.read_text() + "\n# a comment\n")
    assert finished.planned("--cores", "all") == {}, "comments"
    for path in modules(finished):
        path.write_text(ast.unparse(OtherDocstrings().visit(ast.parse(path.read_text()))))
    assert finished.planned("--cores", "all") == {}, "docstrings and formatting"
    for room in ("jobs", "workflow"):
        for path in modules(finished, f"autojudge/{room}"):
            path.write_text(path.read_text() + "\nMORE = 1\n")
    assert finished.planned("--cores", "all") == {}, "edits of how jobs run"
    touch_everything(finished)
    assert finished.planned("--cores", "all") == {}, "dates"


def test_results_copied_into_a_fresh_clone_are_up_to_date_and_stay_watched(clone, fresh):
    shutil.copytree(clone.folder / "results", fresh.folder / "results", copy_function=shutil.copy, dirs_exist_ok=True)
    touch_everything(fresh)
    assert fresh.planned("--cores", "all") == {}
    edit(fresh, LIBRARY / "mining/miner.py", "DRAFT_CHUNK = 12", "DRAFT_CHUNK = 11")
    assert fresh.planned("--cores", "all")["mine_labels"] == 2


def test_records_of_an_earlier_checkout_move_to_the_results(finished):
    link = finished.folder / ".snakemake/metadata"
    link.unlink()
    (finished.folder / "results/.snakemake").rename(link)
    assert finished.planned("--cores", "all") == {}
    assert link.is_symlink() and any((finished.folder / "results/.snakemake").iterdir())


def test_a_copied_model_folder_is_the_same_model_and_another_is_not(finished):
    for role in ("draft", "target"):
        folder = finished.folder / f"copies/{role}"
        shutil.copytree(finished.folder / f"resources/testbed/{role}", folder, copy_function=shutil.copy)
    models = {role: {"model": f"copies/{role}"} for role in ("draft", "target")}
    configure(finished, {"pairs": {"testbed": models}})
    assert finished.planned("--cores", "all") == {}
    config = finished.folder / "copies/draft/generation_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"repetition_penalty": 1.5}))
    assert {"prepare_problems", "mine_labels"} <= finished.planned("--cores", "all").keys()


def test_a_copied_data_file_is_the_same_data_and_another_is_not(fresh):
    rows = [json.dumps({"question": f"What is {i} + 1?", "answer": f"#### {i + 1}"}) + "\n" for i in range(40)]
    for name in ("a", "b"):
        (fresh.folder / f"{name}.jsonl").write_text("".join(rows))
    target = "results/local/testbed/problems.parquet"

    def use(name: str) -> None:
        source = {"train": f"{name}.jsonl", "test": f"{name}.jsonl"}
        problems = {"train": 4, "validation": 2, "test": 2}
        local = {"task": "gsm8k", "source": source, "problems": problems, "max_new_tokens": 20}
        configure(fresh, {"datasets": {"local": local}, "runs": [{"dataset": "local", "pairs": ["testbed"]}]})

    use("a")
    run(fresh, target)
    use("b")
    touch_everything(fresh)
    assert fresh.planned(target) == {}
    (fresh.folder / "b.jsonl").write_text("".join(rows[1:]))
    assert fresh.planned(target) == {"prepare_problems": 1}


EDITS = {
    "miner": ("mining/miner.py", "GROWTH = 2 ", "GROWTH = 3 "),
    "rule": ("rules/top_k.py", ".sum(-1)", ".sum(-1) + 0"),
    "another task": ("tasks/gsm8k.py", "VERSION = 4", "VERSION = 5"),
    "statistics": ("reporting/statistics.py", "level: float = 0.95", "level: float = 0.9"),
}
PLANNED = {
    "miner": {"mine_labels", "train_judge", "plot_pareto"},
    "rule": {"sweep_thresholds", "plot_pareto"},
    "another task": set(),
    "statistics": {"build_pareto"},
}
SPARED = {
    "miner": {"prepare_problems"},
    "rule": {"mine_labels", "train_judge"},
    "another task": {"prepare_problems", "mine_labels", "plot_pareto"},
    "statistics": {"sweep_thresholds"},
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_of_logic_reruns_what_depends_on_it(finished, name):
    file, old, new = EDITS[name]
    path = finished.folder / LIBRARY / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    found = finished.planned("--cores", "all").keys()
    assert PLANNED[name] <= found and not SPARED[name] & found


def test_an_edit_of_a_figure_reruns_that_figure(finished):
    edit(finished, LIBRARY / "reporting/pareto_figure.py", "LABELS_PER_CURVE = 4", "LABELS_PER_CURVE = 3")
    shown = {"log_to_wandb", "write_index"}  # W&B and the index show the figure
    assert finished.planned("--cores", "all").keys() == {"plot_pareto", *shown}


def test_a_changed_rule_is_decoded_alone(finished):
    assert finished.counted("sweep_thresholds") == (0, SWEPT_PROBLEMS * (1 + RULES))
    edit(finished, LIBRARY / "rules/top_k.py", ".sum(-1)", ".sum(-1) + 0")
    before = finished.table("sweep")
    run(finished, SWEPT)
    assert finished.counted("sweep_thresholds") == (SWEPT_PROBLEMS * RULES, SWEPT_PROBLEMS)
    assert finished.table("sweep").drop(columns="response").equals(before.drop(columns="response"))


def test_one_more_rule_is_decoded_alone_and_one_more_threshold_not_at_all(finished):
    swept = yaml.safe_load((finished.folder / "small.yaml").read_text())["decoding"]["rules"]
    configure(finished, {"decoding": {"rules": [*swept, "entropy"]}})
    run(finished, SWEPT)
    assert finished.counted("sweep_thresholds") == (SWEPT_PROBLEMS * (1 + RULES), SWEPT_PROBLEMS)
    configure(finished, {"rules": {"entropy": {"thresholds": [0.123]}, "top_k": {"thresholds": [2, 3, 64]}}})
    run(finished, "results/arith_pareto.csv")
    assert finished.counted("sweep_thresholds") == (SWEPT_PROBLEMS * (2 + RULES), 0)
    assert "0.123" in (finished.folder / "results/arith_pareto.csv").read_text()


def test_more_problems_mine_themselves_alone_and_other_shards_nothing(finished):
    before = finished.table("labels")
    assert finished.counted("mine_labels") == (0, PROBLEMS)
    configure(finished, {"datasets": {"arith": {"problems": {"train": 60}}}})
    run(finished, MINED)
    assert finished.counted("mine_labels") == (PROBLEMS, 20)
    more = finished.table("labels")
    kept = more[more["problem_id"].isin(before["problem_id"])]
    key = ["problem_id", "position"]
    for column in ("important", "margin", "split"):
        ours, theirs = (frame.sort_values(key)[column].tolist() for frame in (kept, before))
        assert ours == theirs, column
    shutil.rmtree(finished.folder / "logs/mine_labels")
    configure(finished, {"mining": {"shards": 5}})
    run(finished, MINED)
    assert finished.counted("mine_labels") == (PROBLEMS + 20, 0)
    assert "features of" not in finished.job_logs("mine_labels")


def test_the_store_is_listed_and_what_no_config_uses_is_dropped(finished):
    pieces = finished.folder / RESULTS / "store"
    listed = finished.snakemake("--cores", "1", "list_store")
    assert listed.returncode == 0, listed.stderr
    text = (finished.folder / "logs/list_store.log").read_text()
    assert text in listed.stdout and f"{RESULTS}/store/mining" in text and text.count("0 pieces, 0 B") == 2
    edit(finished, LIBRARY / "rules/top_k.py", ".sum(-1)", ".sum(-1) + 0")
    finished.snakemake("--cores", "1", "list_store")
    assert f"{SWEPT_PROBLEMS} pieces" in (finished.folder / "logs/list_store.log").read_text()
    before = sum(path.read_bytes().count(b"\n") for path in pieces.rglob("*.pieces"))
    dropped = finished.snakemake("--cores", "2", "prune_store")
    assert dropped.returncode == 0, dropped.stderr
    assert f"{RESULTS}/store/sweep: {SWEPT_PROBLEMS} pieces dropped" in dropped.stdout
    assert finished.counted("sweep_thresholds") == (SWEPT_PROBLEMS * RULES, SWEPT_PROBLEMS), "up to date first"
    assert sum(path.read_bytes().count(b"\n") for path in pieces.rglob("*.pieces")) == before


def test_a_config_keeps_its_pieces_whatever_ran_last(finished):
    configure(finished, {"datasets": {"arith": {"problems": {"train": 60}}}})
    run(finished, MINED)
    configure(finished, {"datasets": {"arith": {"problems": {"train": 40}}}})
    run(finished, MINED)
    configure(finished, {"datasets": {"arith": {"problems": {"train": 60}}}})
    assert finished.snakemake("--cores", "1", "list_store").returncode == 0
    assert "problems.parquet is of another config" in (finished.folder / "logs/list_store.log").read_text()
    pruned = finished.snakemake("--cores", "2", "prune_store")
    assert pruned.returncode == 0, pruned.stderr
    assert f"{RESULTS}/store/mining: 0 pieces dropped" in pruned.stdout
    assert finished.counted("mine_labels") == (PROBLEMS + 20, 0)


def test_two_rules_that_change_names_are_noticed(finished):
    rules = finished.folder / LIBRARY / "rules"
    for ours, theirs in (("top_k", "kept"), ("fly", "top_k"), ("kept", "fly")):
        (rules / f"{ours}.py").rename(rules / f"{theirs}.py")
    assert "sweep_thresholds" in finished.planned("--cores", "all")
