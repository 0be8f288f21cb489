//! What the rotations of language models are.
