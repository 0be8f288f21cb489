//! Images: PNG or JPEG of any size to the tensor that the manifest describes.

use std::io::Cursor;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::imageops::FilterType;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, RgbImage, RgbaImage};
use tract_core::prelude::Tensor;

use super::InputError;
use crate::engine::tensor::from_vec;
use crate::model::{Background, Channels, ImageLayout, ImageSpec, Resize};

/// The longest side of an image that is decoded, in pixels.
const MAX_SIDE: u32 = 16_384;
/// The most memory that decoding may take, in bytes.
const MAX_DECODED_BYTES: u64 = 256 * 1024 * 1024;
/// A border brighter than this on average is a light background.
const MIDDLE_GREY: u64 = 127;

/// The bytes of an image that came as base64, plain or as a `data:` URL.
///
/// # Errors
/// [`InputError::Image`] for text that is no base64.
pub(super) fn from_base64(text: &str) -> Result<Vec<u8>, InputError> {
    let payload = match text.strip_prefix("data:") {
        Some(url) => url.split_once(";base64,").map_or("", |(_, payload)| payload),
        None => text,
    };
    STANDARD
        .decode(payload.trim())
        .map_err(|error| InputError::Image(format!("expected a PNG or JPEG in base64, got text that is none: {error}")))
}

/// Images as one tensor, `[images, …]` in the manifest's layout.
///
/// # Errors
/// [`InputError::Image`] for what is no PNG or JPEG, or too large to decode.
pub(super) fn read(images: &[Vec<u8>], spec: &ImageSpec) -> Result<Tensor, InputError> {
    let (width, height, channels) = (spec.width as usize, spec.height as usize, spec.colour.count());
    let mut elements = Vec::with_capacity(images.len() * width * height * channels);
    for image in images {
        let pixels = to_pixels(decode(image)?, spec);
        elements.extend(normalized(&pixels, spec));
    }
    let shape = match spec.layout {
        ImageLayout::Nchw => [images.len(), channels, height, width],
        ImageLayout::Nhwc => [images.len(), height, width, channels],
    };
    from_vec(&shape, elements).map_err(InputError::Image)
}

fn decode(bytes: &[u8]) -> Result<DynamicImage, InputError> {
    let unreadable = |error: image::ImageError| InputError::Image(error.to_string());
    let mut reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|error| InputError::Image(error.to_string()))?;
    if !matches!(reader.format(), Some(ImageFormat::Png | ImageFormat::Jpeg)) {
        return Err(InputError::Image("expected a PNG or a JPEG, got neither".to_owned()));
    }
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_DECODED_BYTES);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(unreadable)?;
    let orientation = decoder.orientation().map_err(unreadable)?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(unreadable)?;
    image.apply_orientation(orientation);
    Ok(image)
}

/// The channels of every pixel, row by row, at the size the model takes.
fn to_pixels(image: DynamicImage, spec: &ImageSpec) -> Vec<u8> {
    let mut image = if image.color().has_alpha() { on_white(&image.into_rgba8()).into() } else { image };
    if spec.colour == Channels::Grey {
        image = image.into_luma8().into();
    } else {
        image = image.into_rgb8().into();
    }
    if let Some(background) = spec.background
        && border_is_light(&image) != (background == Background::Light)
    {
        image.invert();
    }
    let filter = match spec.filter {
        Resize::Nearest => FilterType::Nearest,
        Resize::Triangle => FilterType::Triangle,
        Resize::CatmullRom => FilterType::CatmullRom,
        Resize::Lanczos3 => FilterType::Lanczos3,
    };
    image.resize_exact(spec.width, spec.height, filter).into_bytes()
}

/// Lays a transparent image on white, as a browser shows it.
fn on_white(image: &RgbaImage) -> RgbImage {
    RgbImage::from_fn(image.width(), image.height(), |x, y| {
        let [red, green, blue, alpha] = image.get_pixel(x, y).0;
        let blend =
            |channel: u8| ((u32::from(channel) * u32::from(alpha) + 255 * (255 - u32::from(alpha))) / 255) as u8;
        image::Rgb([blend(red), blend(green), blend(blue)])
    })
}

