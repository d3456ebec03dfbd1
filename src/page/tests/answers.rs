//! What the response makes of a navigation.

use crate::page::{DOWNLOADS, Decision, EventKind, Known};

use super::{Case, case, page, saved};

#[test]
fn the_response_decides_what_the_request_left_open() {
    let html = ("Content-Type", "text/html");
    for (status, answer, decision) in [
        (
            200,
            &[("Content-Type", "application/json")][..],
            Decision::NotHtml,
        ),
        (200, &[], Decision::NotHtml),
        (204, &[], Decision::NotPage),
        (205, &[html], Decision::NotPage),
        (206, &[html], Decision::NotPage),
        (301, &[html], Decision::Redirect),
        (302, &[], Decision::Redirect),
        (308, &[], Decision::Redirect),
        (400, &[html], Decision::ErrorStatus),
        (404, &[html], Decision::NotFound),
        (410, &[html], Decision::ErrorStatus),
        (500, &[html], Decision::ErrorStatus),
        (503, &[], Decision::ErrorStatus),
    ] {
        page().answered(status, answer).is(decision, None);
    }
}

#[test]
fn a_page_from_the_browsers_cache_counts_on_the_requests_signs() {
    page().answered(304, &[]).counts();
    page().at("/wiki/Node.js").answered(304, &[]).counts();
    page().at("/a.pdf").answered(304, &[]).counts();
    page()
        .answered(304, &[("Content-Type", "application/json")])
        .is(Decision::NotHtml, None);
    page()
        .at("/photo.jpg")
        .answered(304, &[("Content-Type", "text/html")])
        .counts();
    page().answered(304, &[]).knowing(Known::LastType(true)).counts();
    page()
        .answered(304, &[])
        .knowing(Known::LastType(false))
        .is(Decision::NotHtml, None);
    // Its own type comes first.
    page()
        .answered(304, &[("Content-Type", "text/html")])
        .knowing(Known::LastType(false))
        .counts();
    case(&[("Sec-Fetch-Dest", "image"), ("Sec-Fetch-Mode", "no-cors")])
        .answered(304, &[])
        .is(Decision::NotPage, None);
}

#[test]
fn a_404_page_becomes_an_event_where_asked_for() {
    let asked = |c: Case<'static>| c.ruled(|r| r.not_found = true);
    asked(page().answered(404, &[("Content-Type", "text/html")]))
        .is(Decision::NotFound, Some(EventKind::NotFound));
    asked(page().answered(404, &[("Content-Type", "text/plain")])).is(Decision::NotFound, None);
    asked(page().answered(410, &[("Content-Type", "text/html")])).is(Decision::ErrorStatus, None);
    asked(
        case(&[("Sec-Fetch-Dest", "image"), ("Sec-Fetch-Mode", "no-cors")])
            .answered(404, &[("Content-Type", "text/html")]),
    )
    .is(Decision::NotPage, None);
}

#[test]
fn a_download_becomes_an_event_where_its_extension_is_asked_for() {
    let asked = |c: Case<'static>| c.ruled(|r| r.downloads = Some(DOWNLOADS.map(str::to_owned).to_vec()));
    let pdf = [("Content-Type", "application/pdf")];
    let attachment = [
        ("Content-Type", "text/html"),
        ("Content-Disposition", "attachment; filename=a.html"),
    ];
    page().answered(200, &attachment).is(Decision::Download, None);
    page()
        .at("/a.pdf")
        .answered(200, &pdf)
        .is(Decision::NotHtml, None);
    asked(page().at("/a.pdf").answered(200, &pdf)).is(Decision::Download, Some(EventKind::Download));
    asked(page().at("/x/A.PDF?v=1").answered(200, &pdf)).is(Decision::Download, Some(EventKind::Download));
    asked(saved().at("/a.zip").answered(200, &[])).is(Decision::Download, Some(EventKind::Download));
    asked(saved().at("/export").answered(200, &[])).is(Decision::Download, None);
    asked(page().at("/export").answered(200, &attachment)).is(Decision::Download, None);
    asked(page().at("/a.pdf").answered(304, &[])).is(Decision::Download, None);
    asked(page().at("/a.pdf").with("Range", "bytes=9-").answered(206, &pdf)).is(Decision::NotPage, None);
    asked(
        page()
            .at("/a.txt")
            .answered(200, &[("Content-Type", "text/html")]),
    )
    .counts();
    asked(page().by("POST").at("/a.pdf").answered(200, &pdf)).is(Decision::Download, None);
    asked(
        case(&[("Sec-Fetch-Dest", "embed"), ("Sec-Fetch-Mode", "navigate")])
            .at("/a.pdf")
            .answered(200, &pdf),
    )
    .is(Decision::NotPage, None);
}

#[test]
fn a_response_without_a_type_is_what_its_first_bytes_are() {
    let html = Known::BodyStart(b"<!doctype html><title>a");
    page().answered(200, &[]).knowing(html).counts();
    page().answered(200, &[]).is(Decision::NotHtml, None);
    page()
        .answered(200, &[])
        .knowing(Known::BodyStart(b"{\"a\": 1}"))
        .is(Decision::NotHtml, None);
    page()
        .answered(200, &[("X-Content-Type-Options", "nosniff")])
        .knowing(html)
        .is(Decision::NotHtml, None);
    page()
        .answered(200, &[("Content-Type", "text/plain")])
        .knowing(html)
        .is(Decision::NotHtml, None);
    saved()
        .answered(200, &[])
        .knowing(html)
        .is(Decision::Download, None);
}
