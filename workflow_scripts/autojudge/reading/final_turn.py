"""The model's own final turn of a response: without its thoughts, and without turns of others that it went on with."""

import re

_NAMES = "think|thinking|thoughts?|reason|reasoning|reflection|analysis|scratchpad|inner_monologue"
_THOUGHT = re.compile(  # a tag that opens a thought, or one that closes it
    rf"(?P<opens><(?:seed:|ant:)?(?:{_NAMES})(?:\s[^<>]*)?>|\[THINK\]|◁think▷|<\|(?:begin_of_thought|start_thinking|think)\|>|"
    r"<\|channel\|?>\s*(?:analysis|commentary|thought)\b)|"
    rf"</(?:seed:|ant:)?(?:{_NAMES})\s*>|\[/THINK\]|◁/think▷|<\|(?:end_of_thought|end_thinking|/think)\|>|<channel\|>|"
    r"<\|channel\|>\s*final[^<]*(?:<\|message\|>)?|assistantfinal(?![a-z])",
    re.IGNORECASE,
)
_TURN = re.compile(  # what a chat template writes round turns, or a role at a line's start
    r"<[|｜](?!end_header_id|\w*(?:solution|box))(?:im_|eo[mst]|end|return|call|start|begin|header_start|user|human|system|"
    r"assistant|bot|tool|observation|turn|role)[\w▁]*[|｜]>|</s>|<eos>|<(?:start|end)_of_turn>|<end_of_utterance>|"
    r"<\|turn>|<turn\|>|\[/?INST\]|<<SYS>>|\[\|\w+\|\]|<extra_id_\d>|"
    r"\n[ \t]*(?:#+ *|\*\*)?(?:user|human|assistant|instruction)\s*(?:\*\*)?:|\n#+ *(?:user|human|instruction)\b",
    re.IGNORECASE,
)


def final_turn(text: str) -> str:
    """Return a response's own final turn; nothing where its thoughts do not end."""
    text = _without_thoughts(text)
    ends = (found.start() for found in _TURN.finditer(text))
    return text[: next((end for end in ends if text[:end].strip()), len(text))]


def _without_thoughts(text: str) -> str:
    kept, start, thinks = [], 0, False
    for tag in _THOUGHT.finditer(text):
        if tag["opens"]:
            kept += [] if thinks else [text[start : tag.start()]]
            thinks = True
        else:
            kept = kept if thinks else []  # else the prompt opened it
            start, thinks = tag.end(), False
    return "".join(kept if thinks else [*kept, text[start:]])
