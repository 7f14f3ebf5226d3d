# Sources of labels compared (docs/mining.md): asked for by name, never part of `rule all`. Each source's labels, judge and
# sweep are made by the rules for any pair, as those of the pair PAIR+NAME.


rule compare_label_sources:
    """Compare sources of labels: their cost, their agreement with exact labels, and the judges trained on them."""
    input:
        labels=of_each_source("results/{dataset}/{pair}/labels.parquet"),
        responses=of_each_source("results/{dataset}/{pair}/responses.parquet"),
        features=ancient("results/{dataset}/{pair}/features.parquet"),
        judges=of_each_source("results/{dataset}/{pair}{part}/judge/judge.json"),
        tensors=of_each_source("results/{dataset}/{pair}{part}/judge/judge.safetensors"),
        sweeps=of_each_source("results/{dataset}/{pair}/sweep.parquet"),
        cost="results/{dataset}/{pair}/call_cost.json",
    output:
        csv="results/{dataset}/{pair}/label_sources.csv",
        markdown="results/{dataset}/{pair}/label_sources.md",
    log:
        "logs/compare_label_sources/{dataset}/{pair}.log",
    benchmark:
        "benchmarks/compare_label_sources/{dataset}/{pair}.tsv"
    wildcard_constraints:
        pair=OWN_PAIRS,
    conda:
        "../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=growing(config["judge"]["mem_mb"]),
        runtime=30,
    params:
        code=code("compare_label_sources", classifier_members),
        sources=describe_sources(config),
        rules=compared_rules,
        mismatches=used_mismatches,
        folds=swept_folds,
        tolerance=config["decoding"]["tolerance"],
        title="{dataset}, {pair}",
        seed=config["seed"],
    script:
        "../workflow_scripts/compare_label_sources.py"


rule plot_label_sources:
    """Draw what labels of each source cost against the area of the judges trained on them."""
    input:
        csv="results/{dataset}/{pair}/label_sources.csv",
    output:
        pdf="results/{dataset}/{pair}/label_sources.pdf",
        png=in_report("results/{dataset}/{pair}/label_sources.png", "label_sources", "Label sources", "{pair}"),
    log:
        "logs/plot_label_sources/{dataset}/{pair}.log",
    benchmark:
        "benchmarks/plot_label_sources/{dataset}/{pair}.tsv"
    conda:
        "../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=10,
    params:
        code=code("plot_label_sources"),
        title="{dataset}, {pair}",
    script:
        "../workflow_scripts/plot_label_sources.py"
