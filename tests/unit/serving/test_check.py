"""The check command: engines give the same tokens, cycles and kept tokens; faults name file and line."""

import json
import sys

import pytest
import torch

from autojudge.engine.contents import folder_digest
from autojudge.errors import InputError
from autojudge.judging.artifact import Judge
from autojudge.serving import check
from conftest import ROOT, make_point, make_record

FOLDERS = {role: ROOT / "resources/testbed" / role for role in ("draft", "target")}


@pytest.fixture(scope="module")
def judge_folder(pair, tmp_path_factory):
    """A judge of random weights for the test bed."""
    torch.manual_seed(1)
    sizes = [pair.hidden_sizes[role] for role in ("draft", "target")]
    models = {role: {"model": str(folder), "contents": folder_digest(folder)} for role, folder in FOLDERS.items()}
    record = make_record(columns=["draft_at_draft", "target_at_draft"], sizes=sizes, models=models, threshold=0.5)
    folder = tmp_path_factory.mktemp("judge")
    Judge({"weight": 0.1 * torch.randn(sum(sizes)), "bias": torch.tensor(0.0)}, record).save(folder)
    return folder


@pytest.fixture
def run(judge_folder, tmp_path):
    def run(rows, engine="own", **options):
        prompts, out = tmp_path / "prompts.jsonl", tmp_path / f"{engine}.jsonl"
        prompts.write_text("".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows))
        given = {"judge": judge_folder, **FOLDERS, "prompts": prompts, "engine": engine, "out": out, "window": 6}
        given |= {"max-new-tokens": 48} | options
        check.main([part for name, value in given.items() for part in (f"--{name}", str(value))])
        return [json.loads(line) for line in out.read_text().splitlines()]

    return run


def test_engines_agree(run, problems, capfd):
    rows = [{"prompt_tokens": row["prompt_tokens"], "problem_id": "counts for nothing"} for row in problems[:4]]
    found = {(engine, t): run(rows, engine, threshold=t) for engine in ("own", "transformers") for t in (0, 0.6)}
    assert len(found["own", 0]) == 4 and {*found["own", 0][0]} == {"tokens", "cycles", "kept"}
    for threshold in (0, 0.6):
        assert found["own", threshold] == found["transformers", threshold]
    assert sum(row["kept"] for row in found["own", 0]) == 0 < sum(row["kept"] for row in found["own", 0.6])
    assert "4/4" in capfd.readouterr().err  # the bar


def test_the_recommended_threshold_is_the_default(run, problems):
    rows = [{"prompt_tokens": problems[0]["prompt_tokens"]}]
    assert run(rows) == run(rows, threshold=0.5)


@pytest.mark.parametrize("chosen, given, taken", [(6, [], 6), (6, ["--window", "3"], 3), (None, [], 8)])
def test_the_window_is_that_of_the_judges_operating_point_where_it_has_one(tmp_path, monkeypatch, chosen, given, taken):
    record = make_record(columns=["entropy"], sizes=[1], operating_point=chosen and make_point(window=chosen))
    Judge({"weight": torch.ones(1), "bias": torch.tensor(0.0)}, record).save(tmp_path)
    (tmp_path / "prompts.jsonl").write_text('{"prompt_tokens": [1]}')
    asked = []
    monkeypatch.setattr(check, "check", lambda request, *_: asked.append(request) or iter([]))
    options = {"judge": tmp_path, **FOLDERS, "prompts": tmp_path / "prompts.jsonl", "out": tmp_path / "out.jsonl"}
    check.main(
        [part for name, value in options.items() for part in (f"--{name}", str(value))] + ["--engine=own", *given]
    )
    assert [request.window for request in asked] == [taken]


@pytest.mark.parametrize(
    "row, message",
    [
        ("{", "is not JSON"),
        ("[1, 2]", "has no list `prompt_tokens`"),
        ('{"tokens": [1]}', "has no list `prompt_tokens`"),
        ('{"prompt_tokens": []}', "has no list `prompt_tokens` with tokens in it"),
        ('{"prompt_tokens": [1, -2]}', "`prompt_tokens` holds -2, which is not a token"),
        ('{"prompt_tokens": [1, true]}', "`prompt_tokens` holds True, which is not a token"),
        ('{"prompt_tokens": [1, 2.0]}', "`prompt_tokens` holds 2.0, which is not a token"),
    ],
)
def test_a_faulty_row_is_named_by_file_and_line(run, row, message):
    with pytest.raises(SystemExit, match=rf"error: .*prompts\.jsonl:3: {message}"):
        run([{"prompt_tokens": [1]}, "\n", row + "\n"])


@pytest.mark.parametrize("engine", ["own", "transformers"])
def test_a_token_that_the_models_do_not_have_is_named_by_file_and_line(run, engine):
    with pytest.raises(SystemExit, match=r"prompts\.jsonl:2: token 9999 is beyond the models' embeddings of 265 rows"):
        run([{"prompt_tokens": [1]}, {"prompt_tokens": [1, 9999]}], engine)


def test_what_is_written_before_a_fault_stays(tmp_path):
    def responses():
        yield check.Decoded([1, 2], 1, 0)
        raise InputError("the machine is on fire; put it out")

    with pytest.raises(InputError):
        check._write(tmp_path / "out.jsonl", responses(), 2, "own")
    assert json.loads((tmp_path / "out.jsonl").read_text()) == {"tokens": [1, 2], "cycles": 1, "kept": 0}


def test_other_faults_are_one_message(run, tmp_path, monkeypatch):
    row = [{"prompt_tokens": [1]}]
    monkeypatch.setitem(sys.modules, "autojudge.serving.engines.transformers", None)
    for options, message in (
        ({"judge": tmp_path / "nowhere"}, "no such folder"),
        ({"out": tmp_path / "no" / "out.jsonl"}, "cannot be written"),
        ({"prompts": tmp_path / "no.jsonl"}, "cannot be read"),
        ({"threshold": -1}, "threshold -1.0: must be 0 .lossless. or more"),
        ({"target": FOLDERS["draft"]}, "trained for target"),
        ({"engine": "transformers"}, r"pip install 'autojudge\[transformers\]'"),
    ):
        with pytest.raises(SystemExit, match=message):
            run(row, **options)
    with pytest.raises(SystemExit, match="holds no row"):
        run([])


@pytest.mark.parametrize("option", [("--window", "0"), ("--max-new-tokens", "2.5"), ("--engine", "sglang")])
def test_faulty_options_are_refused_by_the_parser(option, capsys):
    given = ["--judge", "j", "--target", "t", "--draft", "d", "--prompts", "p", "--engine", "own", "--out", "o"]
    with pytest.raises(SystemExit):
        check.main([*given, *option])
    assert option[0] in capsys.readouterr().err
