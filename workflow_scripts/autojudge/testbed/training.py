"""Train the embedded pair from nothing: a word-and-digit tokenizer and two Llama models."""

import copy
import random
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from statistics import fmean
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from torch.optim.lr_scheduler import LambdaLR
from tqdm import tqdm
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from autojudge.testbed.problems import Problem, generate_problems, load_texts
from autojudge.testbed.writing import Writer, write_solution

SPECIAL_TOKENS = ["<|pad|>", "<|unk|>", "<|user|>", "<|assistant|>", "<|end|>"]
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ '<|end|>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
CONTEXT = 512  # tokens
ROUND = 32  # lengths are padded to multiples of it
IGNORED = -100  # label of a position without loss


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Build a tokenizer of words, single digits and signs, each with or without a leading space."""
    pieces = Regex(r" ?[A-Za-z]+| ?[0-9]| ?[^\sA-Za-z0-9]|\s")
    tokenizer = Tokenizer(models.WordLevel({t: i for i, t in enumerate(_vocabulary(pieces))}, unk_token="<|unk|>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(pieces, "isolated")
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<|pad|>",
        unk_token="<|unk|>",
        eos_token="<|end|>",
        additional_special_tokens=["<|user|>", "<|assistant|>"],
        chat_template=CHAT_TEMPLATE,
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
    )


def _vocabulary(pieces: Regex) -> list[str]:
    texts = load_texts()
    texts = texts | {
        "people": [*texts["people"].values(), "He", "She"],
        "end": "The final answer is so it is 0123456789",
    }
    splitter = pre_tokenizers.Split(pieces, "isolated")
    found = (w.strip() for text in _strings(texts) for w, _ in splitter.pre_tokenize_str(re.sub("{.*?}", " ", text)))
    words = {word for word in found if word}
    return SPECIAL_TOKENS + sorted({form for w in words for form in (w, f" {w}")} | {" ", "\n"})


def _strings(texts: Any) -> Iterator[str]:
    """Yield all strings in nested lists and mappings."""
    if isinstance(texts, str):
        yield texts
    elif isinstance(texts, dict | list):
        for part in texts.values() if isinstance(texts, dict) else texts:
            yield from _strings(part)


def build_model(tokenizer: PreTrainedTokenizerFast, sizes: dict[str, int], seed: int) -> LlamaForCausalLM:
    """Build an untrained Llama; `sizes` are fields of `transformers.LlamaConfig`."""
    torch.manual_seed(seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            max_position_embeddings=CONTEXT,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            **sizes,
        )
    )


def _encode(
    problem: Problem, writer: Writer, rng: random.Random, tokenizer: PreTrainedTokenizerFast
) -> tuple[list[int], list[int]]:
    """Return the tokens of prompt and solution, and their labels."""
    prompt, solution = f"<|user|>{problem.question}<|assistant|>", write_solution(problem, writer, rng)
    encoded = tokenizer(prompt + solution.text + "<|end|>", add_special_tokens=False, return_offsets_mapping=True)
    ids, places = encoded["input_ids"], [start - len(prompt) for start, _ in encoded["offset_mapping"]]
    return ids, [i if p >= 0 and p not in solution.untaught else IGNORED for i, p in zip(ids, places, strict=True)]


def _batches(
    tokenizer: PreTrainedTokenizerFast, writer: Writer, seed: int, batch: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield tokens and labels (batch, length), each batch of similar lengths."""
    problems, rng = generate_problems(seed, experiment=False), random.Random(seed)
    while True:
        rows = [_encode(p, writer, rng, tokenizer) for p in islice(problems, 16 * batch)]
        rows.sort(key=lambda row: len(row[0]))
        groups = [rows[i : i + batch] for i in range(0, len(rows), batch)]
        rng.shuffle(groups)
        for group in groups:
            longest = max(len(ids) for ids, _ in group)
            tokens = torch.full((batch, longest + -longest % ROUND), int(tokenizer.pad_token_id))
            labels = torch.full_like(tokens, IGNORED)
            for row, (ids, wanted) in enumerate(group):
                tokens[row, : len(ids)], labels[row, : len(ids)] = torch.tensor(ids), torch.tensor(wanted)
            yield tokens, labels


