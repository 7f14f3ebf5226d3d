"""Members of registries with slips, each with what must be told of it."""

from pathlib import Path

RULE = '''"""Keep everything."""

import torch

from autojudge.judging.signals import Signals

NEEDS = {"target_logits"}


def score(signals: Signals) -> torch.Tensor:
    return signals.target_logits.amax(-1)
'''
TASK = '''"""Yes or no."""

from autojudge.reading.prompts import Prompt
from autojudge.tasks import Example

VERSION = 1
SLOW_CHECKS = False
PROMPT = Prompt.load(__file__)


def load_examples(source, counts, seed):
    yield Example("Is 2 even?", "yes", "train")


def extract_answer(text):
    return text or None


def read_answer(text):
    return None


def same_answer(a, b):
    return a == b
'''
WORDING = """system: null
question: "{question} Answer yes or no."
stop: []
shots:
  - {question: "Is 4 even?", answer: "yes"}
"""
CLASSIFIER = '''"""As many mismatches as there are."""

HYPERPARAMETER = "strength"
NEEDS = {"scalars"}


def fit(values, part, x, columns, seed):
    yield from ((value, {}) for value in values)


def logits(tensors, x):
    return x.sum(1)
'''
R, T, Y, C = "rules/mine.py", "tasks/mine.py", "tasks/mine.yaml", "judging/classifiers/mine.py"
MEMBERS = {R: RULE, T: TASK, Y: WORDING, C: CLASSIFIER}
NAMED = {  # in the config
    "rules": {"mine": {"thresholds": [1]}},
    "decoding": {"rules": ["lossless", "mine"]},
    "datasets": {"mine": {"task": "mine", "problems": {"train": 1, "validation": 1, "test": 1}}},
}
CLASSIFIER_NAMED = {"judge": {"classifiers": {"mine": {"strength": [1]}}}}
KEYS = {R: "rules.mine", T: "datasets.mine.task", Y: "datasets.mine.task", C: "judge.classifiers.mine"}

