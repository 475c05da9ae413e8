//! Functions that the verifier walks by themselves, once in each program, and not once for every state in which they are
//! called: what they answer through. What that saves is in docs/adr/0010.
//!
//! Such a function ("global" in BTF, so `#[unsafe(no_mangle)]`, which is what keeps the linker from making it local) takes
//! and gives numbers only. A pointer that the verifier knows is no number: it goes through the scratch, out of which a
//! number comes. To the caller the answer is any number.

/// What such a function answers, of an [`Option`].
#[inline(always)]
pub(crate) fn number(answer: Option<()>) -> u32 {
    u32::from(answer.is_none())
}

/// The reverse. Opaque, because the compiler knows what the verifier does not.
#[inline(always)]
pub(crate) fn option(answer: u32) -> Option<()> {
    (core::hint::black_box(answer) == 0).then_some(())
}
