"""Commands of live Minecraft: mistakes are one line, before anything is started."""

import pytest

from agent_core.__main__ import main
from agent_core.cli.arguments import UsageError
from agent_core.cli.minecraft import player_name


@pytest.mark.parametrize(
    ("command", "line"),
    [
        ("play minecraft", "needs the --host of a server, or --embedded; not both"),
        ("play minecraft --embedded --host x", "needs the --host of a server, or --embedded"),
        ("play minecraft --embedded --task fly", "'fly' is no task; there are chop_tree"),
        ("play minecraft --embedded --human", "--human is for games with an environment"),
        ("play minecraft --host x --name a_name_too_long", "at most 13 letters, digits and _"),
        ("play minecraft --host x --name 'a b'", "at most 13 letters, digits and _"),
        ("play voxel --embedded", "--embedded is an option of the game minecraft"),
        ("play voxel --host x", "--host is an option of the game minecraft"),
        ("record voxel --scripted", "--scripted is an option of the game minecraft"),
        ("record minecraft", "needs --embedded --scripted"),
        ("record minecraft --embedded --scripted --tasks fly", "'fly' is no task"),
        ("record minecraft --embedded --scripted --agent x --noise-prob 0.1", "has no effect"),
        ("evaluate minecraft", "needs a --checkpoint that learned it: the shipped one has not"),
        ("evaluate minecraft --conditions random --data x", "--data is not for minecraft"),
        ("evaluate minecraft --conditions random --tasks fly", "no task called 'fly'"),
        ("evaluate voxel --size 128x72", "--size is an option of the game minecraft"),
    ],
)
def test_a_mistake_is_one_line(
    command: str, line: str, capsys: pytest.CaptureFixture[str], tmp_path: object
) -> None:
    import shlex

    out = ["--out", str(tmp_path)] if command.startswith("record") else []
    assert main([*shlex.split(command), *out]) == 2
    error = capsys.readouterr().err
    assert line in error
    assert len(error.splitlines()) == 1


def test_the_name_of_a_player_says_that_it_is_an_ai() -> None:
    assert player_name(None) == "AI_iafm"
    assert player_name("bob_2") == "AI_bob_2"
    with pytest.raises(UsageError):
        player_name("ü")
