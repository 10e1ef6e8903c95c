"""MkDocs hook: write each notebook as a page beside it, so that the site can be read without Jupyter.

The pages are ignored by git. They must lie in the documentation folder, because the i18n plugin sorts only files there.
"""

import json
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Write the pages before MkDocs collects its files; a page that is up to date stays untouched."""
    for notebook in sorted(Path(config.docs_dir).rglob("*.ipynb")):
        page, text = notebook.with_suffix(".md"), _as_markdown(notebook)
        if not page.exists() or page.read_text("utf-8") != text:  # `make docs-serve` watches the folder
            page.write_text(text, "utf-8")
    return config


def _as_markdown(path: Path) -> str:
    cells = json.loads(path.read_text("utf-8"))["cells"]
    title, *rest = [_cell(cell["cell_type"], "".join(cell["source"])) for cell in cells]
    heading, _, intro = title.partition("\n")
    return "\n\n".join([heading, f"[{path.name}]({path.name})", intro.strip(), *rest]) + "\n"


def _cell(kind: str, source: str) -> str:
    if kind == "markdown":
        return source
    language = "sh" if source.startswith("!") else "python"
    return f"```{language}\n{source.removeprefix('!')}\n```"
