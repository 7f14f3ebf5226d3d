"""The model's own final turn of a response: without its thoughts, and without turns of others that it went on with."""

import re

_NAMES = (  # of tags round a thought, alone or as a part: <scratch_pad>, <chain-of-thought>
    "think|thinking|thoughts?|reason|reasoning|reflect|reflection|analysis|scratch|scratchpad|monologue|plan|planning|"
    "cot|draft|internal|brainstorm|brainstorming|deliberation|rationale|critique|details"
)
_NAME = rf"(?:\w+[:_-])*?(?:{_NAMES})(?:[_-]\w+)*"
THOUGHT = re.compile(  # a tag that opens a thought, or one that closes it
    rf"(?P<opens>(?:<|&lt;)\s?{_NAME}(?:\s[^<>]*?)?\s?(?:>|&gt;)|\[(?:BEGIN_)?(?:THINK|REASONING)\]|◁think▷|"
    rf"<\|(?:begin_of_|start_)?(?:{_NAMES})(?:_start)?\|>|<unused94>(?:thought)?|"
    r"<\|channel\|?>\s*(?:analysis|commentary|thought)\b)|"
    rf"(?:<|&lt;)\s?/\s?{_NAME}\s*(?:>|&gt;)|\[(?:/|END_)(?:THINK|REASONING)\]|◁/think▷|"
    rf"<\|(?:end_of_|end_|/)(?:{_NAMES})\|>|<\|(?:{_NAMES})_end\|>|<unused95>|<channel\|>|"
    r"<\|channel\|>\s*final[^<]*(?:<\|message\|>)?|assistantfinal(?![a-z])",
    re.IGNORECASE,
)
FENCED_THOUGHT = re.compile(  # ended by what elsewhere ends no thought
    rf"```(?:{_NAMES})\s*\n.*?(?:```|\Z)|^\s*thinking\.\.\.\s*\n.*?(?:done thinking\.?|\Z)", re.IGNORECASE | re.DOTALL
)
TURN = re.compile(  # what a chat template writes round turns, or a role at a line's start
    r"<[|｜](?!end_header_id|\w*(?:solution|box))(?:im_|eo[mst]|end|return|call|start|begin|header_start|user|human|system|"
    r"assistant|bot|tool|observation|turn|role)[\w▁]*[|｜]>|</s>|<eos>|<(?:start|end)_of_turn>|<end_of_utterance>|"
    r"<\|turn>|<turn\|>|\[/?INST\]|<<SYS>>|\[\|\w+\|\]|<extra_id_\d>|"
    r"(?-i:\b(?:USER|HUMAN|ASSISTANT):|(?<![\w \t-])(?:user|assistant)[ \t]*\n|(?<=\d)(?:user|assistant)\n)|"
    r"\n[ \t]*(?:#+ *|\*\*)?(?:user|human|assistant|instruction)\s*(?:\*\*)?:|\n#+ *(?:user|human|instruction)\b",
    re.IGNORECASE,
)


def final_turn(text: str) -> str:
    """Return a response's own final turn; nothing where its thoughts do not end."""
    text = _without_thoughts(FENCED_THOUGHT.sub("", text))
    ends = (found.start() for found in TURN.finditer(text))
    return text[: next((end for end in ends if text[:end].strip()), len(text))]


def _without_thoughts(text: str) -> str:
    kept, start, thinks = [], 0, False
    for tag in THOUGHT.finditer(text):
        if tag["opens"]:
            kept += [] if thinks else [text[start : tag.start()]]
            thinks = True
        else:
            kept = kept if thinks else []  # else the prompt opened it
            start, thinks = tag.end(), False
    return "".join(kept if thinks else [*kept, text[start:]])
