"""transformers' custom_generate with a judge: what the decoder gives, token for token, and refusals by name."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    DynamicCache,
    GenerationConfig,
    StoppingCriteria,
    TextIteratorStreamer,
    TopKLogitsWarper,
)
from transformers.generation.stopping_criteria import StopStringCriteria
from transformers.generation.streamers import BaseStreamer

from autojudge.decoding.branches import Job
from autojudge.decoding.decoder import Decoder
from autojudge.decoding.thresholds import Points
from autojudge.engine.contents import folder_digest
from autojudge.errors import InputError
from autojudge.judging.artifact import Judge, load_judge
from autojudge.rules import load_rule
from autojudge.serving.export import custom_generate_files
from autojudge.serving.transformers import JudgedDecoding, JudgedOutput, generate
from autojudge.tables.feature_names import SCALARS
from conftest import ROOT, make_point, make_record

THRESHOLDS = (0.0, 0.45, 0.6)
WINDOW, LIMIT = 6, 64
FOLDERS = {role: ROOT / "resources/testbed" / role for role in ("draft", "target")}
BLOCKS = ("draft_at_draft", "target_at_draft", "draft_before", "target_before")


@pytest.fixture(scope="module")
def models():
    """The test bed's models as users of transformers load them."""
    torch.set_num_threads(1)
    return {role: AutoModelForCausalLM.from_pretrained(folder) for role, folder in FOLDERS.items()}


def make_judge(models, columns, spread):
    """A judge of random weights on these columns, for the test bed."""
    torch.manual_seed(1)
    sizes = [1 if c in SCALARS else models[c.split("_")[0]].config.hidden_size for c in columns]
    record = make_record(
        columns=list(columns),
        sizes=sizes,
        threshold=0.5,
        models={role: {"model": str(folder), "contents": folder_digest(folder)} for role, folder in FOLDERS.items()},
    )
    return Judge({"weight": spread * torch.randn(sum(sizes)), "bias": torch.tensor(0.0)}, record)


KINDS = {
    "states": (("draft_at_draft", "target_at_draft"), 0.1),
    "all": ((*BLOCKS, *SCALARS), 0.1),
    "target": (("target_before", "target_at_draft"), 0.1),
    "scalars": (SCALARS, 0.3),
}


@pytest.fixture(scope="module")
def judges(models, tmp_path_factory):
    """Folders of judges by kind."""
    folders = {kind: tmp_path_factory.mktemp(kind) for kind in KINDS}
    for kind, folder in folders.items():
        make_judge(models, *KINDS[kind]).save(folder)
    return folders


def reference(pair, judge, problems, threshold, target_first=False):
    """Tokens and cycles of the decoder."""
    jobs = [Job(row["prompt_tokens"], {load_rule("judge"): Points((threshold,))}) for row in problems]
    decoder = Decoder(pair, judge, WINDOW, LIMIT, 4, target_first=target_first)
    return [(found[0].tokens, found[0].cycles) for _, found in sorted(decoder.decode(jobs), key=lambda item: item[0])]


def inputs_of(row):
    tokens = torch.tensor([row["prompt_tokens"]])
    return {"input_ids": tokens, "attention_mask": torch.ones_like(tokens)}


def response(row, output):
    return output.sequences[0, len(row["prompt_tokens"]) :].tolist(), output.cycles


def call(models, judge, row, **options):
    """`generate` with the draft and the judge."""
    options = {"threshold": 0.6, "window": WINDOW, "max_new_tokens": LIMIT, "return_dict_in_generate": True} | options
    options = {"assistant_model": models["draft"]} | options
    return generate(models["target"], **inputs_of(row), judge=str(judge), **options)


def call_callable(models, decoding, row, **options):
    options = {"max_new_tokens": LIMIT, "return_dict_in_generate": True} | options
    return models["target"].generate(**inputs_of(row), custom_generate=decoding, **options)


@pytest.fixture(scope="module")
def expected(pair, models, problems):
    """What the decoder gives for 20 problems by threshold, of the judge on `states`."""
    judge = make_judge(models, *KINDS["states"])
    found = {threshold: reference(pair, judge, problems[:20], threshold) for threshold in THRESHOLDS}
    assert len({str(responses) for responses in found.values()}) == 3  # the judge makes a difference
    return found


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_as_a_callable_it_equals_the_decoder_on_20_problems(expected, models, judges, problems, threshold):
    decoding = JudgedDecoding(models["draft"], str(judges["states"]), threshold, WINDOW)
    found = [response(row, call_callable(models, decoding, row)) for row in problems[:20]]
    assert found == expected[threshold]


