"""Transformers' assisted generation does the work that ours does, whatever the models' files say of generating."""

import json
import logging
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from autojudge.decoding.assisted import assist
from autojudge.decoding.branches import Job
from autojudge.decoding.decoder import Decoder
from autojudge.engine.models import load_pair
from autojudge.reading.prompts import encode_chat
from conftest import ROOT, model_settings

QUESTIONS = ("Ann has 12 shells and finds 7 more. How many shells has Ann?", "A pen costs 3. What do 9 pens cost?")
WINDOW, LIMIT = 5, 48


@pytest.fixture(scope="module")
def changed_pair(tmp_path_factory):
    """Makes the pair of the test bed with its folders changed by `change(folder, role)`."""
    torch.set_num_threads(1)

    def make(change):
        settings = {}
        for role in ("draft", "target"):
            folder = tmp_path_factory.mktemp(role)
            shutil.copytree(ROOT / "resources/testbed" / role, folder, dirs_exist_ok=True)
            change(folder, role)
            settings[role] = model_settings(folder)
        return load_pair(settings)

    return make


def edit(path, **changes):
    """Set keys of a JSON file; None takes one out."""
    known = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in known.items() if value is not None}))


def pad_head(folder, rows):
    """Add rows to a head, likelier than those they copy: without care they win."""
    weights = load_file(folder / "model.safetensors")
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        if name in weights:
            weights[name] = torch.cat([weights[name], 2 * weights[name][600 : 600 + rows]])
            size = len(weights[name])
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    edit(folder / "config.json", vocab_size=size)


def prompts_of(pair):
    return [encode_chat([{"role": "user", "content": text}], pair.tokenizer) for text in QUESTIONS]


def alone(pair, stop=()):
    """The target's own responses."""
    jobs = [Job(prompt, {}) for prompt in prompts_of(pair)]
    return [responses[0].tokens for _, responses in sorted(Decoder(pair, None, WINDOW, LIMIT, 1, stop).decode(jobs))]


def assisted(pair, stop=(), confidence=0.0):
    return [assist(pair, prompt, WINDOW, LIMIT, stop, confidence) for prompt in prompts_of(pair)]


def work(pair, confidence=0.0):
    """Assisted responses, and the tokens in each forward pass of draft and target that they took."""
    seen, hooks = {"draft": [], "target": []}, []
    for role, model in (("draft", pair.draft), ("target", pair.target)):

        def note(module, arguments, options, role=role):
            seen[role].append(options["input_ids"].shape[1])

        hooks.append(model.base_model.register_forward_pre_hook(note, with_kwargs=True))
    responses = assisted(pair, confidence=confidence)
    for hook in hooks:
        hook.remove()
    return responses, seen


@pytest.fixture(scope="module")
def plain(pair):
    responses, seen = work(pair)
    assert responses == alone(pair) and len({len(response) for response in responses}) == 2
    return responses, seen


GENERATION = {
    "beams": {"num_beams": 3, "early_stopping": True, "length_penalty": 0.5},
    "sampling": {"do_sample": True, "temperature": 5.0, "top_k": 0, "typical_p": 0.9},
    "penalties": {"repetition_penalty": 3.0, "no_repeat_ngram_size": 2, "encoder_repetition_penalty": 2.0},
    "lengths": {"min_new_tokens": 48, "max_new_tokens": 2, "max_length": 9, "min_length": 300},
    "decay": {"exponential_decay_length_penalty": [1, 9.0]},
    "guidance": {"guidance_scale": 4.0},
    "time": {"max_time": 1e-6},
    "tokens taken out": {"suppress_tokens": [300, 301, 16, 17], "begin_suppress_tokens": list(range(5, 900))},
    "tokens forced": {"forced_bos_token_id": 70, "forced_eos_token_id": 4, "bad_words_ids": [[20], [30]]},
    "biases": {"sequence_bias": [[[33], 50.0]], "renormalize_logits": True, "remove_invalid_values": True},
    "watermark": {"watermarking_config": {"bias": 30.0, "greenlist_ratio": 0.25}},
    "prompt lookup": {"prompt_lookup_num_tokens": 3, "max_matching_ngram_size": 2},
    "early exit": {"assistant_early_exit": 1},
    "windows": {
        "num_assistant_tokens": 2,
        "num_assistant_tokens_schedule": "heuristic",
        "assistant_confidence_threshold": 0.99,
    },
    "ensemble": {"assistant_ensemble_weight": 0.1},
    "several": {"num_return_sequences": 2, "num_beams": 2},
    "outputs": {"return_dict_in_generate": True, "output_scores": True, "output_hidden_states": True},
    "no cache": {"use_cache": False},
    "static cache": {"cache_implementation": "static"},
    "quantized cache": {"cache_implementation": "quantized"},
    "chunks": {"prefill_chunk_size": 7},
    "stop strings": {"stop_strings": ["e", " "]},
    "contrastive": {"penalty_alpha": 0.6, "top_k": 4},
    "dola": {"dola_layers": "low"},
    "healing": {"token_healing": True},
}


