//! Vectors of `f32`, one kind per instruction set, that the kernels are written over.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;

#[cfg(target_arch = "x86_64")]
pub(crate) use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) use avx512::Avx512;
pub(crate) use portable::Portable;

/// The widest vector in elements.
pub(crate) const WIDEST: usize = 16;

/// Operations on vectors of [`Lanes::WIDTH`] numbers.
///
/// # Safety
/// Every function needs the instruction set of its implementation, and is to be inlined into a function that enables it.
/// Those that take a pointer read or write there `WIDTH` elements, or `count` of them, and need no alignment.
pub(crate) trait Lanes: Copy {
    /// A vector.
    type V: Copy;
    /// How many numbers a vector holds.
    const WIDTH: usize;
    /// How many rows a tile of products has: with [`Lanes::COLUMNS`] it fits into the registers, beside what feeds it.
    const ROWS: usize;
    /// How many vectors of columns a tile has.
    const COLUMNS: usize;

    unsafe fn splat(x: f32) -> Self::V;
    unsafe fn load(from: *const f32) -> Self::V;
    /// The first `count` numbers, then zeros.
    unsafe fn load_part(from: *const f32, count: usize) -> Self::V;
    unsafe fn store(to: *mut f32, v: Self::V);
    unsafe fn store_part(to: *mut f32, v: Self::V, count: usize);
    unsafe fn load_f16(from: *const u16) -> Self::V;
    unsafe fn load_bf16(from: *const u16) -> Self::V;
    unsafe fn load_i8(from: *const i8) -> Self::V;
    /// Rounded to half precision, halves to even.
    unsafe fn store_f16(to: *mut u16, v: Self::V);
    /// Each number, from -127 to 127, rounded to the nearest whole one (halves to even).
    unsafe fn store_i8(to: *mut i8, v: Self::V);
    /// `acc - zero_point * sums`, where `sums` holds whole numbers; exact.
    unsafe fn centre(acc: *const i32, sums: *const f32, zero_point: i32) -> Self::V;
    /// Each number rounded to the nearest whole one (halves to even), plus `zero_point`, within 0 and `levels`.
    unsafe fn store_u8(to: *mut u8, v: Self::V, zero_point: i32, levels: i32);
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn div(a: Self::V, b: Self::V) -> Self::V;
    /// `a * b + c`
    unsafe fn mul_add(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn min(a: Self::V, b: Self::V) -> Self::V;
    /// The nearest whole number, halves to even.
    unsafe fn round(a: Self::V) -> Self::V;
    /// 2 to the power of a whole number from -126 to 127.
    unsafe fn power_of_two(a: Self::V) -> Self::V;
    unsafe fn sum(a: Self::V) -> f32;
    unsafe fn greatest(a: Self::V) -> f32;
    unsafe fn least(a: Self::V) -> f32;
}

/// A number as it lies in memory, widened where it is read.
pub(crate) trait Element: Copy {
    /// # Safety
    /// The contract of [`Lanes`].
    unsafe fn load<L: Lanes>(from: *const Self) -> L::V;
}

/// A number that is narrowed where it is written.
pub(crate) trait Narrow: Element {
    /// # Safety
    /// The contract of [`Lanes`].
    unsafe fn store<L: Lanes>(to: *mut Self, v: L::V);
}

impl Element for f32 {
    #[inline(always)]
    unsafe fn load<L: Lanes>(from: *const Self) -> L::V {
        // SAFETY: the caller's promise.
        unsafe { L::load(from) }
    }
}

impl Narrow for f32 {
    #[inline(always)]
    unsafe fn store<L: Lanes>(to: *mut Self, v: L::V) {
        // SAFETY: the caller's promise.
        unsafe { L::store(to, v) }
    }
}

impl Element for i8 {
    #[inline(always)]
    unsafe fn load<L: Lanes>(from: *const Self) -> L::V {
        // SAFETY: the caller's promise.
        unsafe { L::load_i8(from) }
    }
}

/// Rounded to a whole number; from -127 to 127.
impl Narrow for i8 {
    #[inline(always)]
    unsafe fn store<L: Lanes>(to: *mut Self, v: L::V) {
        // SAFETY: the caller's promise.
        unsafe { L::store_i8(to, v) }
    }
}

/// A number in half precision, as bits.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct Half(#[allow(dead_code, reason = "read as memory")] u16);

impl Element for Half {
    #[inline(always)]
    unsafe fn load<L: Lanes>(from: *const Self) -> L::V {
        // SAFETY: the caller's promise; it is as its bits are.
        unsafe { L::load_f16(from.cast()) }
    }
}

impl Narrow for Half {
    #[inline(always)]
    unsafe fn store<L: Lanes>(to: *mut Self, v: L::V) {
        // SAFETY: as above.
        unsafe { L::store_f16(to.cast(), v) }
    }
}

/// A number in bfloat16, as bits.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct Brain(#[allow(dead_code, reason = "read as memory")] u16);

impl Element for Brain {
    #[inline(always)]
    unsafe fn load<L: Lanes>(from: *const Self) -> L::V {
        // SAFETY: the caller's promise; it is as its bits are.
        unsafe { L::load_bf16(from.cast()) }
    }
}

/// Defines a function that runs a generic kernel with the vectors of an [`crate::Isa`].
///
/// # Safety
/// The function it defines is unsafe as the kernel is; the CPU must have the [`crate::Isa`] it is given.
macro_rules! tiers {
    ($(#[$doc:meta])* $vis:vis unsafe fn $name:ident($($arg:ident: $kind:ty),* $(,)?) = $kernel:ident;) => {
        $(#[$doc])*
        $vis unsafe fn $name(isa: $crate::Isa, $($arg: $kind),*) {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
                unsafe fn avx512($($arg: $kind),*) {
                    // SAFETY: the caller's promise; the features are enabled here.
                    unsafe { $kernel::<$crate::lanes::Avx512>($($arg),*) }
                }
                #[target_feature(enable = "avx2,fma,f16c")]
                unsafe fn avx2($($arg: $kind),*) {
                    // SAFETY: the caller's promise; the features are enabled here.
                    unsafe { $kernel::<$crate::lanes::Avx2>($($arg),*) }
                }
                match isa {
                    // SAFETY: the caller's promise, which covers the instruction set.
                    $crate::Isa::Avx512 => return unsafe { avx512($($arg),*) },
                    // SAFETY: as above.
                    $crate::Isa::Avx2 | $crate::Isa::AvxVnni => return unsafe { avx2($($arg),*) },
                    $crate::Isa::Portable => {}
                }
            }
            let _ = isa;
            // SAFETY: the caller's promise; plain Rust needs no feature.
            unsafe { $kernel::<$crate::lanes::Portable>($($arg),*) }
        }
    };
}
pub(crate) use tiers;
