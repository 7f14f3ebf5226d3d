"""The judge in transformers: `generate` in place of `model.generate`, a callable for its `custom_generate`."""

from autojudge.serving.custom_generate.decoding import JudgedDecoding, JudgedOutput
from autojudge.serving.custom_generate.generate import generate

__all__ = ["JudgedDecoding", "JudgedOutput", "generate"]