@pytest.mark.parametrize("name", GENERATION)
def test_the_models_own_generation_settings_count_for_nothing(changed_pair, plain, name):
    pair = changed_pair(lambda folder, role: edit(folder / "generation_config.json", **GENERATION[name]))
    assert work(pair) == plain


@pytest.mark.parametrize(
    "keys",
    [
        {"use_cache": False},
        {"num_beams": 4, "do_sample": True},
        {"min_length": 90, "repetition_penalty": 2.0, "no_repeat_ngram_size": 2},
    ],
)
def test_generation_settings_in_a_models_config_count_for_nothing(changed_pair, plain, keys):
    def change(folder, role):
        edit(folder / "config.json", **keys, eos_token_id=4)
        (folder / "generation_config.json").unlink()

    assert work(changed_pair(change)) == plain


@pytest.mark.parametrize("rows", [(23, 0), (0, 23), (7, 40), (40, 7)])
def test_padding_rows_of_a_head_are_left_out(changed_pair, plain, rows):
    more = dict(zip(("draft", "target"), rows, strict=True))
    pair = changed_pair(lambda folder, role: pad_head(folder, more[role]) if more[role] else None)
    if all(rows):  # the tokens that both have count, although no text has them
        assert assisted(pair) == alone(pair)
    else:
        assert work(pair) == plain


def test_where_no_token_ends_a_response_the_limit_does(changed_pair):
    def change(folder, role):
        edit(folder / "generation_config.json", eos_token_id=None, pad_token_id=None)
        edit(folder / "config.json", eos_token_id=None, pad_token_id=None)
        edit(folder / "tokenizer_config.json", eos_token=None)
        template = "{% for message in messages %}{{ message['content'] + ' ' }}{% endfor %}"  # ends a turn by no token
        (folder / "chat_template.jinja").write_text(template, encoding="utf-8")

    pair = changed_pair(change)
    assert pair.end_tokens == frozenset()
    responses = assisted(pair)
    assert responses == alone(pair) and {len(response) for response in responses} == {LIMIT}


@pytest.mark.parametrize("confidence", [0.4, 0.9, 0.999])
def test_a_draft_that_stops_early_writes_less_for_the_same_response(pair, plain, confidence):
    responses, seen = work(pair, confidence)
    assert responses == plain[0]
    assert len(seen["draft"]) < len(plain[1]["draft"]) and len(seen["target"]) >= len(plain[1]["target"])


@pytest.mark.parametrize("name", ["windows", "sampling", "prompt lookup"])
def test_the_models_own_settings_count_for_nothing_where_the_draft_stops_early_either(changed_pair, pair, name):
    changed = changed_pair(lambda folder, role: edit(folder / "generation_config.json", **GENERATION[name]))
    assert work(changed, 0.4) == work(pair, 0.4)


@pytest.mark.parametrize("confidence", [0.0, 0.4])
@pytest.mark.parametrize("stop", [(" is",), ("o", " count"), ("nowhere",)])
def test_stop_texts_end_a_response_within_a_window_too(pair, plain, stop, confidence):
    responses = assisted(pair, stop, confidence)
    assert responses == alone(pair, stop)
    assert (responses == plain[0]) == (stop == ("nowhere",))


def test_a_draft_of_the_targets_first_layers(pair_settings, plain):
    pair = load_pair({"target": pair_settings["target"], "draft": {"first_layers": 2}})
    assert assisted(pair) == plain[0]


def test_the_models_are_as_before(pair, monkeypatch):
    def state():
        models = (pair.draft, pair.target)
        return [(id(m.generation_config), m.config.vocab_size, len(m.lm_head._forward_hooks)) for m in models]

    before, own = state(), pair.target.generation_config.to_dict()
    assisted(pair)
    assert state() == before
    monkeypatch.setattr(pair.target, "forward", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        assisted(pair)
    assert state() == before and pair.target.generation_config.to_dict() == own


def test_nothing_is_printed(pair):
    from transformers.utils import logging as theirs

    class Noted(logging.Handler):
        records: list = []

        def emit(self, record):
            self.records.append(record.getMessage())

    handler, level = Noted(), theirs.get_verbosity()
    theirs.add_handler(handler)
    theirs.set_verbosity_warning()
    theirs.get_logger("transformers").warning_once.__func__.cache_clear()
    try:
        assisted(pair)
        assert theirs.get_verbosity() == logging.WARNING
    finally:
        theirs.remove_handler(handler)
        theirs.set_verbosity(level)
    assert handler.records == []
