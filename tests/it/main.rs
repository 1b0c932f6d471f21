//! All integration tests in one binary, so that they are linked once.

#[cfg(test)]
mod bench;
