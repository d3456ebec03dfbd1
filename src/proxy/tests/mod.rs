//! Tests of the whole data path within this process, and what the tests of its parts stand on.

mod cost;
pub(super) mod worker;
