"""The judge in engines: vLLM's plugin, transformers, and a check that they decode alike.

What serves a judge needs torch, safetensors and the engine; an engine is imported where it is used, never here.
"""


def register() -> None:
    """Put the plugin into vLLM, which calls this in each of its processes (entry points `vllm.general_plugins`)."""
    from autojudge.serving.vllm.hooks import hook

    hook()
