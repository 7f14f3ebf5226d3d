"""A toy pair of models, cheap enough for hundreds of problems: the next token follows from a rule over all before it.

A response goes through the places of a script, each in one of four wordings; token 4 x place + wording. Some wordings
skip a place or go back two, once or twice; some are remembered, and change what is said later. The draft words some
places otherwise. The answer is the wording of the last place.
"""

from types import SimpleNamespace

import numpy as np
import torch

PLACES = 60
END = 4 * PLACES
VOCABULARY = END + 1
PROMPTS = 10**6  # a prompt is one token from here on


def choices(tokens, careless: bool, remembered: int) -> list[int]:
    """Return the greedy token after each of a text's; one place of so many is remembered."""
    said, place, memory, backs = [], -1, 0, 0
    for token in tokens:
        if token >= PROMPTS:
            seed, step = token, 1
        else:
            (place, wording), step = divmod(token, 4), 1
            if wording == 3:
                step = 2
            elif wording == 2 and place % 13 == 5 and backs < 1 + (seed % 4 == 0):
                backs, step = backs + 1, -2
            memory += wording * (place % remembered == 4)
        after = place + step
        wording = hash((seed, after)) % 3 + (memory if after % 19 == 2 else 0)
        if careless and hash((seed, after, token)) % 4 == 0:
            wording += 1
        said.append(END if after >= PLACES or token == END else 4 * after + wording % (4 if careless else 3))
    return said


def decode(tokens) -> str:
    """Return a response's text: numbers at every fifth place, letters elsewhere."""
    words = []
    for token in tokens:
        place, wording = divmod(token, 4)
        word = f"{wording}" if place % 5 == 0 else "abcd"[wording]
        words.append("." if token == END else f"={word}" if place == PLACES - 1 else word)
    return " ".join(words)


class Task:
    """Reads the toy's answers."""

    @staticmethod
    def extract_answer(text):
        return text.split("=")[1][0] if "=" in text else None

    same_answer = staticmethod(str.__eq__)


class Model:
    """One of the two models, as plain code calls it, without a cache."""

    device, dtype = torch.device("cpu"), torch.float32

    def __init__(self, careless: bool, remembered: int) -> None:
        self.careless, self.remembered = careless, remembered

    def choices(self, tokens):
        return choices(tokens, self.careless, self.remembered)

    def num_parameters(self, exclude_embeddings):
        return 10**6

    def __call__(self, tokens, use_cache):
        said = torch.tensor(self.choices(tokens[0].tolist()))
        return SimpleNamespace(logits=torch.nn.functional.one_hot(said, VOCABULARY)[None].float())


class Cache:
    """In place of CachedModel: a slot keeps all of the text that it ends; a pass checks that its slots are one text."""

    def __init__(self, model, rows, capacity, vocabulary, pass_tokens, margins):
        self.model, self.texts, self.said, self.capacity = model, [{} for _ in range(rows)], {}, capacity

    def forward(self, requests, keep_logits=False):
        slots = []
        for request in requests:
            texts = self.texts[request.row]
            text = texts[int(request.context[-1])] if len(request.context) else ()
            assert [texts[int(slot)] for slot in request.context] == [text[: i + 1] for i in range(len(text))]
            free = [slot for slot in range(self.capacity) if slot not in texts][: len(request.tokens)]
            said = self.model.choices([*text, *request.tokens])[len(text) :]
            for slot, token, after in zip(free, request.tokens, said, strict=True):
                text = texts[slot] = (*text, token)
                self.said[request.row, slot] = after
            slots.append(np.array(free, dtype=np.int64))
        return SimpleNamespace(slots=slots, logits=[])

    def choices(self, row, slots):
        return [self.said[row, int(slot)] for slot in slots]

    def least_margin(self, row, slots):
        return min([1.0 + hash(self.texts[row][int(slot)]) % 97 for slot in slots], default=float("inf"))

    def hidden(self, rows, slots):
        states = [hash(self.texts[row][int(slot)]) % 1009 for row, slot in zip(rows, slots, strict=True)]
        return torch.tensor(states, dtype=torch.float32)[:, None]

    def head(self, hidden):
        return hidden * torch.linspace(-1, 1, VOCABULARY)

    def release(self, row, slots):
        for slot in slots:
            del self.texts[row][int(slot)]

    def clear(self, row):
        self.texts[row].clear()


def make_pair(remembered=9):
    """Return the toy pair; the fewer places it remembers, the fewer alternatives are stopped wrongly."""
    return SimpleNamespace(
        draft=Model(True, remembered),
        target=Model(False, remembered),
        end_tokens=frozenset({END}),
        vocabulary=VOCABULARY,
        decode=decode,
        check_tokens=lambda tokens: None,
    )


def make_problems(count):
    """Return rows of problems, as far as the miner reads them."""
    names = range(PROMPTS, PROMPTS + count)
    return [{"problem_id": str(n), "prompt_tokens": [n], "split": "train", "gold": "1"} for n in names]
