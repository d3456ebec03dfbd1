//! The shop's pages.

use std::fmt::Write as _;

use crate::web::{form, html::Escaped};

const LAYOUT: &str = include_str!("assets/layout.html");

struct Book {
    slug: &'static str,
    cover: &'static str,
    title: &'static str,
    author: &'static str,
    price: &'static str,
    in_stock: u8,
    about: &'static str,
}

const BOOKS: [Book; 3] = [
    Book {
        slug: "the-lighthouse-log",
        cover: "/files/lighthouse.svg",
        title: "The Lighthouse Log",
        author: "Mara Quill",
        price: "18.00",
        in_stock: 7,
        about: "For eleven winters a keeper writes down every ship that passes, and one that never does. \
                A quiet book about counting what can be seen, and being honest about the rest.",
    },
    Book {
        slug: "salt-and-paper",
        cover: "/files/salt.svg",
        title: "Salt and Paper",
        author: "Ivo Brandt",
        price: "21.00",
        in_stock: 3,
        about: "How letters travelled before the telegraph: the boats, the bags, the people who waited at the quay. \
                With forty maps and a chapter on waterproof ink.",
    },
    Book {
        slug: "night-ferry",
        cover: "/files/ferry.svg",
        title: "Night Ferry",
        author: "Lena Osei",
        price: "16.50",
        in_stock: 12,
        about: "Nine strangers, one crossing, and a captain who tells each of them a different arrival time. \
                A mystery to be read in one sitting, preferably between two shores.",
    },
];

/// The page at a path, if there is one.
pub(super) fn find(path: &str, query: &str) -> Option<String> {
    match path {
        "/" => Some(home()),
        "/books" => Some(layout(
            "Books",
            &format!("<h1>All our books</h1>\n{}", list(BOOKS.iter())),
        )),
        "/journal/slow-reading" => Some(layout("Slow reading", JOURNAL)),
        "/search" => Some(search(query)),
        "/newsletter" => Some(layout("Newsletter", &newsletter(""))),
        "/thanks" => Some(layout("Thank you", THANKS)),
        _ => {
            let slug = path.strip_prefix("/books/")?;
            BOOKS.iter().find(|b| b.slug == slug).map(book)
        }
    }
}

/// What `/api/stock.json` answers.
pub(super) fn stock() -> String {
    let stock: serde_json::Map<_, _> = BOOKS
        .iter()
        .map(|b| (b.slug.to_owned(), b.in_stock.into()))
        .collect();
    serde_json::Value::Object(stock).to_string()
}

pub(super) fn not_found() -> String {
    layout(
        "Not found",
        "<h1>This shelf is empty</h1>\n<p class=\"lead\">There is no such page. \
         <a href=\"/books\">All our books</a> are still here.</p>",
    )
}

pub(super) fn newsletter_again() -> String {
    layout(
        "Newsletter",
        &newsletter("<p><strong>Please give an address with an @ in it.</strong></p>\n"),
    )
}

pub(super) fn too_much() -> String {
    layout(
        "Newsletter",
        "<h1>That was too much</h1>\n<p class=\"lead\">An address is enough.</p>",
    )
}

/// `title` is text, `main` is HTML.
fn layout(title: &str, main: &str) -> String {
    LAYOUT
        .replace("{{title}}", &Escaped(title).to_string())
        .replace("{{main}}", main)
}

fn home() -> String {
    let main = format!(
        "<img class=\"hero\" src=\"/files/harbour.png\" width=\"1200\" height=\"420\" \
         alt=\"A harbour at dusk, a sailing boat and a lighthouse\">\n\
         <h1>Books that smell of the sea</h1>\n\
         <p class=\"lead\">A shop with three shelves, open whenever the ferry is late. \
         Read <a href=\"/journal/slow-reading\">why we sell so few books</a>, \
         or take the <a href=\"/catalogue.pdf\" download>catalogue</a> with you.</p>\n{}",
        list(BOOKS.iter())
    );
    layout("Home", &main)
}