# What the slip is; the member's file; what is written there and what in its place (None: the whole file, or no file);
# what is told of it.
SLIPS = [
    ("a typo in NEEDS", R, "target_logits", "target_logit", "`NEEDS` names 'target_logit', .*known are draft_logits"),
    (
        "no NEEDS",
        R,
        'NEEDS = {"target_logits"}',
        "",
        "an acceptance rule assigns a literal set to `NEEDS`; here is none",
    ),
    (
        "a signal that NEEDS lacks",
        R,
        '{"target_logits"}',
        "set()",
        "reads target_logits of its signals, which NEEDS does",
    ),
    ("NEEDS a list", R, '{"target_logits"}', '["target_logits"]', r"`NEEDS` is \[.*, and must be a literal set;"),
    ("NEEDS an empty dict", R, '{"target_logits"}', "{}", r"`NEEDS` is {}, .*\(the empty set is set\(\)\)"),
    ("NEEDS of a number", R, '{"target_logits"}', "{1}", "`NEEDS` names 1, which nothing provides"),
    ("NEEDS of lists", R, '"target_logits"', '["target_logits"]', "`NEEDS` is no literal set"),
    ("NEEDS computed", R, '{"target_logits"}', 'set("ab")', "`NEEDS` is no literal set"),
    ("NEEDS in a block", R, "NEEDS", "if torch.cuda:\n    NEEDS", "`NEEDS` is no literal set .*outside of any block"),
    (
        "NEEDS changed later",
        R,
        "\n\n\ndef",
        '\nNEEDS |= {"labels"}\n\n\ndef',
        "`NEEDS` is no literal set assigned once",
    ),
    ("no score", R, "def score", "def scores", "an acceptance rule has a function `score`; none is defined"),
    ("score of two", R, "signals: Signals", "a, b", r"`score\(a, b\)` cannot be called with 1 argument;"),
    ("score of none", R, "signals: Signals", "", r"`score\(\)` cannot be called with 1 argument;"),
    ("score by keyword", R, "signals: Signals", "*, signals", r"`score\(\*, signals\)` cannot be called with"),
    ("score and a keyword", R, "signals: Signals", "signals, *, t", r"`score\(signals, \*, t\)` cannot be called with"),
    ("score async", R, "def score", "async def score", "`score` is `async def`"),
    ("score a class", R, "def score(signals: Signals) -> torch.Tensor", "class score", "`score` is no function"),
    ("score a number", R, RULE[RULE.index("def") :], "score = 3", "`score` is no function"),
    ("score without return", R, "return ", "", "`score` returns nothing"),
    (
        "score of a type checker",
        R,
        "def score",
        "if TYPE_CHECKING:\n  def score",
        "has a function `score`; none is def",
    ),
    ("a syntax error", R, "amax(-1)", "amax(-1", r"is not Python \(.*line 11\)\); fix it"),
    ("no text", R, None, b"\xff\xfe", "is not Python"),
    ("null bytes", R, None, b"\0", "is not Python"),
    (
        "a name that moved",
        R,
        "judging.signals",
        "rules",
        "imports `Signals` from `autojudge.rules`, which",
    ),
    (
        "a module that moved",
        R,
        "judging.signals",
        "signals",
        "imports from `autojudge.signals`, which the library does not",
    ),
    ("a folder in its place", "rules/mine/__init__.py", None, b"", "the folder .*rules/mine would be imported"),
    ("no VERSION", T, "VERSION = 1", "", "a task assigns a literal int to `VERSION`; here is none"),
    ("VERSION a text", T, "VERSION = 1", 'VERSION = "1"', "`VERSION` is '1', and must be a literal int"),
    ("VERSION a boolean", T, "VERSION = 1", "VERSION = True", "`VERSION` is True, and must be a literal int"),
    ("SLOW_CHECKS a number", T, "False", "0", "`SLOW_CHECKS` is 0, and must be a literal bool"),
    ("no same_answer", T, "def same_answer", "def equal", "a task has a function `same_answer`; none is defined"),
    (
        "read_answer of none",
        T,
        "read_answer(text)",
        "read_answer()",
        r"`read_answer\(\)` cannot be called with 1 argument;",
    ),
    ("load_examples of one", T, ", counts, seed", "", r"`load_examples\(source\)` cannot be called with 3 arguments"),
    ("no YAML", Y, None, None, "not a readable YAML file .*a task's wording belongs there"),
    ("a YAML of nothing", Y, None, b"stop: [", "not a readable YAML file"),
    ("a YAML of a list", Y, None, b"[]", "is not a mapping; it needs the keys system"),
    ("no system", Y, "system: null\n", "", "has no key `system`; add it: a text, or null"),
    ("an unknown key", Y, "stop", "stops", "unknown key `stops`; known are system"),
    ("no {question}", Y, "{question} A", "A", r"`question` is wrong .*; it is a text with \{question\} in it"),
    ("a shot's answer a boolean", Y, '"yes"', "yes", r"`shots` is wrong \(.*True\}\); .*quotes round yes and no"),
    ("a stop string a boolean", Y, "[]", "[a, no]", r"`stop` is wrong \(False\); it is a list of texts"),
    (
        "a YAML that is not read",
        T,
        "PROMPT",
        "PROMPTS",
        "does not read the file mine.yaml beside it; set `PROMPT",
    ),
]
CLASSIFIER_SLIPS = [
    ("no HYPERPARAMETER", C, "HYPER", "", "a classifier assigns a literal str to `HYPERPARAMETER`; here is none"),
    ("no logits", C, "logits", "logit", "a classifier has a function `logits`; none is defined"),
    ("a typo in NEEDS", C, "scalars", "scalar", "`?NEEDS`? names 'scalar', .*known are scalars"),
    ("fit of three", C, ", columns, seed", "", r"`fit\(values, part, x\)` cannot be called with 5 arguments"),
    ("no module", C, None, None, "classifier `mine` is unknown: .* has no such module"),
]


def plant(library: Path, slip: tuple = (), members: tuple[str, ...] = (R, T, Y)) -> str:
    """Write members into a library, one with a slip; return what has to be told, as a regular expression."""
    contents = {file: MEMBERS[file].encode() for file in members}
    _, file, wrong, instead, told = slip or ("", "", None, None, "")
    if wrong is not None:
        assert wrong.encode() in contents[file]
        contents[file] = contents[file].replace(wrong.encode(), instead.encode(), 1)
    elif slip:
        contents[file] = instead
    for name, content in contents.items():
        if content is not None:
            (library / name).parent.mkdir(exist_ok=True)
            (library / name).write_bytes(content)
    member = R if file.endswith("__init__.py") else file
    named = "" if told.startswith("classifier `mine` is unknown") else rf"\S*{member}: "
    return rf"config key `{KEYS.get(member)}`: {named}.*{told}"


def merged(config: dict, change: dict) -> dict:
    """Return a config with another over it, as snakemake merges them."""
    inner = {k: merged(config.get(k, {}), v) if isinstance(v, dict) else v for k, v in change.items()}
    return config | inner
