"""What all HTML pages share: one look, escaping, and Markdown as HTML."""

import re
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it import MarkdownIt

FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)  # of a model card, for the hub


def fill_template(name: str, **values: Any) -> str:
    """Return a page from a template beside this module; texts among the values are escaped.

    Parameters
    ----------
    name : str
        File name of a template, which extends `html_page.html.jinja`.
    **values
        What the template asks for: `title` and more.

    Returns
    -------
    str
        One HTML file without outside resources.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name).render(**values)


def render_markdown(text: str, title: str) -> str:
    """Return a Markdown page as one HTML file without outside resources; HTML in the Markdown stays text.

    Parameters
    ----------
    text : str
        Markdown with tables; front matter is left out.
    title : str
        Title of the window.
    """
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    return fill_template("html_page.markdown.jinja", title=title, body=parser.render(FRONT_MATTER.sub("", text)))