FOLDER_RUN = """
import json, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "autojudge":
            raise ModuleNotFoundError(f"{name} is not there where an exported judge is served")

sys.meta_path.insert(0, Absent())
import torch
from transformers import AutoModelForCausalLM

folder, work, thresholds = sys.argv[1], json.load(open(sys.argv[2])), json.loads(sys.argv[3])
torch.set_num_threads(1)
draft, target = (AutoModelForCausalLM.from_pretrained(work[role]) for role in ("draft", "target"))
for threshold in thresholds:
    for prompt in work["prompts"]:
        tokens = torch.tensor([prompt])
        out = target.generate(input_ids=tokens, attention_mask=torch.ones_like(tokens), custom_generate=folder,
                              trust_remote_code=True, assistant_model=draft, window=work["window"],
                              max_new_tokens=work["limit"], return_dict_in_generate=True, **threshold)
        print(json.dumps([out.sequences[0, len(prompt):].tolist(), out.cycles]), flush=True)
"""


@pytest.fixture(scope="module")
def exported(judges, tmp_path_factory):
    """An exported folder: a judge, and what `custom_generate` needs, beside it."""
    folder = tmp_path_factory.mktemp("exported")
    (folder / "custom_generate").mkdir()
    for name, text in custom_generate_files().items():
        (folder / "custom_generate" / name).write_text(text, encoding="utf-8")
    for file in judges["states"].iterdir():
        shutil.copy(file, folder)
    return folder


def run_folder(folder, rows, thresholds, tmp_path):
    """Generate in another process, where there is no `autojudge`, with the folder's code."""
    work = {role: str(place) for role, place in FOLDERS.items()} | {"window": WINDOW, "limit": LIMIT}
    (tmp_path / "work.json").write_text(json.dumps(work | {"prompts": [row["prompt_tokens"] for row in rows]}))
    command = [sys.executable, "-c", FOLDER_RUN, str(folder), str(tmp_path / "work.json"), json.dumps(thresholds)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"HF_HOME": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1"}
    return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)


def test_from_the_exported_folder_it_equals_the_decoder_on_20_problems(expected, exported, problems, tmp_path):
    result = run_folder(exported, problems[:20], [{"threshold": threshold} for threshold in THRESHOLDS], tmp_path)
    assert result.returncode == 0, result.stderr
    found = [tuple(json.loads(line)) for line in result.stdout.splitlines()]
    assert found == [pair for threshold in THRESHOLDS for pair in expected[threshold]]
    assert result.stderr.count("AutoJudge: decoding is LOSSY") == 2 and "decoding is lossless" in result.stderr


@pytest.mark.parametrize("kind", ["all", "target", "scalars"])
def test_judges_of_other_features_equal_the_decoder(pair, models, judges, problems, kind):
    rows, judge = problems[20:26], make_judge(models, *KINDS[kind])
    found = [response(row, call(models, judges[kind], row, threshold=0.5)) for row in rows]
    assert found == reference(pair, judge, rows, 0.5)


def test_it_can_start_like_vllm(pair, models, judges, problems):
    rows, judge = problems[:6], make_judge(models, *KINDS["states"])
    found = [response(row, call(models, judges["states"], row, target_first=True)) for row in rows]
    assert found == reference(pair, judge, rows, 0.6, target_first=True)
    assert found != reference(pair, judge, rows, 0.6)


def test_threshold_0_is_the_targets_own_response(models, judges, problems):
    for row in problems[:4]:
        own = models["target"].generate(**inputs_of(row), max_new_tokens=LIMIT, do_sample=False)
        output = call(models, judges["states"], row, threshold=0)
        assert torch.equal(output.sequences, own) and output.kept == 0


def test_kept_tokens_are_those_that_the_target_would_not_choose(models, judges, problems):
    row = problems[0]
    output = call(models, judges["states"], row)
    with torch.no_grad():
        choices = models["target"](output.sequences).logits[0].argmax(-1)
    start, text = len(row["prompt_tokens"]), output.sequences[0]
    assert output.kept == int((choices[start - 1 : -1] != text[start:]).sum()) > 0


