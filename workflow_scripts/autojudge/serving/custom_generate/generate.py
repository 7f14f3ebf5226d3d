"""Speculative decoding with a judge as transformers' `custom_generate`: lossy, and as fast as its threshold is high."""

import sys
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase, StoppingCriteriaList
from transformers.generation.stopping_criteria import StopStringCriteria

from autojudge.errors import InputError
from autojudge.serving.custom_generate.decoding import JudgedDecoding
from autojudge.serving.custom_generate.refusals import check_settings
from autojudge.serving.served_judge import judge_folder


def generate(
    model: PreTrainedModel,
    *,
    assistant_model: PreTrainedModel | None = None,
    judge: str | None = None,
    threshold: float | None = None,
    window: int | None = None,
    target_first: bool = False,
    other_models: bool = False,
    streamer: Any = None,
    tokenizer: PreTrainedTokenizerBase | None = None,
    **options: Any,
) -> Any:
    """Generate one response, greedily, like `model.generate`; draft tokens that the judge deems unimportant are kept.

    Parameters
    ----------
    model, assistant_model : PreTrainedModel
        Target and draft, the pair that the judge was trained for.
    judge : str, optional
        Folder of judge.json, or a hub name; by default the folder, or the repository, that this code comes from.
    threshold : float, optional
        Keep a draft token when p(important) lies below it; 0 is lossless. By default the judge's recommended one.
    window : int, optional
        Tokens that the draft proposes per cycle; by default as the judge's record recommends, else 8.
    target_first : bool
        Start like vLLM: the target writes the first token, and the first window comes after it.
    other_models : bool
        The pair is the judge's in another form (quantised, moved to the hub), so its models are not compared.
    streamer
        Gets the prompt, then each cycle's tokens.
    tokenizer : PreTrainedTokenizerBase, optional
        For `stop_strings`.
    options
        Of `model.generate`; `revision` and `token` are those of the hub, for the judge.

    Returns
    -------
    Tensor of shape (1, length) or JudgedOutput
        Prompt and response, the latter with `return_dict_in_generate`.

    Raises
    ------
    InputError
        The judge or a setting cannot be used; it says why and what to do.
    """
    if judge is None:
        judge = _folder_of_this_code()
    if options.pop("assistant_tokenizer", None) is not None:
        raise InputError("`assistant_tokenizer` is not supported: draft and target must share their tokenizer")
    if options.pop("synced_gpus", None):
        raise InputError(
            "`synced_gpus` is not supported: processes that share a model would wait for each other's cycles"
        )
    check_settings(options)  # before transformers, which refuses some with no remedy
    _settle_stop_strings(model, options, tokenizer)
    folder = judge_folder(judge, options.pop("revision", None), options.pop("token", None))
    decoding = JudgedDecoding(assistant_model, str(folder), threshold, window, target_first, streamer, other_models)
    return model.generate(**options, streamer=streamer, custom_generate=decoding)


def _settle_stop_strings(
    model: PreTrainedModel, options: dict[str, Any], tokenizer: PreTrainedTokenizerBase | None
) -> None:
    """Put a stopping criterion in the place of stop strings, as transformers hands no tokenizer to a callable."""
    configs = (options.get("generation_config"), model.generation_config)
    known = [options.get("stop_strings"), *(getattr(config, "stop_strings", None) for config in configs)]
    strings = next((strings for strings in known if strings is not None), None)
    if strings is None:
        return
    if tokenizer is None:
        raise InputError(f"stop_strings {strings!r} need the tokenizer: add `tokenizer=tokenizer`")
    given = options.get("stopping_criteria") or []
    options["stopping_criteria"] = StoppingCriteriaList([*given, StopStringCriteria(tokenizer, strings)])
    options["stop_strings"] = None  # wins over those of configs


def _folder_of_this_code() -> str:
    """Return `custom_generate` of the call of transformers' `generate` that runs this code.

    The judge lies in that folder, or repository. transformers hands on every argument but this one, and runs a copy of
    the code, so it is read from the caller's frame.
    """
    caller = sys._getframe(2)
    place = caller.f_locals.get("custom_generate")
    if caller.f_code.co_name != "generate" or not isinstance(place, str):
        raise InputError("no judge is named: add `judge=`, the folder of judge.json or a hub name")
    return place
