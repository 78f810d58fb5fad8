//! iscsicored (in preparation)
fn main() {}
