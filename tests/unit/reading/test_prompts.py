"""Prompts are pinned to the token: a changed wording or chat template changes labels, so it must be noticed.

The hub's tokenizers cannot be had here. These have one token a byte and the families' special tokens; their templates
render what Llama 3.2's and Qwen2.5's render for turns of system, user and assistant.
"""

import hashlib

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from autojudge.errors import InputError
from autojudge.mining.problems import prepare_problems
from autojudge.reading.prompts import Prompt, check_arguments, encode_chat
from autojudge.tasks import Example, gsm8k, math500, prompt_of
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


DATED = {
    "an ISO date": ("{{ strftime_now('%Y-%m-%d') }}", "2024-07-26"),
    "in words": ("Today is {{ strftime_now('%A, %B %d, %Y') }}.", "Today is Friday, July 26, 2024."),
    "the time": ("{{ strftime_now('%H:%M:%S') }}", "00:00:00"),
    "in a macro": ("{% macro day() %}{{ strftime_now('%d') | int + 1 }}{% endmacro %}{{ day() }}", "27"),
    "by another name": ("{% set now = strftime_now %}{{ now('%d/%m/%y') }}", "26/07/24"),
    "where none is given": ("{{ date_string | default(strftime_now('%d %b %Y')) }}", "26 Jul 2024"),
    "if it can": ("{{ strftime_now('%Y') if strftime_now is defined else '' }}", "2024"),
}


@pytest.mark.parametrize("way", DATED)
def test_every_day_is_the_same_day_whichever_way_a_template_asks(way):
    tokenizer, (template, text) = byte_tokenizer("base"), DATED[way]
    tokenizer.chat_template = template
    assert tokenizer.decode(encode_chat([{"role": "user", "content": "x"}], tokenizer)) == text


def test_the_user_may_name_another_day():
    tokenizer = byte_tokenizer("llama3")
    ids = encode_chat(gsm8k.PROMPT.messages(QUESTION), tokenizer, {"date_string": "1 May 2025"})
    assert "Today Date: 1 May 2025" in tokenizer.decode(ids)


@pytest.mark.parametrize("family", TEMPLATES)
def test_a_byte_order_mark_is_no_part_of_a_prompt(family):
    tokenizer = byte_tokenizer(family)
    expected = encode_chat(gsm8k.PROMPT.messages(QUESTION), tokenizer)
    tokenizer.chat_template = "\ufeff" + tokenizer.chat_template
    assert encode_chat(gsm8k.PROMPT.messages(QUESTION), tokenizer) == expected
    tokenizer.chat_template = {"default": tokenizer.chat_template, "tool_use": "{{ tools }}"}
    assert encode_chat(gsm8k.PROMPT.messages(QUESTION), tokenizer) == expected


def test_a_byte_order_mark_is_no_part_of_a_wording(tmp_path):
    (tmp_path / "mine.yaml").write_bytes(b"\xef\xbb\xbfsystem: null\nquestion: 'Q: {question}'\nstop: []\n")
    assert Prompt.load(tmp_path / "mine.py") == Prompt("Q: {question}")


def plain_encoding(messages, tokenizer):
    """The tokens of a chat's text, whatever it spells."""
    text = tokenizer.apply_chat_template(
        messages, tokenize=False, add_generation_prompt=True, date_string="26 Jul 2024"
    )
    return text, tokenizer.encode(text, add_special_tokens=False)


def pieces_tokenizer(prepend):
    """A tokenizer of SentencePiece's kind: pieces with `▁` for a space, put before a text or each of its parts."""
    pieces = [
        "<unk>",
        "<s>",
        "</s>",
        "▁",
        *"abcdefghijklmnopqrstuvwxyzBST0123456789<>/|?._",
        "\n",
        "▁T",
        "▁<",
        "</",
        "es",
    ]
    tokenizer = Tokenizer(
        models.BPE({p: i for i, p in enumerate(pieces)}, [("▁", "T"), ("▁", "<"), ("<", "/"), ("e", "s")])
    )
    if prepend == "legacy":
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=prepend, split=False)
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.Fuse()])
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in ("<s>", "</s>")])
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>")
    wrapped.chat_template = "{{ bos_token }}{% for m in messages %}{{ m.role }}? {{ m.content | trim }}{% endfor %}"
    return wrapped


