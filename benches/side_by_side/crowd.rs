//! Role `@crowd`: holds connections that have each made a request and then nothing.

use std::io::{self, Write};

use crate::{Failure, requests};

/// Opens `connections` to `port`, asks each for a page, says so in a line, and holds them until standard input ends.
pub(crate) fn main(port: &str, connections: &str) -> Result<(), Failure> {
    let (port, connections) = (port.parse()?, connections.parse()?);
    let page = requests::page("/");
    let mut held = Vec::with_capacity(connections);
    for visitor in 0..connections {
        let mut stream = requests::connect(port, visitor)
            .map_err(|error| format!("connection {visitor} of {connections}: {error}"))?;
        requests::ask(&mut stream, &page).map_err(|error| format!("connection {visitor}: {error}"))?;
        held.push(stream);
    }
    println!("{}", held.len());
    io::stdout().flush()?;
    io::copy(&mut io::stdin(), &mut io::sink())?;
    Ok(())
}
