"""Page probe: what a test sees of the console in a browser (playwright), and does there."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from bridges.testing.scripted_games import SHADES

Page = Any
"""A page of playwright."""
TIMEOUT_MS = 15_000
_LOW_CONTRASTS = """() => {
  const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (text) => {
    const [r, g, b] = rgb(text).map((c) => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (one) => {
    for (; one; one = one.parentElement) {
      const color = getComputedStyle(one).backgroundColor;
      if (rgb(color)[3] !== 0) return color;
    }
    return "rgb(255, 255, 255)";
  };
  const opacity = (one) => one ? Number(getComputedStyle(one).opacity) * opacity(one.parentElement) : 1;
  const seen = (color, below, share) => {
    const [over, under] = [rgb(color), rgb(below)];
    return `rgb(${over.slice(0, 3).map((c, index) => share * c + (1 - share) * under[index])})`;
  };
  const ratio = (one, part) => {
    const below = ground(one);
    const color = seen(getComputedStyle(one, part).color, below, opacity(one));
    const [a, b] = [light(color), light(below)].sort((x, y) => y - x);
    return (a + 0.05) / (b + 0.05);
  };
  const low = {};
  for (const one of document.querySelectorAll("body *")) {
    const text = [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    const hint = one.placeholder && !one.value ? "::placeholder" : null;
    if (!one.checkVisibility() || one.matches("progress, option, [type=radio]")) continue;
    if (!text && !one.value && !hint) continue;
    const contrast = ratio(one, hint);
    if (contrast < 4.5) low[one.id || one.textContent] = contrast;
  }
  return low;
}"""


def expect(target: Any) -> Any:
    """Playwright's waiting assertion about a locator."""
    from playwright.sync_api import expect

    return expect(target)


def until(page: Page, condition: Callable[[], bool]) -> None:
    """Wait for something outside of the page."""
    for _ in range(300):
        if condition():
            return
        page.wait_for_timeout(50)
    raise AssertionError("it did not happen")


def shade(page: Page) -> int:
    """The brightness of the shown picture, -1 without one."""
    return int(
        page.evaluate("""() => {
          const image = document.getElementById("frame");
          if (image.hidden || !image.complete || !image.naturalWidth) return -1;
          const canvas = new OffscreenCanvas(1, 1);
          const draw = canvas.getContext("2d");
          draw.drawImage(image, 0, 0, 1, 1);
          return draw.getImageData(0, 0, 1, 1).data[0];
        }""")
    )


def shows(page: Page, title: str) -> None:
    """Wait until the picture is that of a game."""
    until(page, lambda: abs(shade(page) - SHADES[title]) < 8)


def type_goal(page: Page, text: str) -> None:
    type_words(page, "instruct", text)


def type_words(page: Page, kind: str, text: str) -> None:
    """Type a goal (`instruct`), a correction (`correct`) or a thought (`say`), and press Enter."""
    page.check(f"#kinds [value={kind}]")
    page.fill("#text", text)
    page.press("#text", "Enter")


def rewrite_texts(page: Page, rewrite: Callable[[str], str | None]) -> None:
    """Change what the server sends to a page that is opened next; None leaves a message out."""

    def connect(socket: Any) -> None:
        def pass_on(data: str | bytes) -> None:
            changed = rewrite(data) if isinstance(data, str) else data
            if changed is not None:
                socket.send(changed)

        socket.connect_to_server().on_message(pass_on)

    page.route_web_socket(re.compile(r"/v1$"), connect)


def low_contrasts(page: Page) -> dict[str, float]:
    """Visible texts with less contrast than 4.5 to 1 (WCAG AA), with their ratios."""
    return dict(page.evaluate(_LOW_CONTRASTS))
