"""Mining with agreement, plainly: no cache, no batch, one token at a time."""

import re

from reference import draft_choices, greedy, mine_plainly, next_token


class PlainMiner:
    """Mines one problem, and stops alternatives that have come back to the text that they left.

    `agreement` has `tokens`, `same_numbers` and `audits`.
    """

    def __init__(self, pair, task, prompt: list[int], limit: int, agreement, problem_id: str) -> None:
        self.pair, self.task, self.prompt, self.limit = pair, task, prompt, limit
        self.agreement, self.problem_id = agreement, problem_id
        self.target_tokens = self.text = greedy(pair, pair.target, prompt, [], limit)
        self.answer = task.extract_answer(pair.decode(self.text))
        self.known = len(self.text)  # tokens of the text that were swapped or said by the target; others are expected
        self.labels = []

    def mine(self) -> dict:
        """Return what `mine_plainly` does; labels end with whether they were stopped and audited.

        `again` tells that the answer had changed in the end, so that the problem was mined exactly.
        """
        border = 0
        while self.answer is not None:
            choices = draft_choices(self.pair, self.prompt, self.text)
            t = next((t for t in range(border, len(self.text)) if choices[t] != self.text[t]), None)
            before = (self.text, self.known)
            expected = self.confirm(len(self.text) if t is None else min(t + 2, len(self.text)))
            if (self.text, self.known) != before and self.known == len(self.text) and self.changes_answer(self.text):
                return self.mine_exactly()
            if expected and t is None:
                break
            if expected:
                self.swap(t, choices[t])
                border = self.limit if choices[t] in self.pair.end_tokens else t + 1
        result = {"target": self.target_tokens, "mined": self.text, "answer": self.answer}
        return result | {"labels": self.labels, "again": False}

    def changes_answer(self, text) -> bool:
        found = self.task.extract_answer(self.pair.decode(text))
        return found is None or not self.task.same_answer(found, self.answer)

    def confirm(self, needed: int) -> bool:
        """Let the target say the text up to `needed` tokens, or go on by itself where it differs; tell which."""
        while self.known < needed:
            said = next_token(self.pair.target, self.prompt + self.text[: self.known], self.pair.vocabulary)
            if said != self.text[self.known]:
                new, place = self.go_on([*self.text[: self.known], said], self.text)
                self.text, self.known = new + ([] if place is None else self.text[place:]), len(new)
                return False
            self.known += 1
        return True

    def swap(self, t: int, token: int) -> None:
        """Label a mismatch, and go on with the text that keeps the answer."""
        alternative, place = self.go_on([*self.text[:t], token], self.text)
        audited = place is not None and self.agreement.audits(self.problem_id, t)
        stopped = place is not None and not audited
        if audited:
            alternative = greedy(self.pair, self.pair.target, self.prompt, alternative, self.limit)
        found = None if stopped else self.task.extract_answer(self.pair.decode(alternative))
        important = not stopped and self.changes_answer(alternative)
        self.labels.append((t, self.text[t], token, important, found, alternative[t:], stopped, audited))
        if not important:
            self.text, self.known = alternative + (self.text[place:] if stopped else []), len(alternative)

    def go_on(self, text: list[int], source: list[int]) -> tuple[list[int], int | None]:
        """Continue a text whose last token left its source, to its end or to where it has come back, and tell where."""
        text, left = list(text), len(text) - 1
        while not self.has_ended(text):
            if (place := self.find_return(text, left, source)) is not None:
                return text, place
            text = greedy(self.pair, self.pair.target, self.prompt, text, len(text) + 1)
        return text, None

    def has_ended(self, text) -> bool:
        return len(text) >= self.limit or text[-1] in self.pair.end_tokens

    def find_return(self, text, left: int, source) -> int | None:
        """Find the place of the source where a text that left it at `left` goes on, the one nearest to its end."""
        if source[-1] not in self.pair.end_tokens:
            return None
        fits = range(max(left + 1, len(text) + len(source) - self.limit), len(source))
        found = [place for place in fits if self.agrees(text, left, source, place)]
        return min(found, key=lambda place: (abs(place - len(text)), place), default=None)

    def agrees(self, text, left: int, source, place: int) -> bool:
        """Tell whether enough of a text's last tokens are those before a place of its source."""
        longest, run = min(place, len(text)) - left - 1, 0
        while run < longest and text[-1 - run] == source[place - 1 - run]:
            run += 1
        numbers = [
            re.findall(r"\d+", self.pair.decode(part))
            for part in (text[left : -run or None], source[left : place - run])
        ]
        return run >= (self.agreement.same_numbers if numbers[0] == numbers[1] else self.agreement.tokens)

    def mine_exactly(self) -> dict:
        """Return the exact result, where it is known which alternatives were to be audited."""
        result, text = mine_plainly(self.pair, self.task, self.prompt, self.limit), self.target_tokens
        for i, (t, _, token, important, _, tail) in enumerate(result["labels"]):
            _, place = self.go_on([*text[:t], token], text)
            result["labels"][i] += (False, place is not None and self.agreement.audits(self.problem_id, t))
            text = text if important else text[:t] + tail
        return result | {"again": True}