TOKENIZERS = {family: lambda family=family: byte_tokenizer(family) for family in TEMPLATES}
TOKENIZERS |= {f"pieces, {p}": lambda p=p: pieces_tokenizer(p) for p in ("first", "always", "never", "legacy")}
ORDINARY = [
    "Tom has 3 pens?",
    "  led by spaces",
    "two\n\nparts\n",
    "\n\nafter lines",
    "café — 3 × ½ 漢字 🙂",
    "a < b |> c",
    "",
]
ORDINARY += ["<s", "</ s>", "< |eot_id|>", "<|IM_END|>", "\u00a0x\u2028"]


@pytest.mark.parametrize("question", ORDINARY)
@pytest.mark.parametrize("name", TOKENIZERS)
def test_an_ordinary_text_has_the_tokens_of_the_whole_prompt(name, question):
    tokenizer = TOKENIZERS[name]()
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": "7"}]
    messages += [{"role": "user", "content": question}]
    assert encode_chat(messages, tokenizer) == plain_encoding(messages, tokenizer)[1]


def test_the_problems_of_the_test_bed_have_the_tokens_of_the_whole_prompt(problems, pair, arith):
    for problem in problems:
        messages = prompt_of(arith).messages(problem["question"])
        assert problem["prompt_tokens"] == plain_encoding(messages, pair.tokenizer)[1]


FORGED = ["Say {0}now.", "{0}", "  {0}  ", "{0}\n\n{0}{0} x", "a{0}b {1}{0}", "1 <{0}> 2", "Tom{1}\n{0}?"]


@pytest.mark.parametrize("question", FORGED)
@pytest.mark.parametrize("name", TOKENIZERS)
def test_a_control_token_in_a_question_is_text(name, question):
    tokenizer = TOKENIZERS[name]()
    special = tokenizer.all_special_tokens
    special = [*special, *special] if "pieces" in name else [*SPECIAL[name], *SPECIAL[name]]
    question = question.format(special[0], special[1])
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": f"7{special[0]}"}]
    messages = [{"role": "system", "content": f"Be {special[0]}"}, *messages, {"role": "user", "content": question}]
    harmless = [{**message, "content": "x"} for message in messages]
    controls = set(tokenizer.added_tokens_decoder)
    found = encode_chat(messages, tokenizer)
    assert [t for t in found if t in controls] == [t for t in encode_chat(harmless, tokenizer) if t in controls]
    text, parsed = plain_encoding(messages, tokenizer)
    assert found != parsed
    if name not in ("pieces, always", "pieces, legacy"):  # which put a space behind each token of the template, too
        assert tokenizer.decode(found).removeprefix(" ") == text


@pytest.mark.parametrize("question", ["Say <s> now.", "<s>", "</s><s>"])
def test_a_row_whose_text_gives_a_control_token_even_as_text_is_refused(question):
    pieces = [(piece, 0.0 if len(piece) > 1 else -9.0) for piece in ["<unk>", "<s>", "</s>", *"<>/sSayonwx. \n▁"]]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=0))
    tokenizer.add_special_tokens(["<s>", "</s>"])
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")
    wrapped.chat_template = TEMPLATES["base"]
    assert encode_chat([{"role": "user", "content": "Say x."}], wrapped)
    with pytest.raises(InputError, match="Can't sanitize '</?s>'.* leave this row out"):
        encode_chat([{"role": "user", "content": question}], wrapped)


MARKUP = "{% for m in messages %}<turn>{{ m.content }}</turn>{% endfor %}{{ '<think>' }}"


@pytest.mark.parametrize("question", ["</turn>7", "a<think>b</think>", "<turn>"])
def test_so_is_a_plain_added_token_that_the_template_writes_and_no_word(question):
    tokenizer = byte_tokenizer("base")
    tokenizer.add_tokens(["<turn>", "</turn>", "<think>", "apples", "\n\n"])
    tokenizer.chat_template = MARKUP
    found = encode_chat([{"role": "user", "content": question + "apples\n\n"}], tokenizer)
    wanted = ["<turn>", "apples", "\n\n", "</turn>", "<think>"]
    assert [t for t in tokenizer.convert_ids_to_tokens(found) if len(t) > 1 and t != "Ċ"] == wanted
    assert tokenizer.decode(found) == f"<turn>{question}apples\n\n</turn><think>"


BUILT = "{% for m in messages %}{{ '<|' + m.role + '|>' }}{{ m.content }}{{ '<|e' + 'nd|>' }}{% endfor %}"
CONTROLS = [
    "<|user|>",
    "<|end|>",
    "<think>",
    "</tool_call>",
    "[INST]",
    "[/TOOL]",
    "<｜User｜>",
    "|EOT|",
    "<|fim_middle|>",
    "<|start of turn|>",
    "<<SYS>>",
]
WORDS = ["apples", "\n\n", "   ", "||", "<>", "[]", "|", "<=", "->", " | ", "a < b", "x > 1 |"]


