"""Labels in the official implementation's structure become our tables, and train a judge; code is not run."""

import re

import numpy as np
import pytest
import torch

from autojudge.errors import InputError
from autojudge.judging.choice import fit_judge
from autojudge.judging.mismatches import Mismatches
from autojudge.mining.official_labels import import_labels
from autojudge.tables.files import read_table
from autojudge.tables.mining import FEATURES, LABELS

DRAFT, TARGET = 6, 10


def make_samples(problems=80, seed=0, previous=True):
    """Return a list as find_important_tokens.py and calc_hiddens.py leave it; importance shows in one number."""
    rng, samples = np.random.default_rng(seed), []
    for i in range(problems):
        changed, hiddens, before = [], [], []
        for j in range(4):
            important = bool(rng.random() < 0.4)
            states = [rng.normal(size=n) for n in (DRAFT, TARGET, DRAFT, TARGET)]
            states[1][3] += 4 * important
            hiddens.append(torch.tensor(np.concatenate(states), dtype=torch.float32))
            before.append(torch.arange(2 * (DRAFT + TARGET), dtype=torch.float32))
            changed.append((20 + 3 * j, important, 5, 7))
        samples.append(
            {
                "current_response": torch.tensor([[i, *range(40)]]),
                "changed_token_indices": changed,
                "hiddens": hiddens,
                "id": i,
            }
        )
        if previous:
            samples[-1]["prev_hiddens"] = before
    return samples


@pytest.fixture
def saved(tmp_path):
    def save(samples):
        torch.save(samples, tmp_path / "labels.pt")
        return str(tmp_path / "labels.pt")

    return save


@pytest.mark.parametrize("wrapped", [False, True])
def test_the_published_structure_is_read_exactly(saved, tmp_path, wrapped):
    samples = make_samples(3)
    file = saved({"last_batch_end": 9, "data": samples} if wrapped else samples)
    assert import_labels([file], DRAFT, tmp_path) == {"problems": 3, "mismatches": 12, "draft": DRAFT, "target": TARGET}
    labels, features = (read_table(table, tmp_path / f"{table.name}.parquet") for table in (LABELS, FEATURES))
    flat = [(m, states) for s in samples for m, states in zip(s["changed_token_indices"], s["hiddens"], strict=True)]
    for label, feature, (mismatch, states) in zip(labels.itertuples(), features.itertuples(), flat, strict=True):
        assert (label.position, label.important, label.target_token, label.draft_token) == mismatch
        found = np.concatenate(
            [feature.draft_at_draft, feature.target_at_draft, feature.draft_at_target, feature.target_at_target]
        )
        np.testing.assert_array_equal(found, states.half().numpy())
        np.testing.assert_array_equal(np.append(feature.draft_before, feature.target_before), np.arange(16))


def test_imported_labels_train_a_judge(saved, tmp_path):
    import_labels([saved(make_samples(previous=False))], DRAFT, tmp_path)
    data = Mismatches(str(tmp_path / "labels.parquet"), str(tmp_path / "features.parquet"))
    point = {"feature_set": "paper", "classifier": "logistic_regression", "hyperparameter": "C", "value": 0.01}
    sets, origin = {"paper": ["draft_at_draft", "target_at_draft"]}, {"dataset": "gsm8k", "task": "gsm8k"}
    origin |= {"models": {}, "provenance": {}}
    record = fit_judge(data, point, sets, {"recall": 0.9, "thresholds": 26}, origin, seed=0).record
    assert record.sizes == [DRAFT, TARGET] and record.validation.auc.value > 0.95
    with pytest.raises(InputError, match="column `kl_divergence` is empty, as in imported labels"):
        data.of_split("train").features(["kl_divergence"])
    with pytest.raises(InputError, match="column `draft_before` is empty"):
        data.of_split("train").features(["draft_before"])


class Code:
    """Something that only code can load."""

    def __reduce__(self):
        return print, ("code was run",)


