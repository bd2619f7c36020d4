"""gpo-vae compare: mistakes are one line (tests/runs/test_compared.py has the rest)."""

import pytest

from tests.running import call


@pytest.mark.parametrize(
    ("words", "says"),
    [(["nosuch"], "there is no folder 'nosuch'"), ([], "two runs or more")],
)
def test_a_mistake_is_one_line(words, says):
    done = call("compare", *words)
    assert done.status == 1
    assert says in done.err
    assert done.err.count("\n") == 1


def test_a_run_without_evaluation_is_told_how_to_get_one(trained):
    done = call("compare", trained[0], f"again={trained[0]}")
    assert done.status == 1
    assert f"gpo-vae evaluate --workdir={trained[0]}" in done.err