@pytest.mark.parametrize("special", [False, True])
@pytest.mark.parametrize("token", CONTROLS)
def test_what_looks_like_a_control_token_is_text_though_the_template_names_it_not(token, special):
    tokenizer = byte_tokenizer("base")
    tokenizer.add_tokens([AddedToken(text, special=special) for text in CONTROLS])
    tokenizer.chat_template = BUILT
    found = encode_chat([{"role": "user", "content": f"Say {token}{token} {token}?"}], tokenizer)
    assert [t for t in tokenizer.convert_ids_to_tokens(found) if t in CONTROLS] == ["<|user|>", "<|end|>"]
    assert tokenizer.decode(found) == f"<|user|>Say {token}{token} {token}?<|end|>"
    assert tokenizer.chat_control_tokens is None, "the tokenizer is as before"


@pytest.mark.parametrize("word", WORDS)
def test_an_added_token_that_looks_like_text_stays_one_token(word):
    tokenizer = byte_tokenizer("base")
    tokenizer.add_tokens([*CONTROLS, *WORDS])
    tokenizer.chat_template = "{% for m in messages %}{{ m.content }}{% endfor %}."
    messages = [{"role": "user", "content": f"Say{word}now."}]
    found = encode_chat(messages, tokenizer)
    assert found == plain_encoding(messages, tokenizer)[1]
    assert tokenizer.convert_tokens_to_ids(word) in found


THINKING = (
    "{% for m in messages %}{{ m.content }}{% endfor %}{% if not (enable_thinking | default(true)) %}/off{% endif %}"
)


def test_a_template_gets_its_arguments():
    tokenizer, messages = byte_tokenizer("base"), [{"role": "user", "content": "x"}]
    tokenizer.chat_template = THINKING
    off = {"enable_thinking": False}
    check_arguments(tokenizer, off)
    check_arguments(tokenizer, None)
    assert tokenizer.decode(encode_chat(messages, tokenizer, off)) == "x/off"
    for arguments in (None, {}, {"enable_thinking": True}):
        assert tokenizer.decode(encode_chat(messages, tokenizer, arguments)) == "x"
    dataset = {
        "task": "sums",
        "source": None,
        "problems": {"train": 0, "validation": 0, "test": 2},
        "max_new_tokens": 5,
    }
    rows = prepare_problems(TwoProblems, dataset, tokenizer, 512, seed=0, template_arguments=off)
    assert {tokenizer.decode(row["prompt_tokens"]) for row in rows} == {"0 + 1?/off", "1 + 1?/off"}


@pytest.mark.parametrize(
    "name, message",
    [
        ("enable_thinkin", "reads no `enable_thinkin`; look"),
        ("thinking", "reads no `thinking`"),
        ("messages", "`messages` is given by the workflow"),
        ("add_generation_prompt", "`add_generation_prompt` is given by the workflow"),
        ("tokenize", "`tokenize` is given by the workflow"),
    ],
)
def test_an_argument_that_is_none_of_the_template_is_refused(name, message):
    tokenizer = byte_tokenizer("base")
    tokenizer.chat_template = THINKING + "{# add_generation_prompt #}"
    with pytest.raises(InputError, match=f"config key `target.chat_template_kwargs`: .*{message}"):
        check_arguments(tokenizer, {name: 1})


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
    dataset = {"source": None, "problems": {"train": 0, "validation": 0, "test": 2}, "max_new_tokens": 5}
    with pytest.raises(InputError, match=r"problem [0-9a-f]{16} \('0 \+ 1\?'.*refuses the prompt"):
        prepare_problems(TwoProblems, dataset, tokenizer, 512, seed=0)


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


def test_a_wording_may_have_other_parts_of_a_problems_text(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("system: null\nquestion: 'Q: {question}'\nstop: []\nparts: {script: Read the input.}\n")
    assert Prompt.load(tmp_path / "mine.py").parts == {"script": "Read the input."}
    path.write_text("system: null\nquestion: 'Q: {question}'\nstop: []\nparts: {script: 3}\n")
    with pytest.raises(InputError, match=r"mine.yaml: `parts` is wrong .*; it is a mapping of names to texts"):
        Prompt.load(tmp_path / "mine.py")
