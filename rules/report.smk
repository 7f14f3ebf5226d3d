rule build_pareto:
    """Summarise a dataset's sweeps into tables of accuracy and speed."""
    input:
        sweeps=of_each_pair("results/{dataset}/{pair}/sweep.parquet"),
        judges=judges_of_figure("results/{dataset}/{pair}/judge/judge.json"),
        costs=of_each_pair("results/{dataset}/{pair}/call_cost.json"),
    output:
        pareto="results/{dataset}_pareto.csv",
        curve="results/{dataset}_curve.parquet",
        summary="results/{dataset}_summary.csv",
        windows="results/{dataset}_windows.csv",
    log:
        "logs/build_pareto/{dataset}.log",
    benchmark:
        "benchmarks/build_pareto/{dataset}.tsv"
    conda:
        "../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=30,
    params:
        code=code("build_pareto", rule_members),
        pairs=figure_pairs,
        rules=swept_rules(),
        cost_ratios=config["decoding"]["cost_ratios"],
        tolerance=config["decoding"]["tolerance"],
        seed=config["seed"],
    script:
        "../workflow_scripts/build_pareto.py"


rule plot_pareto:
    """Draw accuracy against speed, every pair and rule of a dataset, for a page and for a column."""
    input:
        curve="results/{dataset}_curve.parquet",
        summary="results/{dataset}_summary.csv",
        windows="results/{dataset}_windows.csv",
    output:
        pdf="results/{dataset}_pareto.pdf",
        png="results/{dataset}_pareto.png",
        column="results/{dataset}_pareto_column.pdf",
    log:
        "logs/plot_pareto/{dataset}.log",
    benchmark:
        "benchmarks/plot_pareto/{dataset}.tsv"
    conda:
        "../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=30,
    params:
        code=code("plot_pareto"),
    script:
        "../workflow_scripts/plot_pareto.py"


rule write_summary:
    """Write a dataset's summary, and what tuning the window gives, as tables to print."""
    input:
        summary="results/{dataset}_summary.csv",
        windows="results/{dataset}_windows.csv",
        pareto="results/{dataset}_pareto.csv",
    output:
        markdown="results/{dataset}_summary.md",
        latex="results/{dataset}_summary.tex",
    log:
        "logs/write_summary/{dataset}.log",
    benchmark:
        "benchmarks/write_summary/{dataset}.tsv"
    conda:
        "../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=30,
    params:
        code=code("write_summary", task_member),
        task=dataset_value("task"),
        tolerance=config["decoding"]["tolerance"],
    script:
        "../workflow_scripts/write_summary.py"


rule plot_speed:
    """Draw the measured speed, and the speed that the counted calls promise where a draft call costs another share."""
    input:
        speed="results/{dataset}/{pair}/speed.csv",
        windows="results/{dataset}_windows.csv",
    output:
        pdf="results/{dataset}/{pair}/speed.pdf",
        png="results/{dataset}/{pair}/speed.png",
    log:
        "logs/plot_speed/{dataset}/{pair}.log",
    benchmark:
        "benchmarks/plot_speed/{dataset}/{pair}.tsv"
    conda:
        "../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=30,
    params:
        code=code("plot_speed"),
    script:
        "../workflow_scripts/plot_speed.py"


rule report_answers:
    """Tell in which form responses gave their answers, and how many were cut off."""
    input:
        problems="results/{dataset}/{pair}/problems.parquet",
        tests=tests_of_dataset,
        responses=mined_responses,
        sweep="results/{dataset}/{pair}/sweep.parquet",
    output:
        "results/{dataset}/{pair}/answers.md",
    log:
        "logs/report_answers/{dataset}/{pair}.log",
    benchmark:
        "benchmarks/report_answers/{dataset}/{pair}.tsv"
    conda:
        "../envs/cpu.yaml"
    threads: 2  # programs run side by side
    resources:
        mem_mb=growing(6000),
        runtime=30,
    params:
        code=code("report_answers", task_member),
        title="{dataset}, {pair}",
        task=dataset_value("task"),
        models=models_of_pair,
    script:
        "../workflow_scripts/report_answers.py"


rule show_tokens:
    """Show mined responses with their mismatches, alternatives and the judge's probabilities as a page."""
    input:
        problems="results/{dataset}/{pair}/problems.parquet",
        labels="results/{dataset}/{pair}/labels.parquet",
        features="results/{dataset}/{pair}/features.parquet",
        responses="results/{dataset}/{pair}/responses.parquet",
        judge=["results/{dataset}/{pair}/judge/judge.safetensors", "results/{dataset}/{pair}/judge/judge.json"],
    output:
        "results/{dataset}/{pair}/tokens.html",
    log:
        "logs/show_tokens/{dataset}/{pair}.log",
    benchmark:
        "benchmarks/show_tokens/{dataset}/{pair}.tsv"
    conda:
        "../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=30,
    params:
        code=code("show_tokens"),
        title="{dataset}, {pair}",
        models=models_of_pair,
    script:
        "../workflow_scripts/show_tokens.py"


rule log_to_wandb:
    """Turn a dataset's results into W&B runs, one per pair and rule."""
    input:
        pareto="results/{dataset}_pareto.csv",
        figure="results/{dataset}_pareto.png",
        sweeps=of_each_pair("results/{dataset}/{pair}/sweep.parquet"),
        judges=judges_of_figure("results/{dataset}/{pair}/judge/judge.json"),
        tensors=judges_of_figure("results/{dataset}/{pair}/judge/judge.safetensors"),
    output:
        "results/{dataset}_wandb.json",
    log:
        "logs/log_to_wandb/{dataset}.log",
    benchmark:
        "benchmarks/log_to_wandb/{dataset}.tsv"
    conda:
        "../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=30,
    params:
        code=code("log_to_wandb"),
        dataset="{dataset}",
        pairs=figure_pairs,
        config=tracked_config,
        tracking=config["tracking"] | {"experiment": config["experiment"]},
        folder="results/wandb",
    script:
        "../workflow_scripts/log_to_wandb.py"
