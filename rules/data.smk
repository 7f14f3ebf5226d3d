rule prepare_problems:
    """Draw a dataset's problems, split them, and build a pair's prompts."""
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
        code=code("prepare_problems", task_member),
        dataset=described_dataset,
        models=models_of_pair,
        seed=config["seed"],
    script:
        "../workflow_scripts/prepare_problems.py"
