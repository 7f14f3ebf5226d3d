"""A response ends where the chat template ends an answer, whether or not the model's files list that token."""

import pytest
from transformers import AutoTokenizer, GenerationConfig

from autojudge.errors import InputError
from autojudge.reading.turns import describe_ends, end_of_turn, end_tokens, hide_end_of_turn
from conftest import ROOT

CHATML = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
TURNS = "{% for m in messages %}<|turn_{{ m.role }}|>{{ m.content }}{% endfor %}"
TEMPLATES = {  # template and the token that ends its answers
    "chatml": (CHATML, "<|im_end|>"),
    "llama 3, trimmed": (
        "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n"
        "{{ m.content | trim }}<|eot_id|>{% endfor %}",
        "<|eot_id|>",
    ),
    "gemma, no system prompts": (
        "{% if messages[0].role == 'system' %}{{ raise_exception('no system role') }}{% endif %}{% for m in messages %}"
        "<start_of_turn>{{ 'model' if m.role == 'assistant' else 'user' }}\n{{ m.content }}<end_of_turn>\n{% endfor %}",
        "<end_of_turn>",
    ),
    "phi 3, the listed token at the very end": (
        "{% for m in messages %}<|turn_{{ m.role }}|>\n{{ m.content }}<|eot_id|>\n{% endfor %}"
        "{% if not add_generation_prompt %}{{ eos_token }}{% endif %}",
        "<|eot_id|>",
    ),
    "mistral, a space before it": (
        "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]"
        "{% elif m.role == 'assistant' %}{{ m.content }} {{ eos_token }}{% endif %}{% endfor %}",
        "<|end|>",
    ),
    "gpt-oss, another one within a chat": (
        "{% for m in messages %}<|turn_{{ m.role }}|>{{ m.content }}"
        "{{ '<|return|>' if loop.last and not add_generation_prompt else '<|eot_id|>' }}{% endfor %}",
        "<|return|>",
    ),
    "glm 4, the next turn's beginning": (TURNS, "<|turn_user|>"),
    "closed only where another turn follows": (
        "{% for m in messages %}{{ m.role }}: {{ m.content }}{% if not loop.last %}<|eot_id|>{% endif %}{% endfor %}",
        "<|eot_id|>",
    ),
    "refuses chats that end with an answer": (
        "{% if messages[-1].role != 'user' %}{{ raise_exception('user last') }}{% endif %}" + CHATML,
        "<|im_end|>",
    ),
    "refuses chats without a system prompt": (
        "{% if messages[0].role != 'system' %}{{ raise_exception('system first') }}{% endif %}" + CHATML,
        "<|im_end|>",
    ),
    "thinks first": (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' %}<think>\n\n</think>\n\n"
        "{{ m.content.split('</think>')[-1].lstrip() }}{% else %}{{ m.content }}{% endif %}<|im_end|>\n{% endfor %}",
        "<|im_end|>",
    ),
    "a longer token begins alike": (
        "{% for m in messages %}{{ m.role }}: {{ m.content }}<|im_end|>x{% endfor %}",
        "<|im_end|>x",
    ),
    "paragraphs": ((ROOT / "resources/chat_templates/plain.jinja").read_text(), None),
    "ends by text": (
        "{% for m in messages %}{{ '\n\nUser: ' if m.role == 'user' else '\n\nAI: ' }}{{ m.content }}{% endfor %}",
        None,
    ),
    "a token that is none of the vocabulary's": (
        "{% for m in messages %}{{ m.role }}: {{ m.content }}<|fin|>{% endfor %}",
        None,
    ),
    "says nothing of answers": ("{{ messages[0].content }}<|eot_id|>", None),
    "refuses everything": ("{{ raise_exception('no') }}", None),
}
ADDED = ["<|im_start|>", "<|im_end|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<start_of_turn>"]
ADDED += ["<end_of_turn>", "<|return|>", "<|turn_user|>", "<|turn_assistant|>", "<think>", "</think>", "\n", "\n\n"]


