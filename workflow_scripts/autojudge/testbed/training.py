"""Train the embedded pair from nothing: a word-and-digit tokenizer and two Llama models."""

import math
import random
import time
from collections.abc import Iterator
from itertools import islice

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from tqdm import tqdm
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from autojudge.testbed.problems import Problem, generate_problems, load_scenarios, write_solution

SPECIAL_TOKENS = ["<|pad|>", "<|unk|>", "<|user|>", "<|assistant|>", "<|end|>"]
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ '<|end|>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
CONTEXT = 512  # tokens
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
    data = load_scenarios()
    phrases = [s for scenario in data["scenarios"].values() for key in scenario for s in scenario[key] if key != "unit"]
    phrases += [s for group in data["solution"].values() for s in group]
    phrases += [scenario["unit"] for scenario in data["scenarios"].values()]
    phrases += [n for group in data["people"].values() for n in group] + ["He", "She", "The final answer is"]
    splitter = pre_tokenizers.Split(pieces, "isolated")
    words = {w.strip() for p in phrases for w, _ in splitter.pre_tokenize_str(_without_fields(p))} - {""}
    words |= set("0123456789")
    return SPECIAL_TOKENS + sorted({form for w in words for form in (w, f" {w}")} | {" ", "\n"})


def _without_fields(phrase: str) -> str:
    return phrase.format_map(dict.fromkeys(["name", "He", "n", "k", "a", "b", "c", "unit"], " "))


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


def _encode(problem: Problem, rng: random.Random, tokenizer: PreTrainedTokenizerFast) -> tuple[list[int], int]:
    """Return the tokens of prompt and solution, and the number of prompt tokens."""
    prompt = f"<|user|>{problem.question}<|assistant|>"
    ids = tokenizer.encode(prompt + write_solution(problem, rng) + "<|end|>", add_special_tokens=False)
    return ids, ids.index(tokenizer.convert_tokens_to_ids("<|assistant|>")) + 1


def _batches(tokenizer: PreTrainedTokenizerFast, seed: int, batch: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield tokens and labels (batch, length), each batch of similar lengths."""
    problems, rng = generate_problems(seed, experiment=False), random.Random(seed)
    while True:
        rows = sorted((_encode(p, rng, tokenizer) for p in islice(problems, 16 * batch)), key=lambda r: len(r[0]))
        groups = [rows[i : i + batch] for i in range(0, len(rows), batch)]
        rng.shuffle(groups)
        for group in groups:
            tokens = torch.full((batch, max(len(ids) for ids, _ in group)), int(tokenizer.pad_token_id))
            labels = torch.full_like(tokens, IGNORED)
            for row, (ids, prompt) in enumerate(group):
                tokens[row, : len(ids)] = torch.tensor(ids)
                labels[row, prompt : len(ids)] = torch.tensor(ids[prompt:])
            yield tokens, labels


def train_model(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    *,
    steps: int,
    batch: int,
    learning_rate: float,
    seed: int,
) -> None:
    """Train in place with AdamW: short warm-up, then a cosine decay to nothing; loss on the solution only.

    Parameters
    ----------
    steps : int
        Number of optimizer steps.
    batch : int
        Problems a step.
    learning_rate : float
        Its peak.
    """
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, betas=(0.9, 0.98), weight_decay=0.01)
    warmup = max(1, min(100, steps // 10))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda s: min((s + 1) / warmup, 0.5 + 0.5 * math.cos(math.pi * max(0, s - warmup) / max(1, steps - warmup))),
    )
    model.train()
    start, seen = time.time(), 0
    progress = tqdm(islice(_batches(tokenizer, seed, batch), steps), total=steps, unit="step", mininterval=5)
    for step, (tokens, labels) in enumerate(progress):
        with torch.autocast("cpu", torch.bfloat16):
            output = model.model(input_ids=tokens, attention_mask=(tokens != tokenizer.pad_token_id).long())
            wanted = labels[:, 1:] != IGNORED
            logits = model.lm_head(output.last_hidden_state[:, :-1][wanted])
        loss = torch.nn.functional.cross_entropy(logits.float(), labels[:, 1:][wanted])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        seen += tokens.numel()
        if step % 50 == 0:
            progress.set_postfix(loss=f"{loss.item():.4f}", tokens_per_s=f"{seen / (time.time() - start):.0f}")
    model.eval()
