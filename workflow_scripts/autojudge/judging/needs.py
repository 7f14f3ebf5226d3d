"""What an engine must have to serve a judge: the target's logits and hidden states, the draft's, told by columns.

Needs no package.
"""

from collections.abc import Iterable, Mapping

from autojudge.errors import InputError
from autojudge.tables.feature_names import BLOCKS, SCALARS, expand_blocks

TARGET_SCALARS = (  # of the target's distribution and the draft's token alone
    "draft_token_probability",
    "draft_token_rank",
    "target_entropy",
    "target_top_probability",
)
EVERY_NEED = ("target_logits", "target_states", "draft_logits", "draft_states")
SERVES = {  # what an engine has, by what a judge is to serve
    "any": frozenset(EVERY_NEED),
    "target": frozenset({"target_logits", "target_states"}),
    "target_scalars": frozenset({"target_logits"}),
}


def list_served() -> list[str]:
    """Return what follows the pair in the paths of each further judge, made for an engine that has less than all."""
    return [f"/serves/{engine}" for engine, has in SERVES.items() if has != SERVES["any"]]


def needs_of_columns(columns: Iterable[str]) -> frozenset[str]:
    """Return what has to be known of the models for some columns of features.parquet, of `EVERY_NEED`."""
    needs: set[str] = set()
    for column in columns:
        if column in BLOCKS:
            needs.add(f"{column.split('_')[0]}_states")
        elif column in TARGET_SCALARS:
            needs.add("target_logits")
        elif column in SCALARS:  # of both distributions
            needs |= {"target_logits", "draft_logits"}
    return frozenset(needs)


def describe_needs(needs: Iterable[str]) -> str:
    """Return what an engine needs in words, such as "target alone: states" or "target: logits; draft: logits"."""
    wanted = [need.split("_") for need in EVERY_NEED if need in set(needs)]
    target, draft = (" and ".join(what for of, what in wanted if of == role) for role in ("target", "draft"))
    if not draft:
        return f"target alone: {target}"
    return f"target: {target}; draft: {draft}" if target else f"draft: {draft}"


def servable_sets(names: Iterable[str], feature_sets: Mapping[str, list[str]], serves: str) -> list[str]:
    """Return the feature sets that an engine can give a judge.

    Parameters
    ----------
    names : iterable of str
        Those that may be chosen.
    feature_sets : mapping of str to list of str
        Their blocks.
    serves : str
        What the engine has, a key of `SERVES`.

    Raises
    ------
    InputError
        There are none.
    """
    found = [name for name in names if needs_of_columns(expand_blocks(feature_sets[name])) <= SERVES[serves]]
    if not found:
        raise InputError(
            f"config key `judge.select.feature_sets`: an engine that has only {' and '.join(sorted(SERVES[serves]))} "
            f"(`serves: {serves}`) can give a judge none of these sets; add `target_scalars`, or another one that "
            "reads nothing else"
        )
    return found