fn border_is_light(image: &DynamicImage) -> bool {
    let grey = image.to_luma8();
    let (right, bottom) = (grey.width().saturating_sub(1), grey.height().saturating_sub(1));
    let (sum, count) = grey
        .enumerate_pixels()
        .filter(|(x, y, _)| *x == 0 || *y == 0 || *x == right || *y == bottom)
        .fold((0u64, 0u64), |(sum, count), (_, _, pixel)| (sum + u64::from(pixel.0[0]), count + 1));
    sum > count * MIDDLE_GREY
}

/// Pixels as the model wants them: in its layout, scaled, mean and deviation taken out.
fn normalized<'a>(pixels: &'a [u8], spec: &'a ImageSpec) -> impl Iterator<Item = f32> + 'a {
    let channels = spec.colour.count();
    let area = pixels.len() / channels;
    (0..pixels.len()).map(move |index| {
        let (place, channel) = match spec.layout {
            ImageLayout::Nchw => (index % area, index / area),
            ImageLayout::Nhwc => (index / channels, index % channels),
        };
        let value = f32::from(pixels[place * channels + channel]) * spec.scale;
        let mean = spec.mean.get(channel).copied().unwrap_or(0.0);
        let std = spec.std.get(channel).copied().unwrap_or(1.0);
        (value - mean) / std
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(colour: Channels, layout: ImageLayout, background: Option<Background>) -> ImageSpec {
        ImageSpec {
            input: "image".into(),
            width: 2,
            height: 1,
            colour,
            layout,
            filter: Resize::Nearest,
            background,
            scale: 1.0 / 255.0,
            mean: Vec::new(),
            std: Vec::new(),
        }
    }

    fn png(image: impl Into<DynamicImage>) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        image.into().write_to(&mut bytes, ImageFormat::Png).unwrap();
        bytes.into_inner()
    }

    fn elements(image: Vec<u8>, spec: &ImageSpec) -> Vec<f32> {
        let tensor = read(&[image], spec).unwrap();
        tensor.try_as_plain_ram().unwrap().as_slice::<f32>().unwrap().to_vec()
    }

    #[test]
    fn both_layouts_hold_the_same_pixels() {
        let image = png(RgbImage::from_vec(2, 1, vec![255, 0, 0, 0, 0, 255]).unwrap());
        let planes = elements(image.clone(), &spec(Channels::Rgb, ImageLayout::Nchw, None));
        assert_eq!(planes, [1.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
        let pixels = elements(image, &spec(Channels::Rgb, ImageLayout::Nhwc, None));
        assert_eq!(pixels, [1.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
    }

    #[test]
    fn black_on_white_is_inverted_for_a_model_of_white_on_black() {
        let mut grey = image::GrayImage::from_pixel(2, 1, image::Luma([255]));
        grey.put_pixel(0, 0, image::Luma([250]));
        let dark = spec(Channels::Grey, ImageLayout::Nchw, Some(Background::Dark));
        assert!(elements(png(grey), &dark).iter().all(|&value| value < 0.1));
    }

    #[test]
    fn a_transparent_image_lies_on_white() {
        let image = png(RgbaImage::from_pixel(2, 1, image::Rgba([0, 0, 0, 0])));
        assert_eq!(elements(image, &spec(Channels::Grey, ImageLayout::Nchw, None)), [1.0, 1.0]);
    }

    #[test]
    fn what_is_no_image_is_refused() {
        let spec = spec(Channels::Grey, ImageLayout::Nchw, None);
        let mut cut = png(RgbImage::new(4, 4));
        cut.truncate(40);
        for bytes in [Vec::new(), b"GIF89a".to_vec(), b"not an image".to_vec(), cut] {
            assert!(matches!(read(&[bytes], &spec), Err(InputError::Image(_))));
        }
        assert!(from_base64("data:image/png,abc").is_ok_and(|bytes| bytes.is_empty()));
        assert!(from_base64("no base64!").is_err());
    }
}
