"""What is asked of vLLM is read from its configuration, and what cannot be had is refused by name."""

import re
from types import SimpleNamespace

import pytest
import torch

from autojudge.engine.contents import folder_digest
from autojudge.errors import InputError
from autojudge.judging.artifact import Judge
from autojudge.judging.needs import TARGET_SCALARS
from autojudge.serving.vllm.plan import is_asked, read_plan, read_request, read_sampling
from autojudge.serving.vllm.versions import check_version, release_of
from conftest import make_point, make_record

TARGET_ALONE, PAPERS = list(TARGET_SCALARS), ["draft_at_draft", "target_at_draft"]


@pytest.fixture
def models(tmp_path):
    """Folders of a target and a draft, and another target."""
    for name in ("target", "draft", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(f'{{"name": "{name}"}}')
    return tmp_path


@pytest.fixture
def save(models):
    def saved(columns=TARGET_ALONE, **known):
        sizes = [{"target": 6, "draft": 4}[c.split("_")[0]] if "_at_" in c or "before" in c else 1 for c in columns]
        trained = {
            role: {"model": f"hub/{role}", "contents": folder_digest(models / role)} for role in ("target", "draft")
        }
        record = make_record(columns=columns, sizes=sizes, **({"models": trained, "threshold": 0.5} | known))
        Judge({"weight": torch.zeros(sum(sizes)), "bias": torch.tensor(0.0)}, record).save(models / "judge")
        return str(models / "judge")

    return saved


def config(models, asked, is_v2=False, target="target", speculative=None, parallel=None, **more):
    """A VllmConfig as far as the plugin reads it."""
    sizes = {"target": 6, "other": 6, "draft": 4}
    model = SimpleNamespace(model=str(models / target), get_hidden_size=lambda: sizes[target], logits_processors=None)
    draft = SimpleNamespace(model=str(models / "draft"), get_hidden_size=lambda: 4)
    drafting = {"method": "draft_model", "draft_model_config": draft, "num_speculative_tokens": 8}
    drafting |= {"draft_sample_method": "probabilistic"} | (speculative or {})
    return SimpleNamespace(
        additional_config={"autojudge": asked},
        use_v2_model_runner=is_v2,
        model_config=model,
        parallel_config=SimpleNamespace(**({"pipeline_parallel_size": 1} | (parallel or {}))),
        **({"speculative_config": SimpleNamespace(**drafting)} | more),
    )


def test_a_plan_has_the_recommended_threshold_or_the_given_one_and_says_that_it_is_lossy(models, save):
    judge = save()
    plan = read_plan(config(models, {"judge": judge}), "0.32.0+cpu")
    assert (plan.threshold, plan.window, plan.is_v2) == (0.5, 8, False)
    assert "LOSSY" in plan.banner and plan.judge.digest()[:16] in plan.banner and "0.32.0+cpu, tested" in plan.banner
    assert not plan.reads_draft and not plan.reads_target_states
    for given in (0, 0.25, 1, 1.5):
        assert read_plan(config(models, {"judge": judge, "threshold": given}), "0.32.0").threshold == given


@pytest.mark.parametrize(
    "chosen, asked, is_said", [(16, {}, True), (8, {}, False), (None, {}, False), (16, {"threshold": 0.1}, False)]
)
def test_the_banner_says_where_the_threshold_was_chosen_at_another_window(models, save, chosen, asked, is_said):
    judge = save(operating_point=chosen and make_point(window=chosen))
    banner = read_plan(config(models, {"judge": judge} | asked), "0.32.0").banner
    assert ("was chosen at window 16 and is served at 8" in banner) == is_said == ("chosen at" in banner)


@pytest.mark.parametrize(
    "asked, message",
    [
        ("judge", 'give a mapping with "judge"'),
        ({"threshold": 0.5}, 'give a mapping with "judge"'),
        ({"judge": "JUDGE", "treshold": 0.5}, 'option "treshold" is unknown'),
        ({"judge": "JUDGE", "threshold": True}, '"threshold" is True, and must be a float'),
        ({"judge": "JUDGE", "threshold": -0.1}, "must be 0 (lossless) or more"),
        ({"judge": "JUDGE", "threshold": float("nan")}, "must be 0 (lossless) or more"),
        ({"judge": "no/such/folder"}, "judge no/such/folder: no such folder"),
    ],
)
def test_options_are_read_strictly(models, save, asked, message):
    judge = save()
    if isinstance(asked, dict):
        asked = {name: judge if value == "JUDGE" else value for name, value in asked.items()}
    with pytest.raises(InputError, match=re.escape(message)):
        read_plan(config(models, asked), "0.32.0")


@pytest.mark.parametrize(
    "columns, options, message",
    [
        (TARGET_ALONE, {"speculative_config": None}, "there is no draft: give --speculative-config"),
        (TARGET_ALONE, {"speculative": {"rejection_sample_method": "synthetic"}}, '"synthetic" is lossy'),
        (TARGET_ALONE, {"speculative": {"rejection_sample_method": "fly"}}, '"fly" is lossy'),
        (TARGET_ALONE, {"speculative": {"enable_adaptive_verification": True}}, "takes rows out"),
        (TARGET_ALONE, {"speculative": {"use_heterogeneous_vocab": True}}, "one vocabulary"),
        (TARGET_ALONE, {"parallel": {"pipeline_parallel_size": 2}}, "pipeline parallelism"),
        (TARGET_ALONE, {"parallel": {"enable_batch_sharded_sampling": True}}, "batch-sharded sampling"),
        (TARGET_ALONE, {"lora_config": object()}, "LoRA"),
        (TARGET_ALONE, {"watermark_config": object()}, "watermarks"),
        (TARGET_ALONE, {"target": "other"}, "the judge was trained for target hub/target"),
        (["target_at_target"], {}, "the judge reads target_at_target, which vLLM does not have"),
        (PAPERS, {"speculative": {"method": "ngram"}}, 'takes a draft model, and the method is "ngram"'),
        (PAPERS, {"speculative": {"method": "eagle"}}, 'takes a draft model, and the method is "eagle"'),
        (["kl_divergence"], {"speculative": {"use_local_argmax_reduction": True}}, "makes no draft logits"),
        (["kl_divergence"], {"speculative": {"parallel_drafting": True}}, "parallel_drafting"),
        (
            ["kl_divergence"],
            {"is_v2": True, "speculative": {"draft_sample_method": "greedy"}},
            "`kl_divergence`, and the",
        ),
    ],
)
def test_what_cannot_be_had_is_refused(models, save, columns, options, message):
    with pytest.raises(InputError, match=re.escape(message)):
        read_plan(config(models, {"judge": save(columns)}, **options), "0.32.0")


def test_another_width_is_refused_even_where_the_models_are_said_to_be_the_same(models, save):
    judge = save(["target_at_draft"])
    wide = config(models, {"judge": judge, "other_models": True})
    wide.model_config.get_hidden_size = lambda: 8
    with pytest.raises(InputError, match="states of 8"):
        read_plan(wide, "0.32.0")


def test_models_said_to_be_the_same_are_not_compared_and_that_is_announced(models, save):
    plan = read_plan(config(models, {"judge": save(), "other_models": True}, target="other"), "0.32.0")
    assert "NOT compared" in plan.banner


@pytest.mark.parametrize("here", ["torch.float32", "torch.bfloat16"])
def test_another_dtype_than_in_training_is_announced(models, save, here):
    judge = save(models={"target": {"model": "owner/name", "dtype": "float32"}, "draft": {}})
    asked = config(models, {"judge": judge})
    asked.model_config.model, asked.model_config.dtype = "owner/name", here
    banner = read_plan(asked, "0.32.0").banner
    assert ("computes in bfloat16, and the judge was trained on its states in float32" in banner) == ("bfl" in here)


@pytest.mark.parametrize("method", ["ngram", "eagle", "mtp", "draft_model"])
def test_a_judge_of_the_target_alone_takes_any_proposer(models, save, method):
    plan = read_plan(config(models, {"judge": save()}, speculative={"method": method}), "0.32.0")
    assert (f"another draft than here ({method})" in plan.banner) == (method != "draft_model")


@pytest.mark.parametrize("contents", ["same", "other"])
def test_another_draft_model_is_announced_and_the_trained_one_is_not(models, save, contents):
    draft = {"model": "elsewhere", "contents": folder_digest(models / {"same": "draft", "other": "other"}[contents])}
    target = {"model": "hub/target", "contents": folder_digest(models / "target"), "dtype": "float32"}
    judge = save(models={"target": target, "draft": draft | {"dtype": "float32"}})
    banner = read_plan(config(models, {"judge": judge}), "0.32.0").banner
    assert ("another draft than here (draft_model)" in banner) == (contents == "other")


def test_a_snapshot_of_the_hub_counts_by_its_name(models, save):
    judge = save(models={"target": {"model": "owner/name", "revision": None}, "draft": {}})
    place = models / "models--owner--name/snapshots/abc"
    place.mkdir(parents=True)
    (place / "config.json").write_text("{}")
    here = config(models, {"judge": judge})
    for name in (str(place), "owner/name"):
        here.model_config.model = name
        read_plan(here, "0.32.0")
    here.model_config.model = "owner/other"
    with pytest.raises(InputError, match="the judge was trained for target owner/name"):
        read_plan(here, "0.32.0")


@pytest.mark.parametrize(
    "version, said",
    [("0.32.0+cpu", ", tested"), ("0.32.4", ", tested"), ("0.21.0", "NOT tested"), ("0.33.1", "NOT tested")],
)
def test_known_versions_are_served_and_called_what_they_are(version, said):
    assert said in check_version(version, None)


@pytest.mark.parametrize("version", ["0.34.0", "0.3.2", "1.0", "dev"])
def test_an_unknown_version_is_refused_unless_the_user_names_it(version):
    with pytest.raises(InputError, match="tested with 0.32, read 0.21, 0.25, 0.29, 0.33"):
        check_version(version, "0.35.0")
    assert "UNKNOWN" in check_version(version, version)


def test_the_v2_runner_is_refused_before_it_had_logits_processors(models, save):
    judge = save()
    with pytest.raises(InputError, match="from vLLM 0.31 on"):
        read_plan(config(models, {"judge": judge}, is_v2=True), "0.29.1")
    assert read_plan(config(models, {"judge": judge}, is_v2=True), "0.33.0").is_v2
    assert release_of("0.29.1") == (0, 29) and release_of("dev") == (0, 0)


def test_a_request_chooses_its_threshold_and_nothing_else():
    assert read_request(None, 0.3) == read_request({"other": 1}, 0.3) == 0.3
    assert read_request({"autojudge_threshold": 0}, 0.3) == 0.0
    for given in ("0", True, -0.5, float("nan"), float("inf"), None, [0.1]):
        with pytest.raises(InputError, match="`autojudge_threshold`.* 0 .lossless. or more"):
            read_request({"autojudge_threshold": given}, 0.3)


@pytest.mark.parametrize(
    "name",
    ["autojudge_treshold", "autojugde_threshold", "auto_judge_threshold", "AutoJudge_threshold", "threshold", "Judge"]
    + ["autojuge_treshold", "autojudge"],
)
def test_a_misspelt_option_of_a_request_is_refused_rather_than_served_at_the_default(name):
    with pytest.raises(InputError, match=f"`{name}` is unknown: this plugin has only `autojudge_threshold`"):
        read_request({name: 0.0, "other": 1}, 0.3)


@pytest.mark.parametrize("is_v2", [False, True])
def test_sampled_requests_are_judged_on_v2_alone(models, save, is_v2):
    plan = read_plan(config(models, {"judge": save()}, is_v2=is_v2), "0.32.0")
    greedy, sampled = (SimpleNamespace(temperature=t, extra_args=None) for t in (0.0, 0.7))
    assert read_sampling(greedy, plan) == 0.5
    if is_v2:
        assert read_sampling(sampled, plan) == 0.5
    else:
        with pytest.raises(InputError, match="only greedy requests"):
            read_sampling(sampled, plan)
    sampled.extra_args = {"autojudge_threshold": 0.0}
    assert read_sampling(sampled, plan) == 0.0


def test_a_configuration_without_a_judge_asks_for_none():
    assert not any(is_asked(SimpleNamespace(additional_config=given)) for given in ({}, None, {"other": 1}))
    assert is_asked(SimpleNamespace(additional_config={"autojudge": {}})) and not is_asked(SimpleNamespace())
