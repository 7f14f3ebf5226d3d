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


rule prepare_tests:
    """Write the tests of a dataset whose responses are programs, and try each on the dataset's own solution."""
    output:
        "results/{dataset}/tests.parquet",
    log:
        "logs/prepare_tests/{dataset}.log",
    benchmark:
        "benchmarks/prepare_tests/{dataset}.tsv"
    conda:
        "../envs/cpu.yaml"
    threads: 2  # programs run side by side
    resources:
        mem_mb=growing(6000),
        runtime=60,
    params:
        code=code("prepare_tests", task_member),
        dataset=described_tests,
        seed=config["seed"],
    script:
        "../workflow_scripts/prepare_tests.py"
