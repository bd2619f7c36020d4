"""Options: forms of flags, words after options, and messages of one line."""

import pytest

from gpo_vae_jax.cli.arguments import CommandParser, whole_number
from gpo_vae_jax.cli.invocation import Invocation
from gpo_vae_jax.errors import ConfigError


@pytest.fixture
def parser():
    parser = CommandParser("predict", "Predict.\n\nCells.", Invocation())
    parser.takes("[options]", words="names")
    group = parser.group("group", about="Words.")
    group.add_argument("--names", nargs="+", action="extend", default=[])
    group.add_argument("--library_size", default="1", help="of a cell (default: 1)")
    group.add_argument("--cells", type=whole_number(1), default=5)
    parser.flag(group, "control", default=True, help="leave control cells out")
    parser.flag(group, "expected", default=False, help="expected counts")
    return parser


@pytest.mark.parametrize(
    ("words", "control", "expected"),
    [
        ([], True, False),
        (["--nocontrol"], False, False),
        (["--no-control", "--expected"], False, True),
        (["--control=false", "--expected=True"], False, True),
        (["--no-control=false", "--noexpected"], True, False),
        (["--nocontrol", "--control"], True, False),
    ],
)
def test_forms_of_a_flag(parser, words, control, expected):
    args = parser.read(words)
    assert (args.control, args.expected) == (control, expected)


@pytest.mark.parametrize(
    "words",
    [
        ["--names", "A", "B", "A+B", "--cells=3"],
        ["--names=A", "--cells", "3", "B", "A+B"],
        ["--cells=3", "--names=A", "B", "A+B"],
        ["--names=A", "--names", "B", "A+B", "--cells=3"],
    ],
)
def test_words_after_an_option_belong_to_it(parser, words):
    args = parser.read(words)
    assert (args.names, args.cells) == (["A", "B", "A+B"], 3)


def test_hyphens_and_underscores_are_one(parser):
    assert parser.read(["--library-size=3"]).library_size == "3"
    assert parser.read(["--library_size", "observed"]).library_size == "observed"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["stray"], "unexpected arguments: stray"),
        (["--cell=3"], "there is no option --cell; did you mean '--cells'?"),
        (["--cells=many"], "--cells: 'many' is no whole number of at least 1"),
        (["--cells"], "--cells: a value is missing"),
        (["--control=maybe"], "--control=maybe must be true or false"),
        (["--train.seed=3"], "takes no settings"),
    ],
)
def test_a_mistake_is_one_line(parser, words, says):
    with pytest.raises(ConfigError) as caught:
        parser.read(words)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_help_shows_the_form_that_changes_something(parser):
    text = parser.format_help()
    assert "--no-control" in text
    assert "--no-expected" not in text
    assert "Predict.\nCells." in text
