"""Hooks of the site: the README is its first page, notebooks become pages, links to code become plain text.

`llms.txt` lists all pages.
"""

import json
import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r"\[([^\]]+)\]\(([^)#\s]+)(#[^)]*)?\)")
START = "start.md"


def on_files(files: Any, config: Any) -> Any:
    """Add the README as the first page, and a page for each notebook.

    The links of the README begin at the root of the repository.
    """
    text = (ROOT / "README.md").read_text("utf-8")
    text = re.sub(r"(\]\(|src=\")docs/", r"\1", text)
    files.append(File.generated(config, START, content=text))
    for notebook in sorted((ROOT / "docs" / "notebooks").glob("*.ipynb")):
        files.append(File.generated(config, f"notebooks/{notebook.stem}.md", content=notebook_page(notebook)))
    return files


def notebook_page(notebook: Path) -> str:
    """Return a notebook as Markdown: its text and its code. Notebooks are kept without outputs."""
    cells = json.loads(notebook.read_text("utf-8"))["cells"]
    texts = [("".join(cell["source"]), cell["cell_type"]) for cell in cells]
    parts = [f"```python\n{text}\n```" if kind == "code" else text for text, kind in texts]
    return "\n\n".join([parts[0], f"[Download this notebook]({notebook.name}).", *parts[1:]]) + "\n"


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Point links to the README at the first page, and drop other links that leave the docs, if they lead anywhere."""
    folder = (ROOT / "docs" / page.file.src_uri).parent

    def kept(match: re.Match[str]) -> str:
        words, target = match[1], match[2]
        if ":" in target:
            return match[0]
        path = (folder / target).resolve() if page.file.src_uri != START else (ROOT / "docs" / target).resolve()
        if path == ROOT / "README.md":
            up = "../" * page.file.src_uri.count("/")
            return f"[{words}]({up}{START})"
        if path.is_relative_to(ROOT / "docs"):
            return match[0]
        if not path.exists() and not (ROOT / target).exists():
            raise PluginError(f"{page.file.src_uri}: a dead link to {target}")
        return words

    return LINK.sub(kept, markdown)


def on_post_build(config: Any) -> None:
    """List all pages for language models."""
    lines = ["# Whimbrel", "", "> " + config["site_description"], ""]
    for section in config["nav"]:
        for title, pages in section.items():
            entries = pages if isinstance(pages, list) else [{title: pages}]
            lines += ["", f"## {title}", ""]
            for entry in entries:
                lines += [f"- [{name}]({page.removesuffix('.md')}.html)" for name, page in entry.items()]
    (Path(config["site_dir"]) / "llms.txt").write_text("\n".join(lines) + "\n", "utf-8")
