//! The forwarding headers by name.

use crate::field;

pub(super) const FOR: &str = "x-forwarded-for";
pub(super) const REAL_IP: &str = "x-real-ip";
pub(super) const PROTO: &str = "x-forwarded-proto";
pub(super) const HOST: &str = "x-forwarded-host";
pub(super) const PORT: &str = "x-forwarded-port";
pub(super) const FORWARDED: &str = "forwarded";

/// Whether a field is one that [`forward`](super::forward) writes, also in a spelling that only an app behind
/// CGI or WSGI takes for it ([`field::folds_to`]).
#[inline]
pub(super) fn is_written_by_us(name: &str) -> bool {
    // The length alone settles it for almost every field.
    match name.len() {
        9 => field::folds_to(name, FORWARDED) || field::folds_to(name, REAL_IP),
        15 => field::folds_to(name, FOR),
        16 => field::folds_to(name, HOST) || field::folds_to(name, PORT),
        17 => field::folds_to(name, PROTO),
        _ => false,
    }
}
