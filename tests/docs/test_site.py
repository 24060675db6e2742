"""The site: it is built without a dead link, and every page is listed for language models."""

import os
import runpy
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).parents[2]


def test_the_site_is_built_strictly(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    listed = (tmp_path / "site" / "llms.txt").read_text("utf-8")
    pages = [page.relative_to(ROOT / "docs").with_suffix(".html") for page in (ROOT / "docs").rglob("*.md")]
    for page in pages:
        if not page.is_relative_to("evaluation/replies"):
            assert (tmp_path / "site" / page).is_file()
            assert f"({page})" in listed
    for notebook in (ROOT / "docs" / "notebooks").glob("*.ipynb"):
        page = (tmp_path / "site" / "notebooks" / notebook.with_suffix(".html").name).read_text("utf-8")
        assert "evaluation" in page
        assert (tmp_path / "site" / "notebooks" / notebook.name).is_file()  # the page links it for download
        assert f"(notebooks/{notebook.stem}.html)" in listed
    start = (tmp_path / "site" / "start.html").read_text("utf-8")
    assert 'href="tasks/your-log.html"' in start
    assert "googleapis" not in start  # nothing is loaded from elsewhere
    assert "unpkg" not in start


def test_each_page_of_a_stage_has_its_picture_as_it_is_drawn() -> None:
    drawn = runpy.run_path(str(ROOT / "docs" / "pictures" / "draw_stages.py"))["pictures"]()
    pages = {page.stem: page.read_text("utf-8") for page in (ROOT / "docs" / "stages").glob("*.md")}
    assert pages.keys() == drawn.keys()
    for name, svg in drawn.items():
        ElementTree.fromstring(svg)
        assert (ROOT / "docs" / "pictures" / "stages" / f"{name}.svg").read_text("utf-8") == svg
        assert f"../pictures/stages/{name}.svg" in pages[name]
