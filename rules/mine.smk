rule mine_labels:
    """Mine labels, features and responses of one shard of the training and validation problems."""
    input:
        problems="results/{dataset}/{pair}/problems.parquet",
        models=model_files,
        library=library("mine_labels", task_module),
    output:
        **{table: "results/{dataset}/{pair}/" + table + "/{scatteritem}.parquet" for table in PROBLEM_TABLES},
    log:
        "logs/mine_labels/{dataset}/{pair}/{scatteritem}.log",
    benchmark:
        "benchmarks/mine_labels/{dataset}/{pair}/{scatteritem}.tsv"
    params:
        task=lookup(within=config, dpath="datasets/{dataset}/task"),
        max_new_tokens=lookup(within=config, dpath="datasets/{dataset}/max_new_tokens"),
        pair=lookup(within=config, dpath="pairs/{pair}"),
        batch=config["mining"]["batch"],
    threads: pair_resource("threads")
    resources:
        mem_mb=pair_resource("mem_mb"),
        runtime=pair_resource("runtime"),
        gpu=pair_resource("gpus"),
    script:
        "../workflow_scripts/mine_labels.py"


rule gather_labels:
    """Gather the shards of labels, features and responses."""
    input:
        **{
            table: gather.mine("results/{{dataset}}/{{pair}}/" + table + "/{scatteritem}.parquet")
            for table in PROBLEM_TABLES
        },
        library=library("gather_labels"),
    output:
        **{table: "results/{dataset}/{pair}/" + table + ".parquet" for table in PROBLEM_TABLES},
    log:
        "logs/gather_labels/{dataset}/{pair}.log",
    benchmark:
        "benchmarks/gather_labels/{dataset}/{pair}.tsv"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    script:
        "../workflow_scripts/gather_labels.py"