def test_a_file_that_needs_code_is_refused_and_runs_none(saved, tmp_path, capfd):
    file = saved([*make_samples(1), {"extra": Code()}])
    with pytest.raises(InputError, match="refused, as it is not a file of torch.save, or loading it would run code"):
        import_labels([file], DRAFT, tmp_path)
    assert "code was run" not in capfd.readouterr().out
    assert not (tmp_path / "labels.parquet").exists()


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda s: s[0]["hiddens"].pop(), "problem 1: 4 mismatches and 3 `hiddens`"),
        (lambda s: s[1]["hiddens"].__setitem__(0, torch.zeros(11)), "problem 2: `hiddens` of 11 numbers do not hold"),
        (lambda s: s[0].pop("current_response"), "problem 1 has no `current_response`"),
        (
            lambda s: s[0]["changed_token_indices"].__setitem__(0, (1, True, 2)),
            "problem 1: `changed_token_indices` must",
        ),
        (
            lambda s: s[0].update(prev_hiddens=torch.zeros(1, 32)),
            "problem 1: .*`prev_hiddens`, if there, one entry each",
        ),
        (lambda s: s[0].update(changed_token_indices=4), "problem 1 does not have the form of calc_hiddens' output"),
        (lambda s: s[0]["changed_token_indices"].__setitem__(0, ("a", True, 2, 3)), "problem 1 does not have the form"),
        (
            lambda s: s[1]["changed_token_indices"].__setitem__(2, (26, None, 5, 7)),
            "problem 2 .*None is neither True nor False",
        ),
        (
            lambda s: s[1]["changed_token_indices"].__setitem__(2, (26, "False", 5, 7)),
            "problem 2 .*'False' is neither True",
        ),
        (
            lambda s: s[0]["changed_token_indices"].__setitem__(2, (26, 0.5, 5, 7)),
            "problem 1 .*0.5 is neither True nor False",
        ),
        (
            lambda s: s[0]["changed_token_indices"].__setitem__(2, (23, True, 5, 7)),
            "problem 1 .*its place is there twice",
        ),
        (
            lambda s: s[1]["changed_token_indices"].__setitem__(0, (20, True, -1, 7)),
            "problem 2 .*-1 is no target's token",
        ),
        (lambda s: s[0].update(current_response=[1, 2]), "problem 1 does not have the form"),
        (lambda s: s[0]["prev_hiddens"].__setitem__(0, torch.zeros(3)), "problem 1 does not have the form"),
        (lambda s: s[1].update(hiddens=[torch.zeros(40)] * 4), "problem 2: its `hiddens` differ in length"),
        (
            lambda s: s[1]["hiddens"][2].fill_(1e6),
            "problem 2: `hiddens` hold numbers that half precision cannot represent",
        ),
        (lambda s: s.append(s[0]), "problem 3 is there twice"),
        (lambda s: s.clear(), "no problem with `changed_token_indices` and `hiddens`"),
        (lambda s: s.append(3), "holds no list of dicts"),
    ],
)
def test_a_damaged_file_is_named(saved, tmp_path, damage, message):
    samples = make_samples(2)
    damage(samples)
    with pytest.raises(InputError) as fault:
        import_labels([saved(samples)], DRAFT, tmp_path)
    assert re.search(message, str(fault.value)) and len(re.findall(r"problem \d", str(fault.value))) <= 1


@pytest.mark.parametrize(
    "mismatch, told",
    [
        ((26, None, 5, 7), "None is neither True nor False"),
        ((26, "False", 5, 7), "'False' is neither True nor False"),
        ((26, 0.5, 5, 7), "0.5 is neither True nor False"),
        ((26, 2, 5, 7), "2 is neither True nor False"),
        ((-26, True, 5, 7), "-26 is no place"),
        ((26.5, True, 5, 7), "26.5 is no place"),
        ((2**40, True, 5, 7), "1099511627776 is no place"),
        ((23, True, 5, 7), "its place is there twice"),
        ((26, True, -1, 7), "-1 is no target's token"),
        ((26, True, 5, None), "None is no draft's token"),
    ],
)
def test_a_mismatch_that_is_none_is_named(saved, tmp_path, mismatch, told):
    samples = make_samples(2)
    samples[1]["changed_token_indices"][2] = mismatch
    with pytest.raises(InputError, match=rf"labels\.pt: problem 2 .*mismatch \[.*{told}.*; run it again"):
        import_labels([saved(samples)], DRAFT, tmp_path)


@pytest.mark.parametrize("written", [1, np.True_, torch.tensor(True), torch.tensor(1)])
def test_importance_may_be_a_number_or_a_tensor(saved, tmp_path, written):
    samples = make_samples(2)
    samples[0]["changed_token_indices"][1] = (torch.tensor(23), written, torch.tensor(5), 7)
    try:
        file = saved(samples)
        import_labels([file], DRAFT, tmp_path)
    except InputError as fault:  # numpy's own numbers need code to be loaded
        assert "would run code" in str(fault) and isinstance(written, np.bool_)
    else:
        assert read_table(LABELS, tmp_path / "labels.parquet").important.iloc[1]


def test_a_problem_without_mismatches_is_read(saved, tmp_path):
    samples = make_samples(2)
    samples[0].update(changed_token_indices=[], hiddens=[], prev_hiddens=[])
    assert import_labels([saved(samples)], DRAFT, tmp_path)["mismatches"] == 4


def test_a_file_of_another_kind_is_named(tmp_path):
    (tmp_path / "x.pt").write_bytes(b"nothing")
    (tmp_path / "y.pt").write_bytes(b"hello")
    for name in ("x.pt", "y.pt", "missing.pt"):
        with pytest.raises(InputError, match=rf"{name}: (not a file of torch.save|refused)"):
            import_labels([str(tmp_path / name)], DRAFT, tmp_path)


def test_a_draft_without_states_is_refused(saved, tmp_path):
    with pytest.raises(InputError, match="--draft-hidden 0: a hidden size must be at least 1"):
        import_labels([saved(make_samples(2))], 0, tmp_path)
