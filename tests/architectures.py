"""Tiny models of random weights, of the architectures that `docs/models.md` lists, made from transformers' configs."""

from dataclasses import dataclass, field

import torch
from transformers import CONFIG_MAPPING, AutoModelForCausalLM, PreTrainedModel

VOCABULARY = 1065  # the test bed's tokenizer
WINDOW = 16  # tokens that a layer with a sliding window sees
END = 4
FULL, MIXED = ["full_attention"] * 2, ["sliding_attention", "full_attention"]

COMMON = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "bos_token_id": 1,
    "eos_token_id": END,
    "pad_token_id": 0,
    "tie_word_embeddings": False,
}
GPT2 = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 256}
EXPERTS = {"num_local_experts": 4, "num_experts_per_tok": 2}
NAMED_EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24}
ROUTED = {"n_routed_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24, "n_group": 1, "topk_group": 1}
LATENT = {
    "num_key_value_heads": 4,
    "kv_lora_rank": 8,
    "q_lora_rank": 12,
    "qk_nope_head_dim": 8,
    "qk_rope_head_dim": 4,
    "v_head_dim": 6,
}
SCALED = {"logits_scaling": 8.0, "embedding_multiplier": 6.0, "residual_multiplier": 0.22, "attention_multiplier": 0.2}
GEMMA = {"head_dim": 8, "query_pre_attn_scalar": 8, "sliding_window": WINDOW}
SCAN = {"mamba_n_heads": 4, "mamba_d_head": 16, "mamba_n_groups": 1, "mamba_d_state": 8}
LINEAR = {
    "head_dim": 8,
    "linear_num_value_heads": 4,
    "linear_num_key_heads": 2,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
}

RECURRENT = "do not fit a cache with branches"
OWN_CODE = "accepts no attention but its own"
OTHERWISE = "with the cache its logits differ"


@dataclass(frozen=True)
class Architecture:
    """One line of the matrix.

    Attributes
    ----------
    kind : str
        Of transformers' config, `model_type`.
    models : str
        Some that people use.
    options : dict
        Of the config, beside those that all have.
    refused : str or None
        Words of the message that refuses it; None: it works.
    """

    kind: str
    models: str
    options: dict = field(default_factory=dict)
    refused: str | None = None

    def make(self, seed: int) -> PreTrainedModel:
        """Return a model whose weights are such that it writes many different tokens, in float32."""
        config = CONFIG_MAPPING[self.kind](**{**COMMON, **self.options})
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").float()
            for name, parameter in model.named_parameters():
                _draw(name, parameter)
        model.name_or_path = self.kind
        return model.eval().requires_grad_(False)


@torch.no_grad()
def _draw(name: str, parameter: torch.Tensor) -> None:
    if parameter.dim() < 2:
        if "bias" in name or "sinks" in name:
            parameter.normal_(std=0.1)
        return
    embedding = any(part in name for part in ("embed", "wte", "wpe"))
    head = any(part in name for part in ("lm_head", "embed_out", "output_projection"))
    parameter.normal_(
        std=3 * parameter.shape[-1] ** -0.5 if head else 1.0 if embedding else 1.3 * parameter.shape[-1] ** -0.5
    )


ARCHITECTURES = {
    "llama": Architecture("llama", "Llama 2, 3, 3.1, 3.2, SmolLM 2"),
    "llama, biases": Architecture(
        "llama", "Yi, and others", {"attention_bias": True, "mlp_bias": True, "head_dim": 12}
    ),
    "arcee": Architecture("arcee", "AFM 4.5B"),
    "apertus": Architecture("apertus", "Apertus"),
    "bitnet": Architecture("bitnet", "BitNet b1.58"),
    "mistral": Architecture("mistral", "Mistral 7B v0.2 and later, Mistral Small", {"sliding_window": None}),
    "mistral, sliding": Architecture("mistral", "Mistral 7B v0.1, Zephyr", {"sliding_window": WINDOW}),
    "ministral": Architecture(
        "ministral",
        "Ministral 8B",
        {"head_dim": 8, "sliding_window": WINDOW, "layer_types": MIXED},
    ),
    "ministral3": Architecture("ministral3", "Ministral 3", {"head_dim": 8}),
    "mixtral": Architecture("mixtral", "Mixtral 8x7B", {"sliding_window": None, **EXPERTS}),
    "qwen2": Architecture("qwen2", "Qwen 2, Qwen 2.5"),
    "qwen2, sliding": Architecture(
        "qwen2",
        "Qwen 2 with use_sliding_window",
        {"use_sliding_window": True, "sliding_window": WINDOW, "layer_types": MIXED},
    ),
    "qwen2_moe": Architecture(
        "qwen2_moe", "Qwen 1.5 MoE, Qwen2 57B-A14B", {**NAMED_EXPERTS, "shared_expert_intermediate_size": 24}
    ),
    "qwen3": Architecture("qwen3", "Qwen 3", {"head_dim": 12}),
    "qwen3_moe": Architecture("qwen3_moe", "Qwen 3 MoE", {"head_dim": 8, **NAMED_EXPERTS}),
    "gemma": Architecture("gemma", "Gemma", {"head_dim": 8}),
    "gemma2": Architecture("gemma2", "Gemma 2", {**GEMMA, "layer_types": MIXED}),
    "gemma3_text": Architecture("gemma3_text", "Gemma 3 (text)", {**GEMMA, "layer_types": MIXED}),
    "vaultgemma": Architecture("vaultgemma", "VaultGemma", {**GEMMA, "layer_types": MIXED}),
    "gpt_oss": Architecture(
        "gpt_oss", "GPT-OSS 20B, 120B", {"head_dim": 8, "sliding_window": WINDOW, "layer_types": MIXED, **EXPERTS}
    ),
    "granite": Architecture("granite", "Granite 3", SCALED),
    "granitemoe": Architecture("granitemoe", "Granite 3 MoE", {**SCALED, **EXPERTS}),
    "granite_swa": Architecture(
        "granite_swa", "Granite with sliding windows", {"sliding_window": WINDOW, "layer_types": MIXED}
    ),
    "cohere": Architecture("cohere", "Command R", {"logit_scale": 0.0625}),
    "cohere2": Architecture(
        "cohere2", "Command R7B, Command A", {"logit_scale": 0.25, "sliding_window": WINDOW, "layer_types": MIXED}
    ),
    "phi": Architecture("phi", "Phi 1, 1.5, 2"),
    "phi3": Architecture("phi3", "Phi 3, Phi 4", {"sliding_window": None}),
    "phi3, sliding": Architecture("phi3", "Phi 3 Mini 4k", {"sliding_window": WINDOW}),
    "phimoe": Architecture("phimoe", "Phi 3.5 MoE", {"sliding_window": None, **EXPERTS}),
    "olmo": Architecture("olmo", "OLMo"),
    "olmo2": Architecture("olmo2", "OLMo 2"),
    "olmo3": Architecture("olmo3", "OLMo 3", {"sliding_window": WINDOW, "layer_types": MIXED}),
    "olmoe": Architecture("olmoe", "OLMoE", {"num_experts": 4, "num_experts_per_tok": 2}),
    "starcoder2": Architecture("starcoder2", "StarCoder 2", {"sliding_window": WINDOW}),
    "stablelm": Architecture("stablelm", "StableLM 2", {"partial_rotary_factor": 0.5}),
    "nemotron": Architecture("nemotron", "Nemotron 4, Minitron"),
    "minicpm3": Architecture("minicpm3", "MiniCPM 3", LATENT),
    "deepseek_v2": Architecture(
        "deepseek_v2",
        "DeepSeek V2 Lite",
        {**LATENT, **ROUTED, "n_shared_experts": 1, "first_k_dense_replace": 1, "head_dim": 4},
    ),
    "deepseek_v3": Architecture(
        "deepseek_v3", "DeepSeek V3, R1", {**LATENT, **ROUTED, "n_shared_experts": 1, "first_k_dense_replace": 1}
    ),
    "glm4": Architecture("glm4", "GLM 4 0414", {"head_dim": 8}),
    "glm4_moe": Architecture("glm4_moe", "GLM 4.5", {"head_dim": 8, **ROUTED}),
    "exaone4": Architecture("exaone4", "EXAONE 4", {"head_dim": 8, "sliding_window": WINDOW, "layer_types": MIXED}),
    "smollm3": Architecture("smollm3", "SmolLM 3"),
    "ernie4_5": Architecture("ernie4_5", "ERNIE 4.5", {"head_dim": 8}),
    "hunyuan_v1_dense": Architecture("hunyuan_v1_dense", "Hunyuan dense", {"head_dim": 8}),
    "seed_oss": Architecture("seed_oss", "Seed OSS", {"head_dim": 8}),
    "minimax_m2": Architecture("minimax_m2", "MiniMax M2", {"head_dim": 8, **EXPERTS}),
    "glm": Architecture("glm", "GLM 4", {"head_dim": 8}),
    "ernie4_5_moe": Architecture(
        "ernie4_5_moe", "ERNIE 4.5 MoE", {"moe_num_experts": 4, "moe_k": 2, "moe_intermediate_size": 24}
    ),
    "dots1": Architecture("dots1", "dots.llm1", {**ROUTED, "n_shared_experts": 1}),
    "jetmoe": Architecture("jetmoe", "JetMoE", {"kv_channels": 8, **EXPERTS}),
    "helium": Architecture("helium", "Helium", {"head_dim": 8}),
    "internlm3": Architecture("internlm3", "InternLM 3", {"head_dim": 8}),
    "persimmon": Architecture("persimmon", "Persimmon"),
    "gemma4_text": Architecture("gemma4_text", "Gemma 4 (text)", {**GEMMA, "layer_types": MIXED}),
    "nanochat": Architecture("nanochat", "nanochat"),
    "gpt2": Architecture("gpt2", "GPT-2", GPT2),
    "gpt_bigcode": Architecture("gpt_bigcode", "StarCoder, SantaCoder", {**GPT2, "multi_query": True}),
    "gpt_neox": Architecture("gpt_neox", "Pythia, GPT-NeoX"),
    "opt": Architecture("opt", "OPT", {"ffn_dim": 48, "word_embed_proj_dim": 32}),
    "gptj": Architecture("gptj", "GPT-J", {**GPT2, "rotary_dim": 4}, OWN_CODE),
    "codegen": Architecture("codegen", "CodeGen", {**GPT2, "rotary_dim": 4}, OWN_CODE),
    "falcon": Architecture("falcon", "Falcon", {"num_kv_heads": 2, "new_decoder_architecture": True}, OWN_CODE),
    "bloom": Architecture("bloom", "BLOOM", {"n_layer": 2, "n_head": 4}, OWN_CODE),
    "mpt": Architecture("mpt", "MPT", {"d_model": 32, "n_layers": 2, "n_heads": 4, "max_seq_len": 256}, OWN_CODE),
    "gpt_neo": Architecture(
        "gpt_neo",
        "GPT-Neo",
        {"num_layers": 2, "attention_types": [[["global", "local"], 1]], "num_heads": 4, "window_size": WINDOW},
        OWN_CODE,
    ),
    "llama4_text": Architecture(
        "llama4_text",
        "Llama 4 (text)",
        {"head_dim": 8, "intermediate_size_mlp": 48, "num_local_experts": 2, "attention_chunk_size": WINDOW},
        RECURRENT,
    ),
    "diffllama": Architecture("diffllama", "DiffLlama", {}, OTHERWISE),
    "mamba2": Architecture(
        "mamba2",
        "Mamba 2, Codestral Mamba",
        {"state_size": 8, "num_heads": 4, "head_dim": 16, "n_groups": 1},
        RECURRENT,
    ),
    "jamba": Architecture(
        "jamba",
        "Jamba",
        {
            "attn_layer_period": 2,
            "attn_layer_offset": 1,
            "num_experts": 2,
            "num_experts_per_tok": 1,
            "use_mamba_kernels": False,
        },
        RECURRENT,
    ),
    "bamba": Architecture("bamba", "Bamba", {"attn_layer_indices": [1], **SCAN}, RECURRENT),
    "granitemoehybrid": Architecture(
        "granitemoehybrid",
        "Granite 4",
        {**SCAN, **EXPERTS, "shared_intermediate_size": 24, "layer_types": ["mamba", "attention"]},
        RECURRENT,
    ),
    "falcon_h1": Architecture("falcon_h1", "Falcon H1", {**SCAN, "mamba_d_ssm": 64}, RECURRENT),
    "qwen3_next": Architecture(
        "qwen3_next", "Qwen3-Next", {**LINEAR, **NAMED_EXPERTS, "shared_expert_intermediate_size": 24}, RECURRENT
    ),
    "qwen3_5_text": Architecture("qwen3_5_text", "Qwen 3.5 (text)", LINEAR, RECURRENT),
    "minimax": Architecture("minimax", "MiniMax Text 01", {"head_dim": 8, **EXPERTS}, RECURRENT),
    "lfm2": Architecture("lfm2", "LFM 2", {"layer_types": ["conv", "full_attention"]}, RECURRENT),
    "recurrent_gemma": Architecture(
        "recurrent_gemma", "RecurrentGemma", {"lru_width": 32, "attention_window_size": WINDOW}, RECURRENT
    ),
    "bart": Architecture(
        "bart",
        "BART and its kin (mBART, Pegasus, Marian)",
        {"d_model": 32, "decoder_layers": 2, "decoder_attention_heads": 4, "decoder_ffn_dim": 48, "is_decoder": True},
        OTHERWISE,
    ),
    "xglm": Architecture(
        "xglm", "XGLM", {"d_model": 32, "ffn_dim": 48, "num_layers": 2, "attention_heads": 4}, OWN_CODE
    ),
    "rwkv": Architecture("rwkv", "RWKV 4", {"context_length": 256}, OWN_CODE),
}
