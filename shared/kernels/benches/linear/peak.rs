//! The most products a second that a core can make, measured: the multiplying instruction on registers alone.

use std::time::Instant;

use emberlite_kernels::Isa;

/// Products of bytes, or of `f32`, a second.
pub(crate) fn products_per_second(isa: Isa, bytes: bool) -> f64 {
    // Short, so that some are not interrupted.
    const STEPS: usize = 1 << 12;
    let best = |run: &dyn Fn(usize)| {
        let seconds = |_| {
            let start = Instant::now();
            run(STEPS);
            start.elapsed().as_secs_f64()
        };
        (0..4000).map(seconds).fold(f64::INFINITY, f64::min)
    };
    let (per_step, run) = kernel(isa, bytes);
    (STEPS * per_step) as f64 / best(&run)
}

/// How many products a step makes, and what makes so many steps.
#[cfg(target_arch = "x86_64")]
fn kernel(isa: Isa, bytes: bool) -> (usize, impl Fn(usize)) {
    let (per_step, run): (usize, unsafe fn(usize)) = match (isa, bytes) {
        (Isa::Avx512, true) => (x86::CHAINS * 64, x86::avx512_bytes),
        (Isa::Avx512, false) => (x86::CHAINS * 16, x86::avx512_floats),
        (Isa::AvxVnni, true) => (x86::CHAINS * 32, x86::avx_vnni_bytes),
        (_, true) => (x86::CHAINS * 32, x86::avx2_bytes),
        (_, false) => (x86::CHAINS * 8, x86::avx2_floats),
    };
    // SAFETY: only instruction sets that the CPU has are asked for.
    (per_step, move |steps| unsafe { run(steps) })
}

#[cfg(not(target_arch = "x86_64"))]
fn kernel(_: Isa, _: bool) -> (usize, impl Fn(usize)) {
    (0, |_| {})
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;
    use std::hint::black_box;

    /// Sums that do not wait for each other.
    pub(super) const CHAINS: usize = 12;

    /// Defines a loop of one instruction over independent sums.
    macro_rules! chains {
        ($name:ident, $features:literal, $zero:expr, $operand:expr, |$acc:ident, $by:ident| $step:expr) => {
            #[target_feature(enable = $features)]
            pub(super) unsafe fn $name(steps: usize) {
                let mut sums = [black_box($zero); CHAINS];
                let $by = black_box($operand);
                for _ in 0..steps {
                    for sum in &mut sums {
                        let $acc = *sum;
                        *sum = $step;
                    }
                }
                black_box(sums);
            }
        };
    }

    chains!(avx512_bytes, "avx512f,avx512vnni", _mm512_setzero_si512(), _mm512_set1_epi8(1), |acc, by| {
        _mm512_dpbusd_epi32(acc, by, by)
    });
    chains!(avx512_floats, "avx512f", _mm512_setzero_ps(), _mm512_set1_ps(1e-3), |acc, by| {
        _mm512_fmadd_ps(by, by, acc)
    });
    chains!(avx_vnni_bytes, "avx2,avxvnni", _mm256_setzero_si256(), _mm256_set1_epi8(1), |acc, by| {
        _mm256_dpbusd_avx_epi32(acc, by, by)
    });
    // AVX2 needs three instructions for it; the products of the first depend on the sum, so that none is left out.
    chains!(avx2_bytes, "avx2", _mm256_setzero_si256(), _mm256_set1_epi8(1), |acc, by| {
        _mm256_add_epi32(acc, _mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_xor_si256(acc, by), by), by))
    });
    chains!(avx2_floats, "avx2,fma", _mm256_setzero_ps(), _mm256_set1_ps(1e-3), |acc, by| {
        _mm256_fmadd_ps(by, by, acc)
    });
}
