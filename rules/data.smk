rule prepare_problems:
    """Draw a dataset's problems, split them, and build a pair's prompts."""
    input:
        models=model_files,
        sources=dataset_files,
        code=code("prepare_problems", task_module),
    output:
        "results/{dataset}/{pair}/problems.parquet",
    log:
        "logs/prepare_problems/{dataset}/{pair}.log",
    benchmark:
        "benchmarks/prepare_problems/{dataset}/{pair}.tsv"
    conda:
        "../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=20,
    params:
        dataset=dataset_settings,
        pair=pair_settings,
        seed=config["seed"],
    script:
        "../workflow_scripts/prepare_problems.py"
