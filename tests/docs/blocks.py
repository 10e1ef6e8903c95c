"""The code blocks of README, CONTRIBUTING and the site, and why some of them cannot be run."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]
    if not path.name.endswith(".zh.md")
)
_BLOCK = re.compile(r"^(?:<!-- not run: (?P<reason>.+?) -->\n)?```(?P<language>\w*)\n(?P<code>.*?)^```$", re.M | re.S)


@dataclass(frozen=True)
class Block:
    language: str
    code: str
    reason: str | None  # why it is not run

    @property
    def is_run(self) -> bool:
        return self.language in ("sh", "python") and self.reason is None


def blocks(page: str) -> list[Block]:
    text = (ROOT / page).read_text("utf-8")
    return [Block(found["language"], found["code"], found["reason"]) for found in _BLOCK.finditer(text)]


def chinese(page: str) -> str:
    """The Chinese version of a page."""
    return "README.zh-CN.md" if page == "README.md" else page.removesuffix(".md") + ".zh.md"


def commands(code: str) -> list[str]:
    """The commands of a shell block, one string each, without comments and line continuations."""
    lines = code.replace("\\\n", " ").splitlines()
    return [line for line in (re.sub(r"(^|\s)#.*", "", line).strip() for line in lines) if line]
