//! The header and the built library: what C sees.

mod header;
mod numbers;
