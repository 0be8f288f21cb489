"""Handwritten 8x8 digits as smooth strokes of any size: for augmentation, examples and the held-out drawings."""

import numpy as np
from PIL import Image, ImageFilter

CANVAS = 64


def smooth(digit: np.ndarray) -> Image.Image:
    """An 8x8 digit (0 to 16) as a 64x64 picture of crisp light strokes on black."""
    small = Image.fromarray((digit * (255 / 16)).round().astype(np.uint8))
    large = np.asarray(small.resize((CANVAS, CANVAS), Image.Resampling.BICUBIC), dtype=np.float32) / 255
    crisp = np.clip((large - 0.5) * 4 + 0.5, 0, 1)
    return Image.fromarray((crisp * 255).round().astype(np.uint8))


def distort(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """The picture turned, stretched, slanted, moved and with thinner or thicker strokes."""
    thickness = rng.integers(4)
    if thickness == 0:
        picture = picture.filter(ImageFilter.MinFilter(3))
    elif thickness == 1:
        picture = picture.filter(ImageFilter.MaxFilter(rng.choice([3, 5])))
    angle, slant = np.deg2rad(rng.uniform(-12, 12)), rng.uniform(-0.15, 0.15)
    size = rng.uniform(0.5, 1.1)
    width, height = size * rng.uniform(0.6, 1.2), size * rng.uniform(0.8, 1.1)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    forward = turn @ np.array([[width, slant], [0, height]])
    # A small digit has room to move: its margin, and a cell beyond for any digit.
    room = CANVAS / 2 * max(0.0, 1 - size) + CANVAS / 16
    moved = CANVAS / 2 + rng.uniform(-room, room, 2)
    inverse = np.linalg.inv(forward)
    offset = CANVAS / 2 - inverse @ moved
    coefficients = (*inverse[0], offset[0], *inverse[1], offset[1])
    return picture.transform(picture.size, Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR)


def faded(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Fainter ink on paper that is not quite black, as a camera or a JPEG leaves it."""
    paper = rng.uniform(0, 0.1)
    return paper + image * (rng.uniform(0.4, 1.0) - paper)


def place(digit: np.ndarray, width: int, height: int, margin: float, *, ink: int, paper: int) -> Image.Image:
    """The digit drawn in `ink` on a `width` x `height` picture of `paper`, `margin` of the shorter side left free."""
    side = round(min(width, height) * (1 - 2 * margin))
    strokes = smooth(digit).resize((side, side), Image.Resampling.BILINEAR)
    picture = Image.new("L", (width, height), paper)
    picture.paste(ink, ((width - side) // 2, (height - side) // 2), strokes)
    return picture


def read(picture: Image.Image) -> np.ndarray:
    """As the recipe's [image] says: grey, 8x8 by a triangle filter, light paper inverted, 0 to 1; [1, 8, 8]."""
    pixels = np.asarray(picture.convert("L").resize((8, 8), Image.Resampling.BILINEAR), dtype=np.float32)
    border = np.concatenate([pixels[0], pixels[-1], pixels[1:-1, 0], pixels[1:-1, -1]])
    return ((255 - pixels if border.mean() > 127.5 else pixels) / 255)[None]
