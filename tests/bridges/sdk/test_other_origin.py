"""A page of another origin in a real browser: it connects where it was named, and is told how where it was not."""

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bridges.serving.random_policy import RandomPolicy
from bridges.serving.site import NO_SITE, Site
from bridges.testing.background_server import background_server
from bridges.testing.page_probe import Page, expect

pytestmark = pytest.mark.browser
SDK = Path(__file__).parents[3] / "bridges" / "sdk" / "js" / "dist"
PAGE = """<!doctype html><link rel="icon" href="data:,"><p id="state"></p><script type="module">
  const { connect } = await import("SDK/index.js");
  const spec = { id: "dot-v0", title: "", frame: { width: 8, height: 8 }, step_hz: 20, controls: [] };
  const onState = (state) => (document.getElementById("state").textContent = state);
  await connect("SERVER", { spec, onState }).catch(({ message }) => onState(message));
</script>"""


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[str]:
    """The origin of a static server of the game's own, whose folder is `tmp_path`."""
    (tmp_path / "sdk").symlink_to(SDK)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://localhost:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_a_named_page_imports_the_modules_and_connects(
    page: Page, elsewhere: str, tmp_path: Path
) -> None:
    with background_server(RandomPolicy(), site=Site.of(None, [elsewhere])) as server:
        text = PAGE.replace("SDK", f"{server.console_url}sdk").replace("SERVER", server.url)
        (tmp_path / "game.html").write_text(text)
        page.goto(f"{elsewhere}/game.html")
        expect(page.locator("#state")).to_have_text("playing")


def test_another_page_is_told_the_option(page: Page, elsewhere: str, tmp_path: Path) -> None:
    with background_server(RandomPolicy(), site=NO_SITE) as server:
        text = PAGE.replace("SDK", "./sdk").replace("SERVER", server.url)
        (tmp_path / "game.html").write_text(text)
        page.goto(f"{elsewhere}/game.html")
        expect(page.locator("#state")).to_contain_text(f"(--allow-origin {elsewhere})")
