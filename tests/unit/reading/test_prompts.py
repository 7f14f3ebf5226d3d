"""Prompts are pinned to the token: a changed wording or chat template changes labels, so it must be noticed.

The hub's tokenizers cannot be had here. These have one token a byte and the families' special tokens; their templates
render what Llama 3.2's and Qwen2.5's render for turns of system, user and assistant.
"""

import hashlib

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from autojudge.errors import InputError
from autojudge.mining.problems import prepare_problems
from autojudge.reading.prompts import Prompt, encode_chat
from autojudge.tasks import Example, gsm8k, math500
from conftest import ROOT

LLAMA3 = """{{- bos_token }}
{%- if not date_string is defined %}{%- set date_string = strftime_now("%d %b %Y") %}{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}{%- set messages = messages[1:] %}
{%- else %}{%- set system_message = "" %}{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{{- "Cutting Knowledge Date: December 2023\\n" }}
{{- "Today Date: " + date_string + "\\n\\n" }}
{{- system_message }}{{- "<|eot_id|>" }}
{%- for message in messages %}
    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' }}
    {{- message['content'] | trim + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{%- endif %}"""
QWEN25 = """{%- if messages[0]['role'] == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}
{%- else %}
    {{- '<|im_start|>system\\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if message.role != 'system' %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"""
SPECIAL = {
    "llama3": ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"],
    "qwen2.5": ["<|im_start|>", "<|im_end|>"],
    "base": ["<s>"],
}
TEMPLATES = {"llama3": LLAMA3, "qwen2.5": QWEN25, "base": (ROOT / "resources/chat_templates/plain.jinja").read_text()}
QUESTION = "Tom has 2 pens and buys 3 more. How many pens has he?"
ASKED = (
    "Given the following problem, reason and give a final answer to the problem.\nProblem: " + QUESTION + "\nYour "
    'response should end with "The final answer is [answer]" where [answer] is the response to the problem.'
)


def byte_tokenizer(family: str) -> PreTrainedTokenizerFast:
    """A tokenizer with a token a byte and a family's special tokens after them."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({letter: i for i, letter in enumerate(letters)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL[family]])
    first = SPECIAL[family][0] if family != "qwen2.5" else None
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=first)
    wrapped.chat_template = TEMPLATES[family]
    return wrapped


def spell(tokenizer, *pieces):
    """Return the ids of texts and special tokens in turn."""
    return [i for piece in pieces for i in tokenizer.encode(piece, add_special_tokens=False)]


def expected(family, tokenizer):
    if family == "llama3":
        head = ("<|start_header_id|>", "system", "<|end_header_id|>", "\n\nCutting Knowledge Date: December 2023\n")
        user = ("<|start_header_id|>", "user", "<|end_header_id|>", "\n\n", ASKED, "<|eot_id|>")
        end = ("<|start_header_id|>", "assistant", "<|end_header_id|>", "\n\n")
        return spell(tokenizer, "<|begin_of_text|>", *head, "Today Date: 26 Jul 2024\n\n", "<|eot_id|>", *user, *end)
    if family == "qwen2.5":
        system = "system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant."
        user = ("<|im_start|>", "user\n", ASKED, "<|im_end|>", "\n", "<|im_start|>", "assistant\n")
        return spell(tokenizer, "<|im_start|>", system, "<|im_end|>", "\n", *user)
    return spell(tokenizer, "<s>", ASKED, "\n\n")


GOLDEN = {  # length and hash of the ids of the 0-shot and the 8-shot prompt of GSM8K, and of MATH's
    "llama3": ((343, "dd0629777d05"), (4180, "5a3975529829"), (738, "ff714a6e9836")),
    "qwen2.5": ((343, "dcaf266159b3"), (4164, "5fff8f67514a"), (738, "6f1fd535b9cb")),
    "base": ((249, "1288d266f85e"), (3934, "a3467d56ed74"), (644, "fafacdf31701")),
}


def digest(ids):
    return len(ids), hashlib.sha256(str(ids).encode()).hexdigest()[:12]


@pytest.mark.parametrize("family", GOLDEN)
def test_the_prompt_of_a_family_is_pinned_to_the_token(family):
    tokenizer = byte_tokenizer(family)
    zero_shot = encode_chat(gsm8k.PROMPT.messages(QUESTION), tokenizer)
    assert zero_shot == expected(family, tokenizer)
    eight_shot = encode_chat(gsm8k.PROMPT.messages(QUESTION, 8), tokenizer)
    math = encode_chat(math500.PROMPT.messages(QUESTION), tokenizer)
    assert (digest(zero_shot), digest(eight_shot), digest(math)) == GOLDEN[family]


def test_worked_examples_are_turns_of_a_chat():
    messages = gsm8k.PROMPT.messages(QUESTION, 8)
    assert [m["role"] for m in messages] == ["user", "assistant"] * 8 + ["user"]
    assert messages[1]["content"].endswith("The final answer is 6") and messages[15]["content"].endswith("answer is 8")
    assert messages[-1]["content"] == ASKED
    for example, answer in gsm8k.PROMPT.shots:
        assert gsm8k.extract_answer(answer), example


def test_a_system_prompt_comes_first_and_a_stop_string_cuts():
    prompt = Prompt("Q: {question}", system="Be brief.", stop=("\nQ:", "END"))
    assert prompt.messages("x")[0] == {"role": "system", "content": "Be brief."}
    assert prompt.messages("{question}")[1]["content"] == "Q: {question}"
    assert prompt.cut("one END two\nQ: three") == "one "
    assert prompt.cut("one") == "one"


def test_the_day_of_the_run_is_not_in_the_prompt():
    ids = encode_chat(gsm8k.PROMPT.messages(QUESTION), tokenizer := byte_tokenizer("llama3"))
    assert "Today Date: 26 Jul 2024" in tokenizer.decode(ids)


def test_a_base_model_without_a_template_is_refused_with_the_remedy():
    tokenizer = byte_tokenizer("base")
    tokenizer.chat_template = None
    with pytest.raises(
        InputError, match=r"has no chat template; .*`chat_template` \(resources/chat_templates/plain.jinja"
    ):
        encode_chat(gsm8k.PROMPT.messages(QUESTION), tokenizer)


def test_a_template_that_refuses_a_chat_is_named():
    tokenizer = byte_tokenizer("base")
    tokenizer.chat_template = "{{ raise_exception('no system prompts') }}"
    with pytest.raises(InputError, match="chat template refuses the prompt .*no system prompts"):
        encode_chat(gsm8k.PROMPT.messages(QUESTION), tokenizer)


class TwoProblems:
    PROMPT = Prompt(shots=(("1 + 1?", "2"),))

    @staticmethod
    def load_examples(source, counts, seed):
        yield from (Example(f"{i} + 1?", "1", "test") for i in range(2))


def test_more_worked_examples_than_a_task_has_are_refused():
    dataset = {
        "task": "sums",
        "source": None,
        "problems": {"train": 0, "validation": 0, "test": 2},
        "max_new_tokens": 5,
    }
    rows = prepare_problems(TwoProblems, dataset | {"shots": 1}, byte_tokenizer("qwen2.5"), 512, seed=0)
    assert "1 + 1?" in byte_tokenizer("qwen2.5").decode(rows[0]["prompt_tokens"])
    with pytest.raises(InputError, match=r"`datasets.\*.shots`: 2 asked for, but task `sums` has 1 worked examples"):
        prepare_problems(TwoProblems, dataset | {"shots": 2}, byte_tokenizer("qwen2.5"), 512, seed=0)
