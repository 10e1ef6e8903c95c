"""What stands in a finished report, read with other programs than it was written with."""

import re
from html.parser import HTMLParser
from pathlib import Path

Table = list[tuple[str, ...]]


class Page(HTMLParser):
    """The elements of a page with their attributes, and the tables of each language by caption."""

    def __init__(self, source: Path | str):
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.tables: dict[str, dict[str, Table]] = {}
        self.texts: list[tuple[str, str]] = []  # element, text directly in it
        self._open: list[str] = []
        self._language = self._caption = ""
        self.feed(source if isinstance(source, str) else source.read_text("utf-8"))
        self.close()
        assert not self._open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "br"):
            self._open.append(tag)
        if tag == "article":
            self._language = dict(attrs)["id"]
            self.tables[self._language] = {}
        elif tag == "caption":
            self._caption = ""
        elif tag == "tr":
            self.tables[self._language].setdefault(self._caption, []).append(())
        elif tag in ("th", "td"):
            self._cells([*self._row(), ""])
        elif tag == "br":
            self.handle_data(" ")

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if self._open and self._open[-1] not in ("script", "style"):
            self.texts.append((self._open[-1], data))
        if "caption" in self._open:
            self._caption += data
        elif "th" in self._open or "td" in self._open:
            *before, last = self._row()
            self._cells([*before, last + data])

    def _row(self):
        return self.tables[self._language][self._caption][-1]

    def _cells(self, cells):
        self.tables[self._language][self._caption][-1] = tuple(cells)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def markdown_table(path: Path, start: str) -> Table:
    """The table whose caption begins so: header and rows, without the marks of bold type."""
    lines = path.read_text("utf-8").splitlines()
    (place,) = [number for number, line in enumerate(lines) if line.startswith(f"**{start}")]
    rows = []
    for line in lines[place + 2 :]:
        if not line.startswith("|"):
            break
        rows.append(tuple(re.sub(r"\*\*|\\", "", cell).strip() for cell in line.strip("|").split(" | ")))
    return [rows[0], *rows[2:]]


def listings(path: Path) -> list[str]:
    """Commands of a Markdown file: those of one line."""
    return re.findall(r"^```\n(.*)\n```$", path.read_text("utf-8"), re.MULTILINE)
