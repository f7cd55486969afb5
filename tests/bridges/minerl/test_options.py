"""Options in the name of a MineRL task."""

import pytest

from bridges.minerl.options import MinerlError, TaskOptions, parse_task


def test_a_task_alone_has_no_options() -> None:
    assert parse_task("MineRLTreechop-v0") == TaskOptions("MineRLTreechop-v0")


def test_all_options() -> None:
    options = parse_task("MineRLTreechop-v0,port=9000,size=128x72,reward=1,steps=400")
    assert options == TaskOptions("MineRLTreechop-v0", 9000, (128, 72), False, 1.0, 400)
    assert parse_task("X,size=task") == TaskOptions("X", has_task_size=True)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("prot=9000", "did you mean 'port'"),
        ("port", "there are port=, size=, reward=, steps="),
        ("port=0", "from 1 to 65535"),
        ("port=9e3", "from 1 to 65535"),
        ("size=64", "WIDTHxHEIGHT"),
        ("size=64x5000", "from 8 to 4096"),
        ("reward=nan", "above 0"),
        ("reward=much", "above 0"),
        ("steps=-1", "a whole number"),
    ],
)
def test_a_wrong_option_is_refused(option: str, message: str) -> None:
    with pytest.raises(MinerlError, match=message):
        parse_task(f"MineRLTreechop-v0,{option}")
