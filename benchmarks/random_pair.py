"""A pair of models of a real size with random weights, made on the device: for speed where no weights are at hand.

Random models agree nowhere. These share a script: four tokens, the wordings of a place, are followed by those of the
next place, and which of the four the models prefer they share too, but for what each makes of the context by its own
random layers. So they agree about as often as a real pair, a text that was swapped soon comes back to the one that it
left, and the answer, the wordings at every eighth place, changes by some swaps. All of it lies in the embeddings and
the head; every layer computes what it would in a trained model of that shape. Times are as real as the shapes, shares
of agreement and of important mismatches are made up, and texts mean nothing.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM, Qwen2Config

from autojudge.engine.attention import ATTENTION
from autojudge.engine.compatibility import check_slot_cache
from autojudge.engine.models import Pair
from autojudge.errors import InputError

WORDINGS = 4  # tokens of a place
ANSWERS = 8  # one place in so many belongs to the answer
CONTEXT = 0.7  # what the layers add to the residual stream, by the size of an embedding
PREFERENCE, OWN = 0.3, 0.05  # spread of the wordings' scores that the models share, by the place's, and of each's own
QWEN_7B = {"hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28}
QWEN_7B |= {"num_attention_heads": 28, "num_key_value_heads": 4, "vocab_size": 152064}
QWEN_05B = {"hidden_size": 896, "intermediate_size": 4864, "num_hidden_layers": 24}
QWEN_05B |= {"num_attention_heads": 14, "num_key_value_heads": 2, "vocab_size": 151936}
SMALL = {"hidden_size": 256, "intermediate_size": 512, "num_attention_heads": 4, "num_key_value_heads": 2}
SHAPES = {
    "qwen2.5_0.5b_7b": (QWEN_05B, QWEN_7B),
    "one_layer_7b": (QWEN_05B | {"num_hidden_layers": 1}, QWEN_7B),
    "tiny": tuple(SMALL | {"num_hidden_layers": layers, "vocab_size": 2048} for layers in (2, 4)),
}


class Tokenizer:
    """Writes tokens as their numbers."""

    @staticmethod
    def decode(tokens: list[int], **_: Any) -> str:
        return " ".join(map(str, tokens))


@dataclass(frozen=True)
class Task:
    """Reads the answers of such a pair."""

    @staticmethod
    def extract_answer(text: str) -> str | None:
        return " ".join(token for token in text.split() if int(token) // WORDINGS % ANSWERS == 0) or None

    same_answer = staticmethod(str.__eq__)


def make_pair(shape: str, dtype: torch.dtype, device: str) -> Pair:
    """Return a pair of one of the SHAPES."""
    draft, target = SHAPES[shape]
    size = min(draft["vocab_size"], target["vocab_size"])
    preferences = PREFERENCE * torch.randn(size, generator=torch.Generator().manual_seed(0))
    models = [_make_model(sizes, preferences, dtype, device, seed) for seed, sizes in enumerate((draft, target), 1)]
    return Pair(*models, Tokenizer(), frozenset({size - 1}), size)  # the last place is none, so no text ends


@torch.no_grad()
def _make_model(
    sizes: dict[str, int],
    preferences: torch.Tensor,  # (vocabulary,)
    dtype: torch.dtype,
    device: str,
    seed: int,
) -> Any:
    torch.manual_seed(seed)
    with torch.device(device):
        config = Qwen2Config(**sizes, max_position_embeddings=4096, tie_word_embeddings=False)
        model = AutoModelForCausalLM.from_config(config, dtype=dtype).eval().requires_grad_(False)
        for name, weight in model.named_parameters():
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                weight.normal_(std=CONTEXT / (2 * config.num_hidden_layers * weight.shape[1]) ** 0.5)
            elif weight.ndim == 2:
                weight.normal_(std=weight.shape[1] ** -0.5)
        _write_script(model, preferences.to(device))
    model.name_or_path = f"random weights ({sizes['num_hidden_layers']} layers)"
    try:
        check_slot_cache(model, model.name_or_path)
    except InputError as fault:  # in 16 bits: made-up scores spread less about the best one than a trained model's
        print(fault, flush=True)
        model.set_attn_implementation(ATTENTION)
    return model


def _write_script(model: Any, preferences: torch.Tensor) -> None:
    """Let the head say the next place after a token, by what the embeddings of a place's wordings share."""
    count, width = len(preferences) - WORDINGS, model.config.hidden_size
    place = torch.arange(count) // WORDINGS
    shared = torch.randn(int(place[-1]) + 1, width)
    embeddings, head = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    embeddings.normal_()
    embeddings[:count] = ((shared[place] + torch.randn(count, width)) / 2**0.5).to(embeddings.dtype)
    head.zero_()
    before = shared.roll(1, 0)[place]
    own = OWN * width**0.5 * torch.randn(count, width)
    head[:count] = (((1 + preferences[:count, None]) * before + own) * (20 / width)).to(head.dtype)


def make_problems(pair: Pair, count: int, prompt: int = 120) -> list[dict[str, Any]]:
    """Return rows of problems, as far as the miner reads them; prompts are random tokens, about `prompt` of them."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(prompt // 2, 3 * prompt // 2, count)
    texts = [rng.integers(0, pair.vocabulary - WORDINGS, length).tolist() for length in lengths]
    return [
        {"problem_id": str(i), "prompt_tokens": text, "split": "train", "gold": "1"} for i, text in enumerate(texts)
    ]
