"""Rule plot_speed: a pair's figure of measured speed, and of the speed that its counted calls promise elsewhere."""

from autojudge.reporting.speed_figure import draw_speed
from autojudge.reporting.style import save_figure
from autojudge.tables.files import read_table
from autojudge.tables.reporting import SPEED, WINDOWS


def plot_speed(speed: str, windows: str, pair: str, path_pdf: str, path_png: str) -> None:
    """Draw table `speed` of a pair, beside its rows of table `windows`."""
    table, of_windows = read_table(SPEED, speed), read_table(WINDOWS, windows)
    title = f"{pair}: speed of decoding, {table['threads'].iloc[0]} threads"
    save_figure(draw_speed(table, of_windows[of_windows["pair"] == pair], title), path_pdf, path_png)


if __name__ == "__main__":
    from autojudge.jobs.progress import job_log

    with job_log(snakemake.log[0]):
        plot_speed(
            speed=snakemake.input.speed,
            windows=snakemake.input.windows,
            pair=snakemake.wildcards.pair,
            path_pdf=snakemake.output.pdf,
            path_png=snakemake.output.png,
        )