def test_the_recommended_threshold_and_window_are_the_defaults(models, judges, problems, tmp_path):
    judge, row = load_judge(judges["states"]), problems[0]
    replace(judge, record=replace(judge.record, threshold=0.6, operating_point=make_point(window=WINDOW))).save(
        tmp_path
    )
    by_default, told = call(models, tmp_path, row, threshold=None, window=None), call(models, judges["states"], row)
    assert response(row, by_default) == response(row, told) and by_default.kept == told.kept
    assert response(row, call(models, judges["states"], row, window=None)) == response(
        row, call(models, judges["states"], row, window=8)
    )


def test_numbers_of_numpy_are_numbers(expected, models, judges, problems):
    options = {"threshold": np.float64(0.6), "window": np.int64(WINDOW)}
    assert response(problems[0], call(models, judges["states"], problems[0], **options)) == expected[0.6][0]
    call(models, judges["states"], problems[0], threshold=np.float32(0.6))


@pytest.mark.parametrize("length", ["max_new_tokens", "max_length"])
@pytest.mark.parametrize("limit", [1, 2, 7, 23])
def test_lengths(expected, models, judges, problems, length, limit):
    row = problems[0]
    most = {"max_new_tokens": None, length: limit + len(row["prompt_tokens"]) * (length == "max_length")}
    tokens, _ = response(row, call(models, judges["states"], row, **most))
    assert len(tokens) == limit and tokens == expected[0.6][0][0][:limit]


def test_end_tokens(expected, models, judges, problems):
    whole = expected[0.6][0][0]
    ends = [whole[9], whole[20]]
    place = min(whole.index(end) for end in ends)
    for given in (ends, ends[::-1]):
        tokens, _ = response(problems[0], call(models, judges["states"], problems[0], eos_token_id=given))
        assert tokens == whole[: place + 1]


class EveryNumber(StoppingCriteria):
    """Ends a text after so many tokens."""

    def __init__(self, most):
        self.most = most

    def __call__(self, input_ids, scores, **_):
        return torch.full((1,), input_ids.shape[1] >= self.most)


def test_stop_strings_and_other_criteria_end_within_a_window(pair, expected, models, judges, problems, monkeypatch):
    # transformers looks its vocabulary up after this text, which has to be of words that the tokenizer knows
    monkeypatch.setattr(StopStringCriteria.clean_tokenizer_vocab, "__defaults__", ("the", None))
    row, whole = problems[0], expected[0.6][0][0]
    text = pair.decode(whole[:15])
    stop = text[-5:-1]
    wanted = next(n for n in range(1, len(whole) + 1) if stop in pair.decode(whole[:n]))
    for given in ({"stop_strings": stop}, {"stop_strings": [stop, "nowhere"]}):
        tokens, _ = response(row, call(models, judges["states"], row, tokenizer=pair.tokenizer, **given))
        assert tokens == whole[:wanted]
    config = GenerationConfig(stop_strings=[stop], max_new_tokens=LIMIT, return_dict_in_generate=True)
    given = {"generation_config": config, "tokenizer": pair.tokenizer}
    output = generate(
        models["target"],
        **inputs_of(row),
        assistant_model=models["draft"],
        judge=str(judges["states"]),
        **given,
        threshold=0.6,
        window=WINDOW,
    )
    assert response(row, output)[0] == whole[:wanted]
    most = len(row["prompt_tokens"]) + 10
    tokens, _ = response(row, call(models, judges["states"], row, stopping_criteria=[EveryNumber(most)]))
    assert tokens == whole[:10]


class Noted(BaseStreamer):
    def __init__(self):
        self.parts, self.ended = [], 0

    def put(self, value):
        self.parts.append(value.flatten().tolist())

    def end(self):
        self.ended += 1


