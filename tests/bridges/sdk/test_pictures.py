"""Pictures of a canvas in a real browser: what is sent is what is drawn."""

from collections.abc import Iterator
from typing import Any

import pytest

from bridges.serving.random_policy import RandomPolicy
from bridges.testing.background_server import background_server
from bridges.testing.page_probe import Page

pytestmark = pytest.mark.browser
PIXELS = """async (size) => {
  const { rawPicture } = await import("/sdk/index.js");
  const make = async () => { MAKE };
  const { data, width, height, codec } = rawPicture(await make(), size);
  return { codec, size: [width, height], data: [...data] };
}"""
RED = "context.fillStyle = '#f00'; context.fillRect(0, 0, 1, 2);"
CANVAS = "Object.assign(document.createElement('canvas'), {width: 2, height: 2})"


@pytest.fixture
def blank(page: Page) -> Iterator[Page]:
    """A page that may run scripts of the test's."""
    with background_server(RandomPolicy()) as server:
        context = page.context.browser.new_context(bypass_csp=True)
        blank = context.new_page()
        blank.goto(f"{server.console_url}schema.json")
        yield blank
        context.close()


def pixels(page: Page, make: str, size: Any = None) -> list[tuple[int, ...]]:
    """RGB of what is sent of a source that a script makes."""
    picture = page.evaluate(PIXELS.replace("MAKE", make), size)
    assert picture["codec"] == "rgba"
    data = picture["data"]
    assert len(data) == 4 * picture["size"][0] * picture["size"][1]
    return [tuple(data[i : i + 3]) for i in range(0, len(data), 4)]


def canvas(drawing: str) -> str:
    return f"const canvas = {CANVAS}; const context = canvas.getContext('2d'); {drawing} return canvas;"


def test_a_canvas_is_sent_as_it_is_drawn_and_nothing_of_the_one_before(blank: Page) -> None:
    white = "context.fillStyle = '#fff'; context.fillRect(0, 0, 2, 2);"
    assert pixels(blank, canvas(white)) == [(255, 255, 255)] * 4
    assert pixels(blank, canvas(RED)) == [(255, 0, 0), (0, 0, 0)] * 2
    ((red, green, blue),) = pixels(blank, canvas(RED), {"width": 1, "height": 1})
    assert 60 < red < 195
    assert green == blue == 0


def test_other_sources(blank: Page) -> None:
    gl = f"""const canvas = {CANVAS}; const gl = canvas.getContext('webgl');
      gl.clearColor(0, 0, 1, 1); gl.clear(gl.COLOR_BUFFER_BIT); return canvas;"""
    assert pixels(blank, gl) == [(0, 0, 255)] * 4
    offscreen = canvas(RED).replace(CANVAS, "new OffscreenCanvas(2, 2)")
    assert pixels(blank, offscreen) == [(255, 0, 0), (0, 0, 0)] * 2
    bitmap = canvas(RED).replace("return canvas", "return createImageBitmap(canvas)")
    assert pixels(blank, bitmap) == [(255, 0, 0), (0, 0, 0)] * 2
    data = canvas(RED).replace("return canvas", "return context.getImageData(0, 0, 2, 1)")
    assert pixels(blank, data)[0] == (255, 0, 0)


@pytest.mark.parametrize("offscreen", [True, False])
def test_compressed_pictures_have_the_bytes_of_their_size(blank: Page, offscreen: bool) -> None:
    if not offscreen:
        blank.evaluate("delete globalThis.OffscreenCanvas")  # as in older browsers
    found = blank.evaluate(
        """async () => {
      const { jpegPicture, pngPicture, packFrame, unpackFrame } = await import("/sdk/index.js");
      const canvas = Object.assign(document.createElement("canvas"), { width: 64, height: 32 });
      canvas.getContext("2d").fillRect(0, 0, 64, 32);
      const pictures = [
        await jpegPicture(canvas), await jpegPicture(canvas, { width: 16, height: 8, quality: 0.5 }),
        await pngPicture(canvas),
      ];
      return pictures.map(({ codec, data }) => {
        const { picture } = unpackFrame(packFrame({ codec, data }, { number: 1 })); // the size is read from the bytes
        return [picture.codec, picture.width, picture.height];
      });
    }"""
    )
    assert found == [["jpeg", 64, 32], ["jpeg", 16, 8], ["png", 64, 32]]
