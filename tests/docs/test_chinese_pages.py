"""The Chinese pages show what the commands print: their log is read, and each `$ whimbrel` block is run."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGES = Path(__file__).parents[2] / "docs" / "zh"
ORDER = ("your-log", "recommend", "follow-a-shift", "talk")
BLOCK = re.compile(r"^```\n\$ (?P<command>[^\n]+)\n(?P<shown>.*?)^```$", re.MULTILINE | re.DOTALL)
WHIMBREL = f"'{sys.executable}' -m whimbrel.agent.cli.main"


def printed(command: str, folder: Path) -> str:
    """Run a command of a page. Return what it prints, without the bars that stderr shows."""
    environment = os.environ | {"COLUMNS": "90"}
    line = re.sub(r"(?:^|(?<=\| ))whimbrel ", WHIMBREL.replace("\\", "/") + " ", command)
    done = subprocess.run(
        ["bash", "-c", line], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return "\n".join(text.rstrip() for text in done.stdout.splitlines()).strip() + "\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the log that the first page shows."""
    made = tmp_path_factory.mktemp("pages")
    text = (PAGES / "your-log.md").read_text("utf-8")
    found = re.search(r"```csv\n(.*?)```", text, re.DOTALL)
    assert found
    (made / "订单.csv").write_text(found[1], encoding="utf-8")
    return made


def test_the_pages_show_what_the_commands_print(folder: Path) -> None:
    for name in ORDER:
        blocks = list(BLOCK.finditer((PAGES / f"{name}.md").read_text("utf-8")))
        assert blocks, name
        for block in blocks:
            assert printed(block["command"], folder) == block["shown"], block["command"]
