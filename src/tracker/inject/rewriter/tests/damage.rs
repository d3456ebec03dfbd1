//! Bodies that are not what their heads say, and faults of our own.

use super::*;

#[test]
fn a_body_that_is_not_in_its_coding_goes_on_as_it_came() {
    for (coding, wire) in CODINGS {
        for body in ["<html><head></head></html>", "x", ""] {
            let got = pass(rewriter(coding), body.as_bytes().chunks(4)).unwrap();
            assert_page(&format!("{wire:?}"), &got, body.as_bytes());
        }
    }
}

/// Text that does not become shorter, so that the damage is far from the start.
fn noise(bytes: usize) -> String {
    let mut state = 1_u64;
    let mut letter = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        char::from(b'a' + (state >> 59) as u8 % 26)
    };
    (0..bytes).map(|_| letter()).collect()
}

#[test]
fn damage_behind_the_script_cuts_the_page_there_and_damage_before_it_changes_nothing() {
    let sent = format!("<head></head><body>{}</body>", noise(100_000));
    for (coding, wire) in CODINGS {
        let mut coded = encode(wire, sent.as_bytes());
        let at = coded.len() / 2;
        // Among so many there is a header, a code or a checksum that can't be.
        coded.truncate(at);
        coded.extend(noise(100_000).bytes().map(|letter| letter.wrapping_mul(89)));
        let Err(got) = pass(rewriter(coding), coded.chunks(4096)) else {
            panic!("{wire:?} is damaged");
        };
        let (text, complete) = decode(wire, &got);
        let right = sent.replace("<head>", &format!("<head>{TAG}"));
        assert!(!complete, "{wire:?}");
        assert!(
            right.as_bytes()[..text.len() / 2] == text[..text.len() / 2] && text.len() > 10_000,
            "{wire:?}: {} bytes",
            text.len()
        );
        let mut coded = encode(wire, sent.as_bytes());
        coded[..4].fill(0xFF);
        let got = pass(rewriter(coding), coded.chunks(4096)).unwrap();
        assert_page(&format!("{wire:?}"), &got, &coded);
    }
}

#[test]
fn a_coded_body_that_is_cut_stays_cut() {
    let sent = format!("<head></head><body>{}</body>", noise(100_000));
    for (coding, wire) in CODINGS {
        let coded = encode(wire, sent.as_bytes());
        let got = pass(rewriter(coding), coded[..coded.len() - 100].chunks(4096)).unwrap();
        let (text, complete) = decode(wire, &got);
        assert!(text.len() > 10_000 && !complete, "{wire:?}");
        let head = pass(rewriter(coding), [&coded[..3]]).unwrap();
        assert_page(&format!("{wire:?}"), &head, &coded[..3]);
    }
}

#[test]
fn what_follows_the_coded_data_goes_on() {
    let coded = encode(Wire::Gzip, b"<head></head>");
    let got = pass(rewriter(ContentCoding::Gzip), [&coded[..], b"padding"]).unwrap();
    assert!(got.ends_with(b"padding"));
    assert_eq!(
        decode(Wire::Gzip, &got).0,
        format!("<head>{TAG}</head>").into_bytes()
    );
    // zstd has frames, each a part of the page.
    let frames = [
        encode(Wire::Zstd, b"<head></he"),
        encode(Wire::Zstd, b"ad><body>x"),
    ]
    .concat();
    for size in [1, frames.len()] {
        let got = pass(rewriter(ContentCoding::Zstd), frames.chunks(size)).unwrap();
        let right = format!("<head>{TAG}</head><body>x").into_bytes();
        assert_eq!(decode(Wire::Zstd, &got), (right, true));
    }
}

#[test]
fn giving_up_over_a_fault_of_our_own_loses_nothing_that_was_kept() {
    let plain = b"<html><head><title>";
    for (coding, sent) in [
        (ContentCoding::Identity, plain.to_vec()),
        (ContentCoding::Gzip, encode(Wire::Gzip, plain)[..12].to_vec()),
    ] {
        let (mut rewriter, mut got) = (rewriter(coding), Vec::new());
        rewriter.push(&sent, &mut got).unwrap();
        rewriter.give_up(&mut got).unwrap();
        rewriter.push(b"rest", &mut got).unwrap();
        assert_page("kept", &got, &[&sent[..], b"rest"].concat());
    }
}
