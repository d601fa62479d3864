"""QR codes in a screenshot, read by another implementation than the one that drew them."""

from __future__ import annotations

from base64 import b64decode, b64encode

import numpy
import zxingcpp
from playwright.sync_api import Page

_PIXELS = """async (png) => {
  const bytes = Uint8Array.from(atob(png), (letter) => letter.charCodeAt(0));
  const image = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
  const canvas = new OffscreenCanvas(image.width, image.height).getContext("2d");
  canvas.drawImage(image, 0, 0);
  const { data, width, height } = canvas.getImageData(0, 0, image.width, image.height);
  let gray = "";
  for (let i = 0; i < data.length; i += 4) gray += String.fromCharCode(data[i]);
  return [width, height, btoa(gray)];
}"""


def codes_in(page: Page, png: bytes) -> list[str]:
    """The text of each code in a picture. `page`: any, for a browser knows how to unpack pictures."""
    width, height, gray = page.evaluate(_PIXELS, b64encode(png).decode())
    pixels = numpy.frombuffer(b64decode(gray), numpy.uint8).reshape(height, width)
    return [code.text for code in zxingcpp.read_barcodes(pixels)]


def symbols_in(rows: list[list[int]]) -> list[bytes]:
    """What a symbol of modules (1: dark) says."""
    light = (1 - numpy.array(rows, numpy.uint8)) * numpy.uint8(255)
    pixels = numpy.kron(light, numpy.ones((3, 3), numpy.uint8))
    return [code.bytes for code in zxingcpp.read_barcodes(numpy.pad(pixels, 12, constant_values=255))]
