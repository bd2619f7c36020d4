"""Everything that the guides name exists: files, headings, settings, commands, functions."""

import ast
import dataclasses
import importlib
import re
import shlex

import pytest

import gpo_vae_jax
from gpo_vae_jax import presets
from gpo_vae_jax.cli.arguments import CommandParser
from gpo_vae_jax.cli.invocation import COMMANDS, Invocation
from gpo_vae_jax.config import Config, EvaluateConfig
from tests.paths import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.M | re.S)
PATH = re.compile(
    r"(?:gpo_vae_jax|tests|scripts|configs|benchmarks|docs|constraints)/[\w./*{},-]*[\w*]/?"
    r"|[a-z_]+/[a-z_/]*[a-z_]\.py"
)
WRITTEN = ("docs/_build", "docs/api", "runs/")  # by commands


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
        if name.startswith(WRITTEN) or re.search(r"[A-Z]{3}|\{", name):  # a placeholder
            continue
        found = [path for root in (ROOT, ROOT / "gpo_vae_jax") for path in root.glob(name)]
        assert found, name


def test_commands_parse(page):
    """Every `gpo-vae COMMAND ...` is understood by the command itself."""
    for block in (body for kind, body in FENCE.findall(page.read_text()) if kind == "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words[:1] == ["gpo-vae"] and len(words) > 2:
                read_options(words[1], words[2:])


def read_options(command, words):
    module = importlib.import_module(f"gpo_vae_jax.cli.{command.replace('-', '_')}_command")
    parser = CommandParser(command, "", Invocation())
    module.define(parser)
    parser.read(words)


def test_commands_and_targets_exist(page):
    text = code(page.read_text())
    for command in re.findall(r"\bgpo-vae ([a-z-]+)", text):
        assert command in COMMANDS, f"gpo-vae {command}"
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.M))
    for words in re.findall(r"\bmake ((?:[a-z][a-z0-9-]*(?: |$))+)", text, re.M):
        assert set(words.split()) <= targets, f"make {words}"


def test_settings_and_presets_exist(page):
    text = page.read_text()
    groups = {field.name for field in dataclasses.fields(Config)}
    for path in re.findall(r"--(?:config\.)?((?!config\.)[a-z]+\.[a-z_]*[a-z])", text):
        group, name = path.split(".")
        settings = EvaluateConfig() if group == "evaluate" else getattr(Config(), group, None)
        assert group in {*groups, "evaluate"} and hasattr(settings, name), path
    named = re.findall(r"--preset[ =]([a-z][a-z0-9]*)|\bpresets\.([a-z0-9]+)\(", text)
    for name in filter(None, sum(named, ())):
        assert name in presets.PRESETS, name


def test_python_is_python_and_the_public_face_exists(page):
    text = page.read_text()
    for language, body in FENCE.findall(text):
        if language == "python":
            ast.parse(body)
    names = set(re.findall(r"\bgv\.([a-zA-Z]\w*)", code(text)))
    assert names <= set(gpo_vae_jax.__all__), names - set(gpo_vae_jax.__all__)


def test_formulas_within_a_line_end_on_it(page):
    """The converter of the documentation takes no line break inside of $...$."""
    text = re.sub(r"`[^`\n]*`|\$\$.*?\$\$", "", prose(page.read_text()), flags=re.S)
    for formula in re.findall(r"(?<!\\)\$([^$]+)\$", text):
        assert "\n" not in formula, formula


def test_no_control_characters(page):
    """A backslash that a program took for an escape leaves one."""
    assert not re.search(r"[\x00-\x09\x0b-\x1f]", page.read_bytes().decode())


def test_lines_fit(page):
    """Tables, links, code and formulas may be longer: they cannot be wrapped."""
    for line in FENCE.sub("", page.read_text()).splitlines():
        long = len(line) > 100 and not line.startswith(("|", "    ")) and "](" not in line
        assert not long or "\\" in line, line
