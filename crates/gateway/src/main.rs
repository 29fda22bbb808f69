//! Placeholder until the first page is written.
fn main() {}
