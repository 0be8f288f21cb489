//! Which instruction set the kernels use: the best the CPU has, or the one that was asked for.

use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

/// An instruction set that the kernels are written for, from the least to the best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Isa {
    /// Plain Rust, vectorised by the compiler for the CPU family's least member.
    Portable,
    /// AVX2 with FMA and F16C. Activations of int8 layers have 7 bits, since its product of bytes saturates.
    Avx2,
    /// AVX2 with the byte dot product of AVX-VNNI.
    AvxVnni,
    /// AVX-512 (F, BW, VL, DQ) with VNNI.
    Avx512,
}

/// Why an instruction set can't be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IsaError {
    /// No instruction set has this name.
    Unknown(String),
    /// This CPU lacks it.
    Missing(Isa),
}

impl fmt::Display for IsaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(name) => {
                let names: Vec<_> = Isa::ALL.iter().map(|isa| isa.name()).collect();
                write!(f, "expected one of {}, got {name:?}", names.join(", "))
            }
            Self::Missing(isa) => {
                write!(f, "this CPU has no {isa}; its best is {}", Isa::best())
            }
        }
    }
}

impl std::error::Error for IsaError {}

static CHOSEN: OnceLock<Isa> = OnceLock::new();

impl Isa {
    /// Every instruction set, from the least to the best.
    pub const ALL: [Self; 4] = [Self::Portable, Self::Avx2, Self::AvxVnni, Self::Avx512];

    /// Its name: `portable`, `avx2`, `avxvnni`, `avx512`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::AvxVnni => "avxvnni",
            Self::Avx512 => "avx512",
        }
    }

    /// Whether this CPU has it.
    #[cfg(target_arch = "x86_64")]
    pub fn is_available(self) -> bool {
        let avx2 =
            || is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c");
        match self {
            Self::Portable => true,
            Self::Avx2 => avx2(),
            Self::AvxVnni => avx2() && is_x86_feature_detected!("avxvnni"),
            Self::Avx512 => {
                avx2()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vnni")
            }
        }
    }

    /// Whether this CPU has it.
    #[cfg(not(target_arch = "x86_64"))]
    pub fn is_available(self) -> bool {
        self == Self::Portable
    }

    /// The best that this CPU has.
    pub fn best() -> Self {
        Self::ALL.into_iter().rev().find(|isa| isa.is_available()).unwrap_or(Self::Portable)
    }

    /// The one in use: what [`Isa::choose`] said, else the best.
    pub fn current() -> Self {
        *CHOSEN.get_or_init(Self::best)
    }

    /// Uses this one from now on. It has to be said before the first kernel runs; afterwards it changes nothing.
    ///
    /// # Errors
    /// [`IsaError::Missing`] where this CPU lacks it.
    pub fn choose(self) -> Result<(), IsaError> {
        if !self.is_available() {
            return Err(IsaError::Missing(self));
        }
        CHOSEN.get_or_init(|| self);
        Ok(())
    }

    /// How many steps an activation of an int8 layer is told apart in.
    pub(crate) fn levels(self) -> f32 {
        if self == Self::Avx2 { 127.0 } else { 255.0 }
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Isa {
    type Err = IsaError;

    fn from_str(name: &str) -> Result<Self, IsaError> {
        Self::ALL.into_iter().find(|isa| isa.name() == name).ok_or_else(|| IsaError::Unknown(name.to_owned()))
    }
}
