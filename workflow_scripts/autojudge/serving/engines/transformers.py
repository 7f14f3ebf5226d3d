"""transformers with `custom_generate`, started like vLLM."""

from collections.abc import Iterator

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig, PreTrainedModel

from autojudge.engine.loading import from_hub
from autojudge.engine.models import load_generation_config
from autojudge.reading.turns import end_tokens
from autojudge.serving.engines import Decoded, Request, check_prompts
from autojudge.serving.engines.loading import model_settings
from autojudge.serving.served_judge import judge_folder
from autojudge.serving.transformers import generate


def decode(request: Request) -> Iterator[Decoded]:
    """Yield the response to each prompt. Raises InputError where a model, the judge or a prompt cannot be used."""
    folder = judge_folder(request.judge)
    settings = {role: model_settings(getattr(request, role), role, folder) for role in ("draft", "target")}
    draft, target = (_load(settings[role]) for role in ("draft", "target"))
    check_prompts(request.prompts, min(m.get_input_embeddings().weight.shape[0] for m in (draft, target)))
    ends = end_tokens(from_hub(AutoTokenizer, settings["target"]), load_generation_config(settings["target"]))
    # Nothing else counts of what the model's files say: sampling or a penalty would be refused.
    target.generation_config = GenerationConfig(eos_token_id=sorted(ends) or None, pad_token_id=min(ends, default=None))
    for prompt in request.prompts:
        tokens = torch.tensor([prompt], device=target.device)
        found = generate(
            target,
            input_ids=tokens,
            attention_mask=torch.ones_like(tokens),
            assistant_model=draft,
            judge=str(folder),
            threshold=request.threshold,
            window=request.window,
            target_first=True,
            max_new_tokens=request.max_new_tokens,
            return_dict_in_generate=True,
        )
        yield Decoded(found.sequences[0, len(prompt) :].tolist(), found.cycles, found.kept)


def _load(settings: dict[str, object]) -> PreTrainedModel:
    model = from_hub(AutoModelForCausalLM, settings, dtype=getattr(torch, str(settings["dtype"])))
    return model.to(settings["device"]).eval()