def test_a_streamer_gets_the_prompt_and_each_cycles_tokens(expected, models, judges, problems):
    row, (tokens, cycles) = problems[0], expected[0.6][0]
    by_call, by_callable = Noted(), Noted()
    call(models, judges["states"], row, streamer=by_call)
    decoding = JudgedDecoding(models["draft"], str(judges["states"]), 0.6, WINDOW, streamer=by_callable)
    call_callable(models, decoding, row)
    assert by_call.parts[0] == row["prompt_tokens"] and len(by_call.parts) == cycles + 1
    assert sum(by_call.parts[1:], []) == tokens and by_call.ended == by_callable.ended == 1
    assert by_callable.parts == by_call.parts
    in_both = Noted()
    call_callable(models, replace(decoding, streamer=in_both), row, streamer=in_both)
    assert in_both.parts == by_call.parts
    printed = [TextIteratorStreamer(pair_tokenizer(models), skip_prompt=True) for _ in range(2)]
    call(models, judges["states"], row, streamer=printed[0])
    call_callable(models, replace(decoding, streamer=printed[1]), row)
    assert ["".join(p) for p in printed] == [pair_tokenizer(models).decode(tokens)] * 2


def pair_tokenizer(models):
    return AutoTokenizer.from_pretrained(FOLDERS["target"])


def test_without_a_dict_the_tokens_alone_are_returned(expected, models, judges, problems):
    found = call(models, judges["states"], problems[0], return_dict_in_generate=False)
    assert isinstance(found, torch.Tensor) and found[0, -len(expected[0.6][0][0]) :].tolist() == expected[0.6][0][0]
    assert isinstance(call(models, judges["states"], problems[0]), JudgedOutput)


