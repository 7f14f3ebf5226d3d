DATASETS, PAIRS = ("|".join(map(re.escape, config[key])) for key in ("datasets", "pairs"))


if workflow.modifier.is_main_snakefile():  # another workflow may well have such paths

    rule refuse_unknown:
        """Tell which datasets and pairs are known, where a path names another."""
        input:
            refuse_names,
        output:
            "results/{unknown}/{file}",
        wildcard_constraints:
            unknown=f"(?!(?:{DATASETS})/(?:{PAIRS})/)[^/]+/[^/]+",
