"""Policy of one's own on the command line."""

from pathlib import Path

import pytest

from agent_core.__main__ import main
from agent_core.cli.arguments import UsageError
from agent_core.cli.policy_module import load_policy

MODULE = """
from bridges.serving.random_policy import RandomPolicy

class Nameless:
    attach = act = ask = print

PLAYER, NAMELESS, NUMBER = RandomPolicy(), Nameless(), 3
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a module of policies."""
    (tmp_path / "policies_here.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_policy_of_the_current_folder_is_loaded(folder: Path) -> None:
    assert load_policy("policies_here:PLAYER").name == "random"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("policies_here:PLAYR", "has no attribute 'PLAYR'"),
        ("policies_away:PLAYER", "No module named 'policies_away'"),
        (":PLAYER", "cannot load"),
        ("policies_here:Nameless", "is a class, not an object of it"),
        ("policies_here:NAMELESS", "lacks a name"),
        ("policies_here:NUMBER", "lacks attach, act, ask"),
    ],
)
def test_what_is_no_policy_is_named(folder: Path, name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_policy(name)


def test_an_unknown_name_gets_the_closest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--policy", "randm"]) == 2
    assert "did you mean 'random'" in capsys.readouterr().err
    assert main(["serve", "--policy", "mine"]) == 2
    assert "there are agent, random, none and module:NAME" in capsys.readouterr().err
