"""Fragments: a message may come in pieces, but not in any number of them."""

from bridges.protocol.fragments import FragmentCounter
from bridges.protocol.limits import ConnectionLimits


def test_each_message_may_have_as_many_pieces_as_the_limit() -> None:
    counter = FragmentCounter(ConnectionLimits(max_fragments=3))
    for _ in range(5):
        assert [counter.add(is_last=n == 2) for n in range(3)] == ["", "", ""]


def test_one_piece_more_is_named() -> None:
    counter = FragmentCounter(ConnectionLimits(max_fragments=3))
    reasons = [counter.add(is_last=False) for _ in range(4)]
    assert reasons == ["", "", "", "a message comes in at most 3 fragments"]
