"""What a task asks a model: wording, worked examples and stop strings, as data in a YAML file beside its module."""

import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from autojudge.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# The day that templates are given, whichever way they ask, so that prompts, and with them labels, are the same on every
# day; Llama 3.1's template falls back to it.
TEMPLATE_DATE = datetime(2024, 7, 26)
# What only control tokens look like: a word in angle or square brackets, or between bars (DeepSeek's are wide).
CONTROL = re.compile(r"<[^<>]*\w[^<>]*>|\[[^\[\]]*\w[^\[\]]*\]|[|\uff5c].*\w.*[|\uff5c]", re.DOTALL)
ARGUMENTS_KEY = "target.chat_template_kwargs"


@dataclass(frozen=True)
class Prompt:
    """How a task asks. The target's chat template puts it into the model's own form.

    Attributes
    ----------
    question : str
        A user's turn; `{question}` stands for the problem's text.
    system : str or None
        System prompt. None: the chat template's own, if it has any.
    stop : tuple of str
        Texts that end a response, as an end token does.
    shots : tuple of (str, str)
        Worked examples, question and answer, that may come before as turns of the same chat.
    parts : mapping of str to str
        Other wording of which the task makes a problem's text.
    """

    question: str = "{question}"
    system: str | None = None
    stop: tuple[str, ...] = ()
    shots: tuple[tuple[str, str], ...] = ()
    parts: Mapping[str, str] = field(default_factory=dict)

    @staticmethod
    def load(module: str | Path) -> "Prompt":
        """Read the YAML file beside a task's module (its `__file__`), of the attributes' names.

        Raises
        ------
        InputError
            The file is missing, or a key or a value is not what it has to be.
        """
        path = Path(module).with_suffix(".yaml")
        try:
            data = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, yaml.YAMLError) as fault:  # ValueError: no UTF-8, or no such date
            reason = " ".join(str(fault).split())
            raise InputError(f"{path}: not a readable YAML file ({reason}); a task's wording belongs there") from fault
        _check_wording(data, path)
        shots = tuple((shot["question"], shot["answer"]) for shot in data.get("shots", ()))
        return Prompt(data["question"], data["system"], tuple(data["stop"]), shots, data.get("parts", {}))

    def messages(self, question: str, shots: int = 0) -> list[dict[str, str]]:
        """Return the chat that asks a question after the first `shots` worked examples."""
        chat = [{"role": "system", "content": self.system}] if self.system is not None else []
        for example, answer in self.shots[:shots]:
            chat += [{"role": "user", "content": self._ask(example)}, {"role": "assistant", "content": answer}]
        return [*chat, {"role": "user", "content": self._ask(question)}]

    def cut(self, text: str) -> str:
        """Return a response without what follows its first stop string."""
        return text[: min((at for stop in self.stop if (at := text.find(stop)) >= 0), default=len(text))]

    def _ask(self, question: str) -> str:
        return self.question.replace("{question}", question)


def _check_wording(data: Any, path: Path) -> None:
    """Raise InputError where the contents of a wording's file are not those of a Prompt."""
    wanted: dict[str, tuple[Callable[[Any], bool], str]] = {
        "system": (lambda value: value is None or isinstance(value, str), "a text, or null for the template's own"),
        "question": (lambda value: isinstance(value, str) and "{question}" in value, "a text with {question} in it"),
        "stop": (_are_texts, "a list of texts, [] for none"),
        "shots": (_are_shots, "a list of mappings with the texts `question` and `answer`; put quotes round yes and no"),
        "parts": (_are_parts, "a mapping of names to texts"),
    }
    optional = ("shots", "parts")
    if not isinstance(data, Mapping):
        raise InputError(
            f"{path}: is not a mapping; it needs the keys {', '.join(wanted)} ({' and '.join(optional)} may be left "
            "out)"
        )
    for key in data.keys() - wanted.keys():
        raise InputError(f"{path}: unknown key `{key}`; known are {', '.join(wanted)}")
    for key, (right, what) in wanted.items():
        if key not in data and key not in optional:
            raise InputError(f"{path}: has no key `{key}`; add it: {what}")
        if key in data and not right(value := data[key]):
            wrong = next(item for item in value if not right([item])) if isinstance(value, list) else value
            raise InputError(f"{path}: `{key}` is wrong ({wrong!r:.200}); it is {what}")


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _are_shots(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(shot, Mapping) and shot.keys() == {"question", "answer"} and _are_texts(list(shot.values()))
        for shot in value
    )


