//! What a mapping costs per alert.

fn main() {}
