//! From when until when a certificate holds (RFC 5280 §4.1.2.5).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls_pki_types::{CertificateDer, UnixTime, pem::PemObject};
use webpki::{EndEntityCert, KeyUsage};

/// 9999-12-31T23:59:59Z, which certificates without an end are given, in seconds since 1970.
const END_OF_TIME: u64 = 253_402_300_799;

/// The time within which a certificate holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// It does not hold before.
    pub not_before: SystemTime,
    /// It does not hold after.
    pub not_after: SystemTime,
}

impl Validity {
    /// That of a certificate. webpki has no accessor for it, but says so when it is asked to verify the
    /// certificate at a moment before and at one after: it looks at the time first. What it does not say is
    /// no bound.
    pub fn of(certificate: &EndEntityCert<'_>) -> Self {
        let verify = |seconds| {
            let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
            certificate
                .verify_for_usage(&[], &[], &[], time, KeyUsage::server_auth(), None, None)
                .err()
        };
        let not_before = match verify(0) {
            Some(webpki::Error::CertNotValidYet { not_before, .. }) => system_time(not_before),
            _ => UNIX_EPOCH,
        };
        let not_after = match verify(u64::MAX) {
            Some(webpki::Error::CertExpired { not_after, .. }) => system_time(not_after),
            _ => UNIX_EPOCH + Duration::from_secs(END_OF_TIME),
        };
        Validity {
            not_before,
            not_after,
        }
    }

    /// That of a certificate in DER; `None` if webpki cannot read it.
    pub fn of_der(der: &CertificateDer<'_>) -> Option<Self> {
        EndEntityCert::try_from(der).ok().map(|read| Validity::of(&read))
    }

    /// That of the first certificate of a PEM file, which is a server's own.
    pub fn of_pem(pem: &[u8]) -> Option<Self> {
        let der = CertificateDer::from_pem_slice(pem).ok()?;
        Validity::of_der(&der)
    }
}

fn system_time(time: UnixTime) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(time.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_are_read_from_der_and_from_pem() {
        let mut params = rcgen::CertificateParams::new(["a.example".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2026, 1, 31);
        params.not_after = rcgen::date_time_ymd(2026, 5, 1);
        let made = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
        let day = |days: u64| UNIX_EPOCH + Duration::from_secs(days * 24 * 3_600);
        let wanted = Validity {
            not_before: day(20_484),
            not_after: day(20_574),
        };
        assert_eq!(Validity::of_der(made.der()), Some(wanted));
        let chain = made.pem() + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert_eq!(Validity::of_pem(chain.as_bytes()), Some(wanted));
        assert_eq!(Validity::of_pem(b"nothing"), None);
    }
}
