//! Shared fixtures. Must not hold assertions about the product.

pub(crate) mod http;
