//! What a GGUF file must be.
