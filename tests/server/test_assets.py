"""The static files of the operators' pages: those of others are the published ones."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import httpx

from qwendesk.desk.operators.operators import Operators
from tests.server.browser import Browser, add

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "server" / "pages"
VENDOR = PAGES / "static" / "vendor"


def test_files_of_others_are_the_published_ones() -> None:
    listed = dict(
        re.findall(r"^\| `([\w.-]+)` \|.*`([0-9a-f]{64})` \|$", (VENDOR / "README.md").read_text("utf-8"), re.M)
    )
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in VENDOR.glob("*.js")}
    assert listed == files and len(files) == 3
    assert "Zero-Clause BSD" in (VENDOR / "htmx-LICENSE.txt").read_text("utf-8")


def test_styles_follow_the_direction_of_writing_and_templates_have_no_inline_code() -> None:
    styles = "\n".join(path.read_text("utf-8") for path in (PAGES / "static").glob("*.css"))
    sided = re.findall(r"[{;\s]((?:margin|padding|border)-(?:left|right)|(?:left|right|float)\s*:[^;]*)", styles)
    assert sided == []
    for template in (PAGES / "templates").glob("*.jinja"):
        text = template.read_text("utf-8")
        assert not re.search(r"<style|\sstyle=|\son\w+=|hx-on|javascript:|\|\s*safe\b", text), template.name
        assert re.findall(r"<script(?![^>]*\snonce=)", text) == [], template.name
        for form in re.findall(r"<form\b.*?</form>", text, re.S):
            assert "csrf_field()" in form or 'method="get"' in form, template.name


async def test_an_address_with_the_version_is_kept_and_others_are_asked_for_again(operators: Operators) -> None:
    async def cached(browser: httpx.AsyncClient, address: str) -> str:
        return (await browser.get(address)).headers["cache-control"]

    await add(operators, "ann")
    async with Browser(operators) as browser:
        (address,) = re.findall(r'href="(/desk/static/[^"]+)"', (await browser.get("/desk/login")).text)
        assert "immutable" in await cached(browser, address)
        assert await cached(browser, address.replace("v=", "v=0")) == "no-cache"
