"""Everything that the guides name exists: files, headings, settings, commands, functions."""

import ast
import dataclasses
import re

import pytest

import gpo_vae_jax
from gpo_vae_jax import presets
from gpo_vae_jax.cli.invocation import COMMANDS
from gpo_vae_jax.config import Config, EvaluateConfig
from tests.paths import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.M | re.S)
PATH = re.compile(
    r"(?:gpo_vae_jax|tests|scripts|configs|benchmarks|docs|constraints)/[\w./-]*\w/?"
    r"|[a-z_]+/[a-z_/]*[a-z_]\.py"
)


@pytest.fixture(params=PAGES, ids=lambda path: path.name)
def page(request):
    return request.param


def prose(text: str) -> str:
    return FENCE.sub("", text)


def code(text: str) -> str:
    """Return all that is set as code: blocks, indented blocks and words in backticks."""
    blocks = [body for _, body in FENCE.findall(text)]
    indented = re.findall(r"^ {4}.*$", prose(text), re.M)
    return "\n".join([*blocks, *indented, *re.findall(r"`([^`\n]+)`", prose(text))])


def anchors(text: str) -> set[str]:
    """Return the anchors that GitHub makes of the headings."""
    headings = re.findall(r"^#+ (.*)$", prose(text), re.M)
    plain = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings]
    return {heading.strip().replace(" ", "-") for heading in plain}


def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        there = (page.parent / name) if name else page
        assert there.exists(), f"{page.name} links to {target}"
        if anchor:
            assert anchor in anchors(there.read_text()), f"{page.name} links to {target}"


def test_files_that_are_named_exist(page):
    for name in set(PATH.findall(code(page.read_text()))):
        if name.startswith("docs/_build") or re.search(r"(forks|/mine)", name):
            continue
        assert any((root / name).exists() for root in (ROOT, ROOT / "gpo_vae_jax")), name


def test_commands_exist(page):
    text = code(page.read_text())
    for command in re.findall(r"\bgpo-vae ([a-z-]+)", text):
        assert command in COMMANDS, f"gpo-vae {command}"
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.M))
    for words in re.findall(r"\bmake ((?:[a-z][a-z0-9-]*(?: |$))+)", text, re.M):
        assert set(words.split()) <= targets, f"make {words}"


def test_settings_exist(page):
    text = page.read_text()
    for path in re.findall(r"--config\.([a-z_.]*[a-z_])", text):
        settings = Config()
        for name in path.split("."):
            if not name.isupper():
                assert hasattr(settings, name), f"--config.{path}"
                settings = getattr(settings, name)
    known = {field.name for field in dataclasses.fields(EvaluateConfig)}
    assert set(re.findall(r"--evaluate\.([a-z_]+)", text)) <= known
    named = re.findall(r"--preset[ =]([a-z][a-z0-9]*)|\bpresets\.([a-z0-9]+)\(", text)
    for name in filter(None, sum(named, ())):
        assert hasattr(presets, name), name


def test_python_is_python_and_the_public_face_exists(page):
    text = page.read_text()
    for language, body in FENCE.findall(text):
        if language == "python":
            ast.parse(body)
    names = set(re.findall(r"\bgv\.([a-zA-Z]\w*)", code(text)))
    assert names <= set(gpo_vae_jax.__all__), names - set(gpo_vae_jax.__all__)


@pytest.mark.parametrize("path", sorted(PAGES), ids=lambda path: path.name)
def test_lines_fit(path):
    """Tables, links and formulas may be longer: they cannot be wrapped."""
    if path.parent.name != "docs" and path.name != "CONTRIBUTING.md":
        pytest.skip("a page of the front door")
    for line in FENCE.sub("", path.read_text()).splitlines():
        long = len(line) > 100 and not line.startswith(("|", "    ")) and "](" not in line
        assert not long or "\\" in line, line
