"""Independent, plain versions of what the library does fast: no cache, no batch, one token at a time."""

import torch

from autojudge.engine.features import compare_distributions


def as_input(model, tokens: list[int]) -> torch.Tensor:
    """Return a text as a model reads it, (1, tokens)."""
    return torch.tensor([tokens], device=model.device)


@torch.inference_mode()
def next_token(model, tokens: list[int], vocabulary: int) -> int:
    return int(model(as_input(model, tokens), use_cache=False).logits[0, -1, :vocabulary].argmax())


def greedy(pair, model, prompt: list[int], response: list[int], limit: int) -> list[int]:
    """Continue a response greedily to its end or the limit."""
    response = list(response)
    while len(response) < limit and not (response and response[-1] in pair.end_tokens):
        response.append(next_token(model, prompt + response, pair.vocabulary))
    return response


@torch.inference_mode()
def greedy_cached(pair, model, prompt: list[int], response: list[int], limit: int) -> list[int]:
    """Do the same with a key-value cache, the text read anew each time, as the published code does."""
    if len(response) >= limit or (response and response[-1] in pair.end_tokens):
        return list(response)
    tokens = as_input(model, prompt + response)
    output = model.generate(
        tokens,
        attention_mask=torch.ones_like(tokens),
        max_new_tokens=limit - len(response),
        do_sample=False,
        eos_token_id=sorted(pair.end_tokens),
        pad_token_id=min(pair.end_tokens),
        temperature=None,
        top_p=None,
        top_k=None,
        repetition_penalty=1.0,
    )
    return output[0, len(prompt) :].tolist()


@torch.inference_mode()
def draft_choices(pair, prompt: list[int], response: list[int]) -> list[int]:
    """Return the draft's greedy token at every position of a response."""
    logits = pair.draft(as_input(pair.draft, prompt + response), use_cache=False).logits[0, :, : pair.vocabulary]
    return logits[len(prompt) - 1 : -1].argmax(-1).tolist()


@torch.inference_mode()
def speculate_plainly(
    pair, prompt: list[int], window: int, limit: int, keeps, target_first: bool = False
) -> tuple[list[int], int]:
    """Decode with the draft's windows, after a token by the target alone if it comes first; return tokens and cycles.

    `keeps(p, q, token, place)` decides where the target would say another token.
    """
    response: list[int] = greedy(pair, pair.target, prompt, [], 1) if target_first else []
    cycles = 0

    def distribution(model):
        logits = model(as_input(model, prompt + response), use_cache=False).logits[0, -1, : pair.vocabulary]
        return logits.double().softmax(-1)

    while len(response) < limit and not (response and response[-1] in pair.end_tokens):
        drafted = greedy(pair, pair.draft, prompt, response, min(limit, len(response) + window))[len(response) :]
        cycles += 1
        for token in drafted:
            p = distribution(pair.target)
            refused = int(p.argmax()) != token and not keeps(p, distribution(pair.draft), token, len(response))
            response.append(int(p.argmax()) if refused else token)
            if refused:
                break
        else:
            response = greedy(pair, pair.target, prompt, response, min(limit, len(response) + 1))
    return response, cycles


@torch.inference_mode()
def plain_states(model, tokens: list[int]) -> torch.Tensor:
    """Return the last layer's states after the final norm, (tokens, hidden), of a forward pass of its own."""
    return model.base_model(as_input(model, tokens), use_cache=False).last_hidden_state[0]


@torch.inference_mode()
def plain_features(pair, prompt: list[int], response: list[int], t: int, draft_token: int) -> dict:
    """Return blocks and scalars of a mismatch from forward passes of their own, of both models on both texts."""
    blocks, logits = {}, {}
    for name, model in (("draft", pair.draft), ("target", pair.target)):
        with_target = plain_states(model, prompt + response[: t + 1])
        blocks[f"{name}_at_draft"] = plain_states(model, prompt + response[:t] + [draft_token])[-1]
        blocks[f"{name}_at_target"], blocks[f"{name}_before"] = with_target[-1], with_target[-2]
        before = as_input(model, prompt + response[:t])
        logits[name] = model(before, use_cache=False).logits[:, -1, : pair.vocabulary].cpu()
    scalars = compare_distributions(logits["target"], logits["draft"], torch.tensor([draft_token]))
    blocks = {name: block.cpu() for name, block in blocks.items()}
    return blocks | {name: value.item() for name, value in scalars.items()}


def mine_plainly(pair, task, prompt: list[int], limit: int, continue_greedily=greedy, features=None) -> dict:
    """Run Algorithm 1 and return what `mined_result` returns of the miner's; fill a list of features if given one."""
    target_tokens = response = continue_greedily(pair, pair.target, prompt, [], limit)
    answer = task.extract_answer(pair.decode(response))
    labels, border = [], 0
    while answer is not None:
        choices = draft_choices(pair, prompt, response)
        mismatches = [t for t in range(border, len(response)) if choices[t] != response[t]]
        if not mismatches:
            break
        t = mismatches[0]
        alternative = continue_greedily(pair, pair.target, prompt, response[:t] + [choices[t]], limit)
        found = task.extract_answer(pair.decode(alternative))
        important = found is None or not task.same_answer(found, answer)
        labels.append((t, response[t], choices[t], important, found, alternative[t:]))
        if features is not None:
            features.append(plain_features(pair, prompt, response, t, choices[t]))
        if not important:
            response = alternative
        border = t + 1
        if choices[t] in pair.end_tokens:
            break
    return {"target": target_tokens, "mined": response, "answer": answer, "labels": labels}


def mined_result(mined) -> dict:
    """Return labels, tokens, answers and responses of a problem that the miner mined."""
    columns = ("position", "target_token", "draft_token", "important", "alternative_answer", "alternative_tokens")
    response = mined.response
    return {
        "target": response["target_tokens"],
        "mined": response["mined_tokens"],
        "answer": response["target_answer"],
        "labels": [tuple(label[column] for column in columns) for label in mined.labels],
    }
