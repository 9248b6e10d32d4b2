"""Images as upright RGB pictures of eight bits, one per file; everything that cannot become one exactly is refused.

- An orientation tag (EXIF) is applied; an unreadable one is ignored.
- Modes 1, L and P, and LA, PA and RGBA without a transparent pixel are the same in RGB exactly.
- PNG of 16 bits, grey or colour, is scaled by its upper eight bits. Other deep images (I;16, I, F) don't say which
  value is white, and are refused.
- CMYK and YCbCr become RGB by Pillow's fixed formulas, without colour profiles.
- Transparent pixels, several frames (but a camera's MPO, whose first picture is the photograph) and sizes that Pillow
  calls a decompression bomb are refused.
"""

from __future__ import annotations

import struct
import warnings
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from tasks.data.inventory import Blame

if TYPE_CHECKING:
    from PIL.Image import Image

DEEP = {"I", "F", "I;16", "I;16B", "I;16L", "I;16N"}
ALPHA = {"LA", "PA", "La", "RGBA", "RGBa"}
FAULTS = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, struct.error, zlib.error)
"""Errors that Pillow raises for a broken file."""

ORIENTATION = 0x0112
TRANSPARENT = "has transparent pixels: put it on a background of one colour"


def opened(source: Any, blame: Blame) -> Image:
    """The picture in a file, upright and in RGB, with the `format` of the file.

    Raises:
        InputError: the file is broken, or its picture cannot be had in eight bits exactly.
    """
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of large sizes and of tags; what matters is refused below
        try:
            with Image.open(source) as image:
                fault = _fault(image)
                if not fault:
                    image.load()
                    upright = _upright(image)
                    fault, rgb = _rgb(upright)
                    rgb.format = image.format
        except Image.DecompressionBombError:
            fault = f"has more than {2 * (Image.MAX_IMAGE_PIXELS or 0):,} pixels: scale it down first"
        except FAULTS as error:
            fault = f"holds no whole image ({str(error).splitlines()[0] if str(error) else type(error).__name__})"
    if fault:
        raise blame(fault)
    return rgb


def _fault(image: Image) -> str:
    """The fault in an image's header; empty if there is none."""
    frames = getattr(image, "n_frames", 1) if getattr(image, "is_animated", False) else 1
    if frames > 1 and image.format != "MPO":
        return f"holds {frames} pictures: keep the one that is meant"
    if image.mode in DEEP and not (image.format == "PNG" and image.mode.startswith("I;16")):
        return f"is an image of mode {image.mode}, which does not say what is white: save it with 8 bits a channel"
    return ""


def _upright(image: Image) -> Image:
    """The image turned by its orientation tag."""
    from PIL import ImageOps

    try:
        tag = image.getexif().get(ORIENTATION, 1)
        if tag in (1, None):
            return image
        turned: Image = ImageOps.exif_transpose(image)
    except FAULTS:
        return image
    return turned


def _rgb(image: Image) -> tuple[str, Image]:
    """(fault, image): empty and the image in RGB, or the reason why it cannot be RGB."""
    from PIL import Image

    if image.mode.startswith("I;16"):
        if "transparency" in image.info and (np.asarray(image) == image.info["transparency"]).any():
            return TRANSPARENT, image
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ALPHA or "transparency" in image.info:
        alpha = np.asarray(image.convert("RGBA"))[..., 3]
        if alpha.min(initial=255) < 255:
            return TRANSPARENT, image
    return "", image.convert("RGB")


def grey(image: Image) -> Any:
    """The one channel [H, W] uint8 of an image in RGB whose three are the same; None if they are not."""
    pixels = np.asarray(image)
    same = (pixels == pixels[..., :1]).all()
    return pixels[..., 0] if same else None