def small_tokenizer(template=None, added=(), special=True):
    """The test bed's tokenizer, whose `<|end|>` is listed, with another template and more tokens."""
    tokenizer = AutoTokenizer.from_pretrained(ROOT / "resources/testbed/target")
    tokenizer.add_tokens(list(added), special_tokens=special)
    if template is not None:
        tokenizer.chat_template = template
    return tokenizer


@pytest.mark.parametrize("special", [True, False])
@pytest.mark.parametrize("kind", TEMPLATES)
def test_the_end_of_an_answer_is_found(kind, special):
    template, token = TEMPLATES[kind]
    tokenizer = small_tokenizer(template, ADDED + (["<|im_end|>x"] if "alike" in kind else []), special)
    found = end_of_turn(tokenizer)
    assert (None if found is None else tokenizer.convert_ids_to_tokens(found)) == token


def test_a_tokenizer_without_a_template_has_no_end_of_a_turn():
    tokenizer = small_tokenizer()
    assert end_of_turn(tokenizer) == tokenizer.eos_token_id
    tokenizer.chat_template = None
    assert end_of_turn(tokenizer) is None


def test_a_template_is_asked_with_its_arguments():
    tokenizer = small_tokenizer("{% for m in messages %}{{ m.content }}{{ end }}{% endfor %}", ["<|im_end|>"])
    assert end_of_turn(tokenizer) is None
    assert end_of_turn(tokenizer, {"end": "<|im_end|>"}) == tokenizer.convert_tokens_to_ids("<|im_end|>")


@pytest.mark.parametrize("listed", [None, 3, [3, 1]])
def test_it_is_added_to_the_listed_tokens_whatever_form_these_have(listed):
    tokenizer, generation = small_tokenizer(CHATML, ADDED), GenerationConfig(eos_token_id=listed)
    known = {4} | set(listed if isinstance(listed, list) else [listed] if listed else [])
    assert end_tokens(tokenizer, generation) == known | {tokenizer.convert_tokens_to_ids("<|im_end|>")}
    tokenizer.eos_token = None
    assert end_tokens(tokenizer, generation) == (known - {4}) | {tokenizer.convert_tokens_to_ids("<|im_end|>")}


@pytest.mark.parametrize("listed", ["<|end|>", [4, "<|end|>"], 4.5])
def test_a_listed_end_that_is_no_number_is_refused(listed):
    with pytest.raises(InputError, match="generation_config.json has the `eos_token_id` .*number of a token"):
        end_tokens(small_tokenizer(), GenerationConfig(eos_token_id=listed))


def test_it_is_told_whether_one_had_to_be_added():
    generation = GenerationConfig(eos_token_id=4)
    assert describe_ends(small_tokenizer(), generation) == "<|end|>"
    said = describe_ends(small_tokenizer(CHATML, ADDED), generation)
    assert said.startswith("<|end|>; and <|im_end|>, which the chat template") and said.endswith(": added")
    plain = small_tokenizer(TEMPLATES["paragraphs"][0])
    assert "by no token" in describe_ends(plain, generation)
    plain.eos_token = None
    assert describe_ends(plain, GenerationConfig()).startswith("no token of the model's files; ")


def test_a_plain_added_token_that_ends_answers_is_in_no_text():
    tokenizer = small_tokenizer(CHATML, ["<|im_end|>", "<b>"], special=False)
    ids, size = tokenizer.encode("<b>7<|im_end|>", add_special_tokens=False), len(tokenizer)
    before = tokenizer.all_special_ids
    assert "<|im_end|>" in tokenizer.decode(ids, skip_special_tokens=True)
    hide_end_of_turn(tokenizer)
    assert tokenizer.encode("<b>7<|im_end|>", add_special_tokens=False) == ids and len(tokenizer) == size
    text = tokenizer.decode(ids, skip_special_tokens=True)
    assert "im_end" not in text and "<b>" in text
    assert set(tokenizer.all_special_ids) == {*before, ids[-1]} and end_of_turn(tokenizer) == ids[-1]