def deepen(model: LlamaForCausalLM, layers: int) -> LlamaForCausalLM:
    """Return a deeper model that computes the same: each layer is followed by copies of it that add nothing yet."""
    config = copy.deepcopy(model.config)
    repeats = layers // config.num_hidden_layers
    config.num_hidden_layers = layers
    deep = LlamaForCausalLM(config)
    deep.load_state_dict(model.state_dict(), strict=False)
    for i, layer in enumerate(deep.model.layers):
        layer.load_state_dict(model.model.layers[i // repeats].state_dict())
        if i % repeats:
            torch.nn.init.zeros_(layer.self_attn.o_proj.weight)
            torch.nn.init.zeros_(layer.mlp.down_proj.weight)
    return deep


def train_from_nothing(
    tokenizer: PreTrainedTokenizerFast,
    *,
    sizes: dict[str, int],
    writer: Mapping[str, Any],
    start: Mapping[str, int] | None = None,
    seed: int,
    **training: Any,
) -> LlamaForCausalLM:
    """Train a model on texts of its writer: with `start`, a shallower one first, which then gets the other layers."""
    teacher = Writer(**writer)
    if start is None:
        model = build_model(tokenizer, sizes, seed)
    else:
        model = build_model(tokenizer, sizes | {"num_hidden_layers": start["layers"]}, seed)
        train_model(model, tokenizer, teacher, seed=seed, **training | {"steps": start["steps"]})
        model, seed = deepen(model, sizes["num_hidden_layers"]), seed + 1
    train_model(model, tokenizer, teacher, seed=seed, **training)
    return model


def train_model(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    writer: Writer,
    *,
    steps: int,
    batch: int,
    learning_rate: float,
    seed: int,
) -> None:
    """Train in place: short warm-up, then a linear decay to nothing; loss on the solution only.

    Layers' matrices are trained with Muon (Jordan et al., https://kellerjordan.github.io/posts/muon/), which takes a
    fraction of AdamW's steps here; embeddings and norms with AdamW.

    Parameters
    ----------
    steps : int
        Number of optimizer steps.
    batch : int
        Problems a step.
    learning_rate : float
        Muon's peak; AdamW has a fifth of it.
    """
    optimizers = _build_optimizers(model, learning_rate)
    warmup = max(1, min(50, steps // 10))
    schedules = [LambdaLR(o, lambda s: min((s + 1) / warmup, 1) * (1 - s / steps)) for o in optimizers]
    model.train()
    batches = islice(_batches(tokenizer, writer, seed, batch), steps)
    losses: list[float] = []
    with tqdm(batches, total=steps, unit="step", mininterval=5) as progress:
        for tokens, labels in progress:
            with torch.autocast("cpu", torch.bfloat16):  # padding comes last: causal attention needs no mask for it
                wanted = labels[:, 1:] != IGNORED
                states = model.model(input_ids=tokens, use_cache=False).last_hidden_state
                logits = model.lm_head(states[:, :-1][wanted])
            loss = torch.nn.functional.cross_entropy(logits.float(), labels[:, 1:][wanted])
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            for optimizer, schedule in zip(optimizers, schedules, strict=True):
                optimizer.step()
                optimizer.zero_grad()
                schedule.step()
            losses.append(loss.item())
            progress.set_postfix(loss=f"{fmean(losses[-50:]):.4f}", refresh=False)
    model.eval()


def _build_optimizers(model: LlamaForCausalLM, learning_rate: float) -> list[torch.optim.Optimizer]:
    matrices = [p for p in model.model.layers.parameters() if p.ndim == 2]
    layered = {id(p) for p in matrices}
    others = [p for p in model.parameters() if id(p) not in layered]
    return [
        torch.optim.Muon(matrices, lr=learning_rate, weight_decay=0.01),
        torch.optim.AdamW(others, lr=learning_rate / 5, betas=(0.9, 0.98), weight_decay=0.01),
    ]
