rule build_pareto:
    """Summarise a dataset's sweeps into tables of accuracy and speed."""
    input:
        sweeps=of_each_pair("results/{dataset}/{pair}/sweep.parquet"),
        judges=judges_of_figure("results/{dataset}/{pair}/judge/judge.json"),
        costs=of_each_pair("results/{dataset}/{pair}/call_cost.json"),
    output:
        pareto="results/{dataset}_pareto.csv",
        curve="results/{dataset}_curve.parquet",
        summary=in_report("results/{dataset}_summary.csv", "summary", "Summary, table"),
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
        rules=swept_rules,
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
        png=in_report("results/{dataset}_pareto.png", "pareto", "Accuracy against speed"),
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


rule render_summary:
    """Write a dataset's summary as HTML, for browsers and for the report."""
    input:
        "results/{dataset}_summary.md",
    output:
        in_report("results/{dataset}_summary.html", "summary", "Summary"),
    log:
        "logs/render_summary/{dataset}.log",
    benchmark:
        "benchmarks/render_summary/{dataset}.tsv"
    conda:
        "../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=10,
    params:
        code=code("render_summary"),
    script:
        "../workflow_scripts/render_summary.py"


rule plot_speed:
    """Draw the measured speed, and the speed that the counted calls promise where a draft call costs another share."""
    input:
        speed="results/{dataset}/{pair}/speed.csv",
        windows="results/{dataset}_windows.csv",
    output:
        pdf="results/{dataset}/{pair}/speed.pdf",
        png=in_report("results/{dataset}/{pair}/speed.png", "speed", "Speed", "{pair}"),
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
        in_report("results/{dataset}/{pair}/tokens.html", "tokens", "Token by token", "{pair}"),
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


rule export_judge:
    """Put the judge, the operating point that the sweep recommends, its card and what serves it into one folder."""
    input:
        labels="results/{dataset}/{pair}/labels.parquet",
        features=ancient("results/{dataset}/{pair}/features.parquet"),
        judge=[
            "results/{dataset}/{pair}{part}/judge/judge.safetensors",
            "results/{dataset}/{pair}{part}/judge/judge.json",
        ],
        sweep=recommending_sweep,
    output:
        tensors="results/{dataset}/{pair}{part}/export/judge.safetensors",
        record="results/{dataset}/{pair}{part}/export/judge.json",
        card="results/{dataset}/{pair}{part}/export/README.md",
        serving=directory("results/{dataset}/{pair}{part}/export/custom_generate"),
    log:
        "logs/export_judge/{dataset}/{pair}{part}.log",
    benchmark:
        "benchmarks/export_judge/{dataset}/{pair}{part}.tsv"
    wildcard_constraints:
        part=f"|{SERVED}",
    conda:
        "../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=30,
    params:
        code=code("export_judge"),
        serving=served_code,
        mismatches=used_mismatches,
        folds=dataset_value("folds"),
        settings=export_settings,
    script:
        "../workflow_scripts/export_judge.py"


rule write_index:
    """Write a pair's pages as HTML, and one page that links all of the pair's results."""
    input:
        results=linked_results,
        pages=[f"results/{{dataset}}/{{pair}}/{path}" for path, _ in pair_pages().values()],
        judge=["results/{dataset}/{pair}/judge/judge.json"] if uses_judge(config) else [],
        summary="results/{dataset}_summary.csv",
        figure="results/{dataset}_pareto.png",
        summary_page="results/{dataset}_summary.html",
    output:
        **{
            name: in_report(f"results/{{dataset}}/{{pair}}/{name}.html", name, title, "{pair}")
            for name, (_, title) in pair_pages().items()
        },
        index="results/{dataset}/{pair}/index.html",
        provenance=in_report(
            "results/{dataset}/{pair}/provenance.html", "provenance", "Provenance and settings", "{pair}"
        ),
    log:
        "logs/write_index/{dataset}/{pair}.log",
    benchmark:
        "benchmarks/write_index/{dataset}/{pair}.tsv"
    conda:
        "../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=10,
    params:
        code=code("write_index"),
        pages=list(pair_pages()),
        named=named_results,
        settings=shown_config,
    script:
        "../workflow_scripts/write_index.py"


rule log_to_wandb:
    """Turn a dataset's results into W&B runs, one per pair and rule."""
    input:
        pareto="results/{dataset}_pareto.csv",
        figure="results/{dataset}_pareto.png",
        sweeps=of_each_pair("results/{dataset}/{pair}/sweep.parquet"),
        judges=judges_of_figure("results/{dataset}/{pair}/judge/judge.json"),
        tensors=judges_of_figure("results/{dataset}/{pair}/judge/judge.safetensors"),
        speeds=of_each_pair("results/{dataset}/{pair}/speed.csv"),
        pages=token_pages("results/{dataset}/{pair}/tokens.html"),
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


rule dashboard:
    """Define a W&B workspace and report of all runs; make them where the runs go online, else write the definitions."""
    input:
        [f"results/{dataset}_wandb.json" for dataset in dict.fromkeys(run["dataset"] for run in config["runs"])],
    log:
        "logs/dashboard.log",
    retries: 0
    localrule: True
    conda:
        "../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=20,
    params:
        tracking=config["tracking"] | {"experiment": config["experiment"]},
        folder="results/dashboard",
    script:
        "../workflow_scripts/dashboard.py"
