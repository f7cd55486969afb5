"""Server address: every form a user may give, and refusals that say what is wrong."""

import pytest

from bridges.errors import BridgeError
from bridges.protocol.address import websocket_url


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("ws://127.0.0.1:8765", "ws://127.0.0.1:8765/v1"),
        ("ws://127.0.0.1:8765/", "ws://127.0.0.1:8765/v1"),
        ("ws://127.0.0.1:8765/v1", "ws://127.0.0.1:8765/v1"),
        ("ws://127.0.0.1:8765/v1/", "ws://127.0.0.1:8765/v1"),
        ("http://127.0.0.1:8765/", "ws://127.0.0.1:8765/v1"),
        ("https://player.example", "wss://player.example/v1"),
        ("WSS://player.example:443/v1", "wss://player.example:443/v1"),
        ("127.0.0.1:8765", "ws://127.0.0.1:8765/v1"),
        ("localhost:8765/v1", "ws://localhost:8765/v1"),
        (" ws://[::1]:8765 ", "ws://[::1]:8765/v1"),
    ],
)
def test_forms_of_one_address(address: str, url: str) -> None:
    assert websocket_url(address) == url


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("ws://::1:8765/v1", r"brackets, as in ws://\[::1\]:8765/v1"),
        ("::1", r"brackets, as in ws://\[::1\]:8765/v1"),
        ("ws://fe80::2/v1", r"brackets, as in ws://\[fe80::2\]:8765/v1"),
        ("1:2:3:4:5:6:7:8:90", r"brackets, as in ws://\[1:2:3:4:5:6:7:8\]:90/v1"),
        ("a:b:c", r"brackets, as in ws://\[::1\]:8765/v1"),
        ("ws://a b:8765", "no spaces"),
        ("\x00:8765", "no spaces and no control characters"),
        ("::1:8765", r"brackets, as in ws://\[::1\]:8765/v1"),
        ("ftp://127.0.0.1:8765", "ftp://, not with ws:// or http://"),
        ("ws://127.0.0.1:8765/neuro", "its path is /v1, not /neuro"),
        ("ws://127.0.0.1:99999", "Port out of range"),
        ("ws://127.0.0.1:port", "Port"),
        ("ws://[::1", "Invalid IPv6 URL"),
        ("", "no host"),
    ],
)
def test_a_wrong_address_is_named_with_its_fault(address: str, problem: str) -> None:
    with pytest.raises(BridgeError, match=problem) as caught:
        websocket_url(address)
    assert repr(address) in str(caught.value)


@pytest.mark.parametrize(
    "address", ["ws://:secret@host:8765/v1", "ws://host:8765/v1?token=secret", "host:8765#secret"]
)
def test_a_token_in_an_address_is_refused_and_not_repeated(address: str) -> None:
    with pytest.raises(BridgeError, match="a token is given by itself") as caught:
        websocket_url(address)
    assert "secret" not in str(caught.value)
