"""Independent, plain versions of what the library does fast: no cache, no batch, one token at a time."""

import torch


@torch.inference_mode()
def next_token(model, tokens: list[int], vocabulary: int) -> int:
    return int(model(torch.tensor([tokens]), use_cache=False).logits[0, -1, :vocabulary].argmax())


def greedy(pair, model, prompt: list[int], response: list[int], limit: int) -> list[int]:
    """Continue a response greedily to its end or the limit."""
    response = list(response)
    while len(response) < limit and not (response and response[-1] in pair.end_tokens):
        response.append(next_token(model, prompt + response, pair.vocabulary))
    return response


@torch.inference_mode()
def draft_choices(pair, prompt: list[int], response: list[int]) -> list[int]:
    """Return the draft's greedy token at every position of a response."""
    logits = pair.draft(torch.tensor([prompt + response]), use_cache=False).logits[0, :, : pair.vocabulary]
    return logits[len(prompt) - 1 : -1].argmax(-1).tolist()


def mine_plainly(pair, task, prompt: list[int], limit: int) -> tuple[list[int], list[tuple[int, int, int, bool]]]:
    """Run Algorithm 1. Return the mined response and (position, target's token, draft's token, important)."""
    response = greedy(pair, pair.target, prompt, [], limit)
    answer = task.extract_answer(pair.decode(response))
    labels, border = [], 0
    while answer is not None:
        choices = draft_choices(pair, prompt, response)
        mismatches = [t for t in range(border, len(response)) if choices[t] != response[t]]
        if not mismatches:
            break
        t = mismatches[0]
        alternative = greedy(pair, pair.target, prompt, response[:t] + [choices[t]], limit)
        found = task.extract_answer(pair.decode(alternative))
        important = found is None or not task.same_answer(found, answer)
        labels.append((t, response[t], choices[t], important))
        if not important:
            response = alternative
        border = t + 1
        if choices[t] in pair.end_tokens:
            break
    return response, labels
