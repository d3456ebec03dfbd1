//! What an event may hold at most, and which revenue counts. Whoever makes events keeps to these, and the
//! receiving end refuses what does not.

/// The most characters of an event's name.
pub const MAX_NAME_CHARS: usize = 120;
/// The most characters of a referrer that are kept.
pub const MAX_REFERRER_CHARS: usize = 2_000;
/// The most custom properties of an event.
pub const MAX_PROPS: usize = 30;
/// The longest key of a custom property, in bytes.
pub const MAX_PROP_KEY_BYTES: usize = 300;
/// The longest value of a custom property, in bytes.
pub const MAX_PROP_VALUE_BYTES: usize = 2_000;

/// ISO 4217, the codes in use.
const CURRENCIES: &str = "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN \
    BWP BYN BZD CAD CDF CHF CLF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP \
    GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP \
    LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK \
    PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND \
    TOP TRY TTD TWD TZS UAH UGX USD UYU UYW UZS VED VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG";

/// Whether a text is the code of a currency (ISO 4217), in upper case.
pub fn is_currency(text: &str) -> bool {
    text.len() == 3 && CURRENCIES.split_ascii_whitespace().any(|code| code == text)
}

/// Whether a text is an amount of money: a decimal number without an exponent.
pub fn is_amount(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    [whole, fraction]
        .iter()
        .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
}