def _are_parts(value: Any) -> bool:
    return isinstance(value, Mapping) and _are_texts([*value, *value.values()])


def encode_chat(
    messages: Sequence[dict[str, str]],
    tokenizer: "PreTrainedTokenizerBase",
    arguments: Mapping[str, Any] | None = None,
) -> list[int]:
    """Return the tokens of a chat up to where the model's answer begins.

    Control tokens come from the chat template alone: one that is spelled in a message is text there. They are all
    special tokens, and of the other added ones those that the template writes or that look like it (`CONTROL`).

    Parameters
    ----------
    arguments : mapping, optional
        Of the chat template, by name, such as `enable_thinking`.

    Raises
    ------
    InputError
        The tokenizer has no chat template, or one that refuses the chat.
    """
    with _controls(tokenizer):
        tokens: list[int] = apply_template(
            messages, tokenizer, arguments, add_generation_prompt=True, return_dict=False, sanitize_control_tokens=True
        )
    return tokens


@contextmanager
def _controls(tokenizer: "PreTrainedTokenizerBase") -> Iterator[None]:
    """Let the tokenizer take for control tokens, besides those that transformers knows, what looks like one."""
    own = tokenizer.chat_control_tokens
    added = [token.content for token in tokenizer.added_tokens_decoder.values()]
    known = tokenizer._get_control_tokens(_template_of(tokenizer))
    tokenizer.chat_control_tokens = [*known, *filter(CONTROL.search, added)]
    try:
        yield
    finally:
        tokenizer.chat_control_tokens = own


def apply_template(
    messages: Sequence[dict[str, str]],
    tokenizer: "PreTrainedTokenizerBase",
    arguments: Mapping[str, Any] | None,
    **options: Any,
) -> Any:
    """Return what transformers' `apply_chat_template` makes of a chat, on a fixed day. Raises like `encode_chat`."""
    from transformers.utils.chat_template_utils import _compile_jinja_template

    template = _template_of(tokenizer)
    given = {"date_string": TEMPLATE_DATE.strftime("%d %b %Y"), **(arguments or {})}
    try:
        # An argument of this name would not do: transformers makes texts of functions.
        _compile_jinja_template(template).globals["strftime_now"] = TEMPLATE_DATE.strftime
        return tokenizer.apply_chat_template(messages, chat_template=template, **given, **options)
    except Exception as fault:  # whatever a template's own code raises
        raise InputError(
            f"tokenizer of {tokenizer.name_or_path}: its chat template refuses the prompt ({fault}); name another one "
            "in the target's config key `chat_template`, or leave this row out"
        ) from fault


def check_arguments(tokenizer: "PreTrainedTokenizerBase", arguments: Mapping[str, Any] | None) -> None:
    """Raise InputError where an argument is none that the tokenizer's chat template reads, or is not the user's."""
    if not arguments:
        return
    template = _template_of(tokenizer)
    ours = inspect.signature(tokenizer.apply_chat_template).parameters.keys() - {"tools", "documents"} | {"messages"}
    for name in arguments:
        if name in ours:
            raise InputError(f"config key `{ARGUMENTS_KEY}`: `{name}` is given by the workflow; leave it out")
        if not re.search(rf"\b{re.escape(name)}\b", template):
            raise InputError(
                f"config key `{ARGUMENTS_KEY}`: the chat template of {tokenizer.name_or_path} reads no `{name}`; look "
                "up its name in the template, or leave it out"
            )


def _template_of(tokenizer: "PreTrainedTokenizerBase") -> str:
    """Return the text of a tokenizer's template for plain chats, without a byte order mark."""
    try:
        template: str = tokenizer.get_chat_template()
    except ValueError as fault:  # none, or several without a default
        raise InputError(
            f"tokenizer of {tokenizer.name_or_path}: it has no chat template; choose an instruction-tuned model, or "
            "name a template in the target's config key `chat_template` (resources/chat_templates/plain.jinja suits "
            "base models)"
        ) from fault
    return template.removeprefix("\ufeff")
