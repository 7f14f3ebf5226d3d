rule mine_labels:
    """Mine labels, features and responses of one shard of the problems."""
    input:
        problems="results/{dataset}/{pair}/problems.parquet",
        tests=tests_of_dataset,
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
