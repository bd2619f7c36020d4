"""The program around its commands: help, exit status, the user's own command in messages."""

import re

import pytest

from gpo_vae_jax.cli import command_line
from gpo_vae_jax.cli.invocation import COMMANDS, Invocation
from gpo_vae_jax.cli.settings_command import markdown
from gpo_vae_jax.config import Config, EvaluateConfig
from gpo_vae_jax.config_help import settings
from gpo_vae_jax.errors import ConfigError
from tests.paths import ROOT
from tests.running import call, start


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_fits_80_columns(command):
    done = call(*filter(None, [command]), "--help")
    assert done.status == 0
    assert not done.err
    assert max(map(len, done.out.splitlines())) <= 80
    assert done.out.startswith("usage: gpo-vae ")
    assert done.out.isascii()
    assert done.out.count("gpo-vae ") >= 2  # the usage, and an example


def test_help_names_every_command_and_every_preset():
    overview = call("--help").out
    assert re.findall(r"^  (\S+)  ", overview, re.MULTILINE)[: len(COMMANDS)] == list(COMMANDS)
    assert call("help", "train").out == call("train", "--help").out == call("train", "-h").out
    assert call().out == overview
    assert call().status == 1


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["trian"], "there is no command 'trian'; did you mean 'train'?"),
        (["export_grn"], "did you mean 'export-grn'?"),
        (["--workdir=runs/a"], "name a command before the option --workdir=runs/a"),
    ],
)
def test_an_unknown_command_is_one_line(words, says):
    done = call(*words)
    assert (done.status, done.out) == (1, "")
    assert says in done.err
    assert done.err.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (ConfigError("two\n  lines"), 1, "error: two; lines\n"),
        (
            FileNotFoundError(2, "No such file", "x.h5ad"),
            1,
            "error: [Errno 2] No such file: 'x.h5ad'\n",
        ),
        (
            ConfigError("run gpo-vae prepare, not gpo-vae"),
            1,
            "error: run gpo-vae prepare, not gpo-vae\n",
        ),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_what_a_command_raises_becomes_a_status(monkeypatch, error, status, said):
    def fail(*_):
        raise error

    monkeypatch.setattr(command_line, "_dispatch", fail)
    done = call("train")
    assert (done.status, done.err) == (status, said)


@pytest.mark.parametrize(
    ("invocation", "train", "export", "listed"),
    [
        (Invocation(), "gpo-vae train", "gpo-vae export-grn", "gpo-vae settings"),
        (
            Invocation("python -m gpo_vae_jax"),
            *(f"python -m gpo_vae_jax {name}" for name in ("train", "export-grn", "settings")),
        ),
        (
            Invocation(scripts="../scripts"),
            *("python ../scripts/train.py", "python ../scripts/export_grn.py"),
            "python -m gpo_vae_jax settings",
        ),
    ],
)
def test_messages_name_the_user_s_own_command(invocation, train, export, listed):
    text = "gpo-vae train, then gpo-vae export-grn; gpo-vae settings; install gpo-vae-jax, gpo-vae"
    assert invocation.spelled(text) == (
        f"{train}, then {export}; {listed}; install gpo-vae-jax, gpo-vae"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("config.train.seed=-1 must be", "--config.train.seed=-1 must be"),
        ("set (config.prepare.layer=a)", "set (--config.prepare.layer=a)"),
        ("evaluate.top=0 must be", "--evaluate.top=0 must be"),
        ("see --config.train.seed, gpo_vae_jax/config.py", None),
        ("evaluate.py; my.config.train.x; config.py", None),
    ],
)
def test_messages_name_settings_as_options(text, said):
    assert Invocation().spelled(text) == (said or text)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(3.14, "3.1 s"), (65, "1 min 5 s"), (3600 + 125, "1 h 2 min 5 s")],
)
def test_total_time_is_told_in_words(monkeypatch, seconds, said):
    monkeypatch.setattr("time.perf_counter", lambda: 100.0 + seconds)
    assert Invocation(began=100.0).total_time() == f"total time {said}"


def test_settings_lists_everything_within_80_columns():
    done = call("settings")
    listed = set(re.findall(r"^  --([\w.]+)=", done.out, re.MULTILINE))
    every = {".".join(setting.path) for setting in settings(Config)} - {"name"}
    every |= {f"evaluate.{setting.path[0]}" for setting in settings(EvaluateConfig)}
    assert listed == every | {"config.name"}
    assert max(map(len, done.out.splitlines())) <= 80 + len("pct_counts_hb")  # one long default


def test_settings_of_a_group_and_of_a_preset():
    out = call("settings", "train", "model", "--preset=demo", "--train.seed=9").out
    assert "--train.seed=9\n" in out
    assert "--model.mask_prior=0.05\n" in out
    assert "--prepare." not in out
    done = call("settings", "trian")
    assert "there is no group 'trian'; did you mean 'train'?" in done.err


def test_the_page_of_settings_is_what_the_command_writes():
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert page[page.index("## config") :] == call("settings", "--markdown").out
    (line,) = [line for line in markdown("m", "a", settings(Config)[-1:]) if line.startswith("| `")]
    assert line.startswith("| `m.devices.genes` | `1` |")


def test_help_needs_no_jax():
    """Importing jax takes seconds: only what needs it imports it."""
    heavy = "{'jax', 'numpy', 'anndata', 'pandas', 'matplotlib', 'ml_collections', 'absl'}"
    program = (
        "import sys; from gpo_vae_jax.cli import main; "
        f"status = [main([c, '--help']) for c in {[*COMMANDS]}] + [main(['settings'])]; "
        f"print(sorted({heavy} & set(sys.modules)), sum(status))"
    )
    done = start("-c", program)
    assert done.status == 0, done.err
    assert done.out.splitlines()[-1] == "[] 0"


def test_the_program_starts_as_a_module_and_as_a_script():
    done = start("-m", "gpo_vae_jax", "train", "--preset=demo")
    assert done.status == 1
    assert done.err.startswith("error: --workdir is missing")
    done = start("scripts/download_datasets.py", "nosuch", "--fodler=x")
    assert done.status == 1
    assert "see python scripts/download_datasets.py --help" in done.err


def test_any_console_can_be_written_to(tmp_path):
    done = start(
        *("-m", "gpo_vae_jax", "train", "--preset=demo", f"--config={tmp_path / 'gène.py'}"),
        PYTHONIOENCODING="ascii",
    )
    assert done.status == 1
    done = start("-m", "gpo_vae_jax", "gène", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert done.status == 1
    assert r"there is no command 'g\xe8ne'" in done.err


def test_a_reader_that_leaves_is_no_error():
    program = (
        "import subprocess, sys; "
        "p = subprocess.Popen([sys.executable, '-m', 'gpo_vae_jax', 'settings'], "
        "stdout=subprocess.PIPE, stderr=subprocess.PIPE); "
        "p.stdout.close(); print(p.wait(), p.stderr.read())"
    )
    assert start("-c", program).out == "141 b''\n"
