rule sweep_thresholds:
    """Decode one shard of the validation and test problems with every rule at every threshold."""
    input:
        problems="results/{dataset}/{pair}/problems.parquet",
        tests=tests_of_dataset,
        judges=sweep_judges,
        labels=mined_labels,
    output:
        "results/{dataset}/{pair}{part}/sweep/{scatteritem}.parquet",
    log:
        "logs/sweep_thresholds/{dataset}/{pair}{part}/{scatteritem}.log",
    benchmark:
        "benchmarks/sweep_thresholds/{dataset}/{pair}{part}/{scatteritem}.tsv"
    wildcard_constraints:
        part=f"|{SERVED}",
    conda:
        "../envs/gpu.yaml"
    threads: pair_resource("threads")
    resources:
        mem_mb=growing_pair_resource("mem_mb"),
        runtime=growing_pair_resource("runtime"),
        gpu=pair_resource("gpus"),
    params:
        code=code("sweep_thresholds", task_member, rule_members),
        task=dataset_value("task"),
        models=models_of_pair,
        rules=swept_rules,
        decoding=decoding_settings,
        folds=swept_folds,
    script:
        "../workflow_scripts/sweep_thresholds.py"


rule gather_sweep:
    """Gather the shards of the sweep."""
    input:
        shards=gather.sweep("results/{{dataset}}/{{pair}}{{part}}/sweep/{scatteritem}.parquet"),
    output:
        "results/{dataset}/{pair}{part}/sweep.parquet",
    log:
        "logs/gather_sweep/{dataset}/{pair}{part}.log",
    benchmark:
        "benchmarks/gather_sweep/{dataset}/{pair}{part}.tsv"
    wildcard_constraints:
        part=f"|{SERVED}",
    conda:
        "../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=30,
    params:
        code=code("gather_sweep"),
    script:
        "../workflow_scripts/gather_sweep.py"


rule measure_call_cost:
    """Time single calls of draft and target on the whole machine, with no job beside it."""
    output:
        "results/{dataset}/{pair}/call_cost.json",
    log:
        "logs/measure_call_cost/{dataset}/{pair}.log",
    benchmark:
        "benchmarks/measure_call_cost/{dataset}/{pair}.tsv"
    conda:
        "../envs/gpu.yaml"
    threads: config["speed"]["threads"] or workflow.cores
    resources:
        mem_mb=growing_pair_resource("mem_mb"),
        runtime=growing_pair_resource("runtime"),
        gpu=pair_resource("gpus"),
    params:
        code=code("measure_call_cost"),
        models=models_of_pair,
    script:
        "../workflow_scripts/measure_call_cost.py"


rule measure_speed:
    """Time decoding on the whole machine, with no job beside it."""
    input:
        problems="results/{dataset}/{pair}/problems.parquet",
        summary="results/{dataset}_summary.csv",
        cost="results/{dataset}/{pair}/call_cost.json",
        judge=timed_judge,
    output:
        "results/{dataset}/{pair}/speed.csv",
    log:
        "logs/measure_speed/{dataset}/{pair}.log",
    benchmark:
        "benchmarks/measure_speed/{dataset}/{pair}.tsv"
    conda:
        "../envs/gpu.yaml"
    threads: config["speed"]["threads"] or workflow.cores
    resources:
        mem_mb=growing_pair_resource("mem_mb"),
        runtime=growing_pair_resource("runtime"),
        gpu=pair_resource("gpus"),
    params:
        code=code("measure_speed", task_member, rule_members),
        task=dataset_value("task"),
        models=models_of_pair,
        settings=speed_settings,
    script:
        "../workflow_scripts/measure_speed.py"