fn list<'a>(books: impl Iterator<Item = &'a Book>) -> String {
    let mut html = String::from("<ul class=\"books\">\n");
    for b in books {
        let _ = writeln!(
            html,
            "<li><a href=\"/books/{slug}\"><img src=\"{cover}\" width=\"200\" height=\"300\" alt=\"\">\
             <h2>{title}</h2></a><p>{author}</p></li>",
            slug = b.slug,
            cover = b.cover,
            title = b.title,
            author = b.author,
        );
    }
    html.push_str("</ul>");
    html
}

fn book(b: &Book) -> String {
    let main = format!(
        "<article class=\"book\">\n<img class=\"cover\" src=\"{cover}\" width=\"200\" height=\"300\" alt=\"Cover\">\n\
         <div>\n<h1>{title}</h1>\n<p class=\"by\">by {author}</p>\n<p>{about}</p>\n\
         <p><strong>€ {price}</strong> · <span data-stock=\"{slug}\">ask at the counter</span></p>\n\
         <p><a href=\"/newsletter\">Tell me when it is signed</a> · <a href=\"/books\">All books</a></p>\n\
         </div>\n</article>",
        cover = b.cover,
        title = b.title,
        author = b.author,
        about = b.about,
        price = b.price,
        slug = b.slug,
    );
    layout(b.title, &main)
}

fn search(query: &str) -> String {
    let asked = form::value(query, "q");
    let wanted = asked.to_lowercase();
    let hits: Vec<_> = BOOKS
        .iter()
        .filter(|b| {
            [b.title, b.author, b.about]
                .iter()
                .any(|text| text.to_lowercase().contains(wanted.trim()))
        })
        .collect();
    let found = match (wanted.trim(), hits.len()) {
        ("", _) => String::new(),
        (_, 0) => format!(
            "<p class=\"lead\">Nothing about “{}”, sorry.</p>",
            Escaped(&asked)
        ),
        (_, n) => format!(
            "<p class=\"lead\">{n} of {} books for “{}”</p>\n{}",
            BOOKS.len(),
            Escaped(&asked),
            list(hits.into_iter())
        ),
    };
    let main = format!(
        "<h1>Search</h1>\n<form action=\"/search\"><input name=\"q\" value=\"{}\" aria-label=\"Search for\" \
         placeholder=\"ferry, maps, winter …\"><button>Search</button></form>\n{found}",
        Escaped(&asked)
    );
    layout("Search", &main)
}

/// `note` is HTML.
fn newsletter(note: &str) -> String {
    format!(
        "<h1>A letter, four times a year</h1>\n<p class=\"lead\">What arrived, what is sold out, when the ferry runs.</p>\n\
         {note}<form method=\"post\" action=\"/newsletter\"><input type=\"email\" name=\"email\" required \
         placeholder=\"you@example.com\" aria-label=\"Your address\"><button>Subscribe</button></form>\n\
         <p class=\"by\">This is a demo: nothing is kept and no letter is sent.</p>"
    )
}

const JOURNAL: &str = "<h1>Slow reading</h1>\n<p class=\"by\">From the journal</p>\n\
<p>People ask why there are only three books in the shop. The answer is on the counter: a list of who asked for what, \
kept in pencil. We stock what was asked for twice.</p>\n\
<p>It is a small way of counting. It does not know who you are, it does not follow you down the quay, and it tells us \
all we need: which door people came through, and which shelf they stopped at.</p>\n\
<p>Start with <a href=\"/books/the-lighthouse-log\">The Lighthouse Log</a>. It is about exactly that.</p>";

const THANKS: &str = "<h1>Thank you</h1>\n<p class=\"lead\">The next letter leaves with the spring tide. \
Until then: <a href=\"/books/night-ferry\">Night Ferry</a> is best read before it.</p>";