REFUSED = {
    "do_sample": ({"do_sample": True}, "`do_sample=True` .* set do_sample=False"),
    "beams": ({"num_beams": 2}, "`num_beams=2`"),
    "several": ({"num_return_sequences": 2, "do_sample": True}, "do_sample|num_return_sequences"),
    "no cache": ({"use_cache": False}, "`use_cache=False`"),
    "static": ({"cache_implementation": "static"}, "`cache_implementation='static'`"),
    "chunks": ({"prefill_chunk_size": 4}, "prefill_chunk_size=4"),
    "scores": ({"output_scores": True}, "output_scores"),
    "states": ({"output_hidden_states": True}, "output_hidden_states"),
    "lookup": ({"prompt_lookup_num_tokens": 3}, "prompt_lookup_num_tokens=3"),
    "exit": ({"assistant_early_exit": 1}, "assistant_early_exit=1"),
    "ensemble": ({"assistant_ensemble_weight": 0.2}, "assistant_ensemble_weight=0.2.*another lossy method"),
    "window": ({"num_assistant_tokens": 5}, "num_assistant_tokens=5.*set `window`"),
    "schedule": ({"num_assistant_tokens_schedule": "heuristic"}, "schedule='heuristic'"),
    "confidence": ({"assistant_confidence_threshold": 0.7}, "assistant_confidence_threshold=0.7"),
    "contrastive": ({"penalty_alpha": 0.6, "top_k": 4}, "penalty_alpha=0.6"),
    "dola": ({"dola_layers": "low"}, "dola_layers='low'"),
    "penalty": ({"repetition_penalty": 1.1}, "RepetitionPenaltyLogitsProcessor .* repetition_penalty=1.0"),
    "ngrams": ({"no_repeat_ngram_size": 2}, "no_repeat_ngram_size=0"),
    "least": ({"min_new_tokens": 5}, "min_new_tokens=None"),
    "words": ({"bad_words_ids": [[7]]}, "bad_words_ids=None"),
    "suppressed": ({"suppress_tokens": [7]}, "suppress_tokens=None"),
    "allowed": ({"prefix_allowed_tokens_fn": lambda *_: [1, 2]}, "prefix_allowed_tokens_fn=None"),
    "processor": (
        {"logits_processor": [TopKLogitsWarper(3)]},
        "TopKLogitsWarper .* leave it out of",
    ),
    "synced": ({"synced_gpus": True}, "`synced_gpus` is not supported"),
    "tokenizers": ({"assistant_tokenizer": object()}, "`assistant_tokenizer` is not supported"),
    "stop": ({"stop_strings": "x"}, "add `tokenizer=tokenizer`"),
    "window 0": ({"window": 0}, "window 0: must be a whole number"),
    "window 2.5": ({"window": 2.5}, "window 2.5: must be a whole number"),
    "negative": ({"threshold": -0.1}, "threshold -0.1: must be 0 .lossless. or more"),
    "no number": ({"threshold": float("nan")}, "threshold nan: must be"),
    "text": ({"threshold": "0.5"}, "threshold '0.5' is not a number"),
    "true": ({"threshold": True}, "threshold True is not a number"),
    "huge": ({"threshold": 10**5000}, "threshold inf: must be"),
    "window true": ({"window": np.True_}, "window .*True.*: must be a whole number"),
    "responses": ({"num_return_sequences": 2}, "`num_return_sequences=2` .* call it again for each"),
    "name of a draft": ({"assistant_model": "some/draft"}, "the draft 'some/draft' is not a model: give what"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_it_does_not_take_is_refused_by_name(models, judges, problems, name):
    options, message = REFUSED[name]
    with pytest.raises(InputError, match=message):
        call(models, judges["states"], problems[0], **options)


def test_typing_errors_are_transformers_own(models, judges, problems):
    with pytest.raises(ValueError, match="treshold"):
        call(models, judges["states"], problems[0], treshold=0.1)


def test_settings_of_the_models_generation_config_are_refused_too(models, judges, problems, monkeypatch):
    monkeypatch.setattr(models["target"].generation_config, "repetition_penalty", 1.05)
    with pytest.raises(InputError, match="repetition_penalty=1.0 in the call or the generation config"):
        call(models, judges["states"], problems[0])
    call(models, judges["states"], problems[0], repetition_penalty=1.0)


def test_prompts_that_it_does_not_take(models, judges, problems):
    tokens = torch.tensor([problems[0]["prompt_tokens"]])
    ones = torch.ones_like(tokens)
    padded = ones.clone()
    padded[0, 0] = 0
    cache = DynamicCache(config=models["target"].config)
    with torch.no_grad():
        models["target"](tokens[:, :3], past_key_values=cache)
    for given, message in (
        ({"input_ids": tokens.repeat(2, 1)}, "2 prompts in a batch"),
        ({"input_ids": tokens[:, :0]}, "`input_ids`. is empty"),
        ({"input_ids": tokens[:, :0], "attention_mask": ones[:, :0]}, "`input_ids`. is empty"),
        ({"input_ids": tokens, "attention_mask": padded}, "has zeros: give the prompt without padding"),
        ({"input_ids": tokens, "position_ids": ones.cumsum(1) + 4}, "`position_ids` other than"),
        (
            {"input_ids": tokens, "attention_mask": ones, "past_key_values": cache},
            "`past_key_values` that are not empty",
        ),
        ({"inputs_embeds": models["target"].get_input_embeddings()(tokens)}, "`inputs_embeds` is not supported"),
    ):
        with pytest.raises(InputError, match=message):
            generate(
                models["target"],
                **given,
                assistant_model=models["draft"],
                judge=str(judges["states"]),
                max_new_tokens=8,
            )


def test_what_transformers_would_lose_is_refused(models, judges, problems):
    row = problems[0]
    with pytest.raises(InputError, match="no draft model: .* give it to JudgedDecoding"):
        call_callable(models, JudgedDecoding(None, str(judges["states"])), row, assistant_model=models["draft"])
    decoding = JudgedDecoding(models["draft"], str(judges["states"]))
    with pytest.raises(InputError, match="passes no `streamer` to a callable"):
        call_callable(models, decoding, row, streamer=Noted())
    with pytest.raises(InputError, match="passes no `streamer` to a callable"):
        call_callable(models, replace(decoding, streamer=Noted()), row, streamer=Noted())
    with pytest.raises(InputError, match="passes no `assistant_model` to a callable: .* draft=draft"):
        call_callable(models, decoding, row, assistant_model=models["target"])
    call_callable(models, replace(decoding, threshold=0.5), row, assistant_model=models["draft"])
    with pytest.raises(InputError, match="no judge is named"):
        generate(models["target"], **inputs_of(row), assistant_model=models["draft"], threshold=0.5)
    with pytest.raises(InputError, match="no draft model"):
        generate(models["target"], **inputs_of(row), judge=str(judges["states"]), threshold=0.5)


def test_a_judge_that_is_not_the_pairs_is_refused(models, judges, problems, tmp_path):
    judge, row = load_judge(judges["states"]), problems[0]

    def save(**changes):
        replace(judge, record=replace(judge.record, **changes)).save(tmp_path)
        return tmp_path

    other = {"model": "big/target", "contents": "0" * 64}
    for changes, message in (
        ({"models": judge.record.models | {"target": other}}, "trained for target big/target"),
        ({"models": {"draft": {"first_layers": 2}}}, "by `first_layers`"),
        ({"models": {"draft": {"prompt_lookup": True}}}, "by `prompt_lookup`"),
        ({"columns": ["draft_at_target", "target_at_draft"]}, "reads draft_at_target, which transformers does not"),
        ({"sizes": [40, 64]}, "states of"),
        ({"threshold": None}, "has no recommended `threshold`"),
    ):
        with pytest.raises(InputError, match=message):
            call(models, save(**changes), row, threshold=None)
    with pytest.raises(InputError, match="no such folder"):
        call(models, tmp_path / "nowhere", row)
    swapped = {"target": models["draft"], "draft": models["target"]}
    with pytest.raises(InputError, match="trained for draft"):
        call(swapped, judges["states"], row)
    call(models, save(models={"target": other, "draft": other}), row, other_models=True)
    with pytest.raises(InputError, match="states of"):
        call(models, save(sizes=[40, 64]), row, other_models=True)


def test_a_damaged_judge_is_refused_though_it_was_served_before(models, judges, problems, tmp_path):
    folder = tmp_path / "judge"
    shutil.copytree(judges["states"], folder)
    call(models, folder, problems[0])
    (folder / "judge.safetensors").write_bytes((folder / "judge.safetensors").read_bytes()[:-9])
    with pytest.raises(InputError, match="not a readable judge"):
        call(models, folder, problems[0])


def test_a_folder_without_a_judge_is_refused_as_such(models, judges, problems, tmp_path, monkeypatch):
    remedy = "give the exported folder, results/DATASET/PAIR/export, or a hub name"
    with pytest.raises(InputError, match=f"no judge.json and no judge.safetensors in {tmp_path}; {remedy}"):
        call(models, tmp_path, problems[0])
    shutil.copy(judges["states"] / "judge.json", tmp_path)
    with pytest.raises(InputError, match=f"^no judge.safetensors in {tmp_path}; {remedy}"):
        call(models, tmp_path, problems[0])
    monkeypatch.chdir(judges["states"])  # an empty name is not the current folder
    for name in ("", " "):
        with pytest.raises(InputError, match=f"^judge '{name}': is not a name; {remedy}"):
            call(models, name, problems[0])


def test_another_dtype_than_in_training_is_told_once(models, judges, problems, tmp_path, caplog):
    judge = load_judge(judges["states"])
    trained = {role: known | {"dtype": "float32"} for role, known in judge.record.models.items()}
    replace(judge, record=replace(judge.record, models=trained)).save(tmp_path)
    call(models, tmp_path, problems[0], max_new_tokens=8)
    assert "computes in" not in caplog.text
    half = AutoModelForCausalLM.from_pretrained(FOLDERS["target"], dtype=torch.bfloat16)
    for _ in range(2):
        call(models | {"target": half}, tmp_path, problems[0], max_new_tokens=8)
    (told,) = [record.getMessage() for record in caplog.records if "computes in" in record.getMessage()]
    assert "target computes in bfloat16" in told and "in float32 (load it with dtype=torch.float32)" in told


def test_scores_that_are_no_numbers_refuse_and_are_counted(models, judges, problems, tmp_path):
    judge = load_judge(judges["states"])
    Judge(judge.tensors | {"bias": torch.tensor(float("nan"))}, judge.record).save(tmp_path)
    output, lossless = (
        call(models, folder, problems[0], threshold=t) for folder, t in ((tmp_path, 2.0), (judges["states"], 0))
    )
    assert torch.equal(output.sequences, lossless.sequences) and output.cycles == lossless.cycles
    assert output.kept == 0 and output.not_scored > 0 and lossless.not_scored == 0


def test_a_judge_of_the_hub_is_downloaded(models, judges, problems, monkeypatch):
    import huggingface_hub

    asked = []

    def download(name, file, revision=None, token=None):
        asked.append((name, file, revision))
        if name != "someone/judge":
            raise OSError("404 Client Error")
        return str(judges["states"] / file)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    call(models, "someone/judge", problems[0], revision="abc")
    assert asked == [("someone/judge", file, "abc") for file in ("judge.json", "judge.safetensors")]
    with pytest.raises(InputError, match=r"judge someone/other: .* hub \(404 Client Error\)"):
        call(models, "someone/other", problems[0])
