"""Rule plot_pareto: a dataset's figure of accuracy against accepted tokens per cycle."""

from autojudge.reporting.pareto_figure import draw_pareto
from autojudge.reporting.style import save_figure
from autojudge.tables.files import read_table
from autojudge.tables.reporting import CURVE, PARETO, SUMMARY


def plot_pareto(pareto: str, curve: str, summary: str, dataset: str, path_pdf: str, path_png: str) -> None:
    """Draw the tables of those names."""
    figure = draw_pareto(
        read_table(PARETO, pareto),
        read_table(CURVE, curve),
        read_table(SUMMARY, summary),
        title=f"{dataset}: accuracy against accepted tokens per cycle",
    )
    save_figure(figure, path_pdf, path_png)


if __name__ == "__main__":
    from autojudge.jobs.progress import job_log

    with job_log(snakemake.log[0]):
        plot_pareto(
            pareto=snakemake.input.pareto,
            curve=snakemake.input.curve,
            summary=snakemake.input.summary,
            dataset=snakemake.wildcards.dataset,
            path_pdf=snakemake.output.pdf,
            path_png=snakemake.output.png,
        )
