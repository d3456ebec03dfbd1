//! A day of a site with many sidecars and gateways, simulated: what order, sending once, lateness and memory
//! are like with a shared stream, with different settings, on a day when much goes wrong. See `world`.
//!
//! `cargo bench --bench simulate` takes a few minutes. Numbers after `--` are the visitors (1,000,000) and the
//! seed (1).

mod table;
mod world;

use std::time::Instant;

use gatecount::stream::Partition;
use table::{Table, number, seconds, share};
use world::{
    Report, Settings, World,
    crowd::{self, PageShown},
};

/// `reorder` in milliseconds, `strict`, how much goes wrong.
const DAYS: [(u64, bool, f64); 7] = [
    (0, false, 0.0),
    (500, false, 0.0),
    (0, false, 1.0),
    (100, false, 1.0),
    (500, false, 1.0),
    (2_000, false, 1.0),
    (0, true, 1.0),
];

fn main() {
    let numbers: Vec<u64> = std::env::args().filter_map(|word| word.parse().ok()).collect();
    let visitors = numbers.first().map_or(1_000_000, |visitors| *visitors as u32);
    let seed = numbers.get(1).copied().unwrap_or(1);
    let day = crowd::day(seed, visitors, 24);
    println!(
        "{} visitors, {} events, 50 sidecars, 8 gateways, seed {seed}\n",
        number(visitors.into()),
        number(day.len() as u64)
    );
    sizes(&day);
    let mut orders = Table::new(&[
        "",
        "lost",
        "turned: late",
        "clocks",
        "leader",
        "faults",
        "overlaps",
        "twice: no answer",
        "killed",
        "paused",
        "cut off",
        "servers",
    ]);
    let mut times = Table::new(&[
        "",
        "delay: half",
        "95 %",
        "99 %",
        "longest",
        "held: 99 %",
        "most",
        "delivered again",
        "pins",
        "left",
        "even after: half",
        "longest",
        "took",
    ]);
    for (reorder, strict, trouble) in DAYS {
        let settings = Settings {
            seed,
            hours: 24,
            sidecars: 50,
            gateways: 8,
            partitions: 64,
            reorder,
            strict,
            trouble,
        };
        let begun = Instant::now();
        let report = World::live(&settings, &day);
        let took = begun.elapsed().as_secs_f64();
        let day = if trouble > 0.0 { "bad day" } else { "good day" };
        let setting = if strict {
            "strict".to_owned()
        } else {
            format!("reorder {reorder} ms")
        };
        let name = format!("{day}, {setting}");
        eprintln!("{name}: {took:.0} s");
        orders.row(&name, order(&report));
        let mut row = time(&report);
        row.push(format!("{took:.0} s"));
        times.row(&name, row);
    }
    println!("{orders}\n\n{times}");
}

/// What was turned round, and what was counted twice.
fn order(report: &Report) -> Vec<String> {
    let turned = |why| report.turned.get(why).map_or(0, |(count, _)| *count);
    let twice = |why| report.twice.get(why).copied().unwrap_or_default();
    let counts = [
        report.lost,
        turned("published late"),
        turned("clocks"),
        turned("servers"),
        report.faults.len() as u64 + twice("fault"),
        report.overlaps + report.overlaps_in_doubt,
        twice("no answer"),
        twice("gateway killed"),
        twice("gateway paused"),
        twice("gateway cut off"),
        twice("servers"),
    ];
    counts.map(number).to_vec()
}

/// How late events were, how many a gateway held, and how evenly the gateways shared.
fn time(report: &Report) -> Vec<String> {
    let delay = |part| seconds(share(&report.delays, part));
    let held = |part| number(share(&report.held, part).into());
    let even = |part| seconds(share(&report.settled, part));
    vec![
        delay(500),
        delay(950),
        delay(990),
        delay(1_000),
        held(990),
        held(1_000),
        number(report.redelivered),
        number(report.pins),
        number(report.left),
        even(500),
        even(1_000),
    ]
}

/// How even partitions are: the largest, against the mean, over the day and in the busiest minutes.
fn sizes(day: &[PageShown]) {
    let mut table = Table::new(&["partitions", "a day", "a minute, half", "a minute, most"]);
    for partitions in [16, 64, 256_u16] {
        let of = |page: &PageShown| Partition::of(crowd::key(page.visitor), partitions).index();
        // In hundredths.
        let largest = |pages: &[PageShown]| {
            let mut sizes = vec![0_u64; partitions.into()];
            for page in pages {
                sizes[of(page)] += 1;
            }
            let most = sizes.into_iter().max().unwrap_or_default();
            let pages = pages.len() as u64;
            ((most * u64::from(partitions) * 100 + pages / 2) / pages) as u32
        };
        let minutes = day.chunk_by(|one, next| one.at / 60_000 == next.at / 60_000);
        let mut minutes: Vec<u32> = minutes.map(largest).collect();
        minutes.sort_unstable();
        let hundredths = |size: u32| format!("{:.2}", f64::from(size) / 100.0);
        table.row(
            &partitions.to_string(),
            vec![
                hundredths(largest(day)),
                hundredths(share(&minutes, 500)),
                hundredths(share(&minutes, 1_000)),
            ],
        );
    }
    println!("{table}\n");
}
