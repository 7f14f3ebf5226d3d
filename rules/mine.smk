rule mine_labels:
    """Mine labels, features and responses of one shard of the problems."""
    input:
        problems="results/{dataset}/{pair}/problems.parquet",
        tests=tests_of_dataset,
        mined=labels_mined_alike,
    output:
        labels="results/{dataset}/{pair}/labels/{scatteritem}.parquet",
        features="results/{dataset}/{pair}/features/{scatteritem}.parquet",
        responses="results/{dataset}/{pair}/responses/{scatteritem}.parquet",
    log:
        "logs/mine_labels/{dataset}/{pair}/{scatteritem}.log",
    benchmark:
        "benchmarks/mine_labels/{dataset}/{pair}/{scatteritem}.tsv"
    conda:
        "../envs/gpu.yaml"
    threads: pair_resource("threads")
    resources:
        mem_mb=growing_pair_resource("mem_mb"),
        runtime=growing_pair_resource("runtime"),
        gpu=pair_resource("gpus"),
    params:
        code=code("mine_labels", task_member),
        task=dataset_value("task"),
        max_new_tokens=dataset_value("max_new_tokens"),
        models=models_of_pair,
        agreement=agreement_of_dataset,
        likelihood=likelihood_of_pair,
        samples=samples_of_pair,
        splits=mined_splits(),
    script:
        "../workflow_scripts/mine_labels.py"


rule gather_labels:
    """Gather the shards of labels, features and responses."""
    input:
        labels=gather.mine("results/{{dataset}}/{{pair}}/labels/{scatteritem}.parquet"),
        features=gather.mine("results/{{dataset}}/{{pair}}/features/{scatteritem}.parquet"),
        responses=gather.mine("results/{{dataset}}/{{pair}}/responses/{scatteritem}.parquet"),
    output:
        labels="results/{dataset}/{pair}/labels.parquet",
        features="results/{dataset}/{pair}/features.parquet",
        responses="results/{dataset}/{pair}/responses.parquet",
    log:
        "logs/gather_labels/{dataset}/{pair}.log",
    benchmark:
        "benchmarks/gather_labels/{dataset}/{pair}.tsv"
    conda:
        "../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=30,
    params:
        code=code("gather_labels"),
    script:
        "../workflow_scripts/gather_labels.py"


ruleorder: load_labels > gather_labels


rule load_labels:
    """Load labels, features and responses that others mined, where the config names a source of them."""
    input:
        problems="results/{dataset}/{pair}/problems.parquet",
    output:
        labels="results/{dataset}/{pair}/labels.parquet",
        features="results/{dataset}/{pair}/features.parquet",
        responses="results/{dataset}/{pair}/responses.parquet",
        origin="results/{dataset}/{pair}/labels_source.json",
    log:
        "logs/load_labels/{dataset}/{pair}.log",
    benchmark:
        "benchmarks/load_labels/{dataset}/{pair}.tsv"
    wildcard_constraints:
        pair=loaded_labels(config),
    localrule: True  # it may need the network, which nodes of a cluster often lack
    conda:
        "../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=growing(8000),
        runtime=60,
    params:
        code=code("load_labels"),
        source=described_labels,
        models=models_of_pair,
        task=dataset_value("task"),
        tested=uses_labels(config),
    script:
        "../workflow_scripts/load_labels.py"


rule report_mining:
    """Tell how labels were mined, how many alternatives were stopped, and how many of these wrongly."""
    input:
        labels="results/{dataset}/{pair}/labels.parquet",
        responses="results/{dataset}/{pair}/responses.parquet",
    output:
        "results/{dataset}/{pair}/mining.md",
    log:
        "logs/report_mining/{dataset}/{pair}.log",
    benchmark:
        "benchmarks/report_mining/{dataset}/{pair}.tsv"
    conda:
        "../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=30,
    params:
        code=code("report_mining"),
        title="{dataset}, {pair}",
        agreement=lambda wildcards: mined_for(config, wildcards.pair)["mining"]["agreement"] is not None,
        likelihood=likelihood_of_pair,
        samples=samples_of_pair,
    script:
        "../workflow_scripts/report_mining.py"


rule plot_label_stability:
    """Draw whether sampled continuations agree on a mismatch, by the target's margin there."""
    input:
        labels="results/{dataset}/{pair}/labels.parquet",
    output:
        pdf="results/{dataset}/{pair}/label_stability.pdf",
        png="results/{dataset}/{pair}/label_stability.png",
    log:
        "logs/plot_label_stability/{dataset}/{pair}.log",
    benchmark:
        "benchmarks/plot_label_stability/{dataset}/{pair}.tsv"
    conda:
        "../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=10,
    params:
        code=code("plot_label_stability"),
        samples=samples_count,
        seed=config["seed"],
        title="{dataset}, {pair}",
    script:
        "../workflow_scripts/plot_label_stability.py"
