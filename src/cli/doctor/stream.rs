//! The shared stream: its servers, how it was made, and what a power cut could cost.

use std::{
    io::{self, Write},
    time::Duration,
};

use crate::{
    config::Config,
    stream::{
        Settings,
        inspect::{self, ServerFacts, StreamFacts, StreamFlaw},
    },
    telemetry::chain,
};

use super::report::Report;

/// How many servers there are at least, and whether any of them can be asked for more.
struct Servers {
    known: Option<usize>,
    any: bool,
}

/// Whether events can be published, and are kept as the configuration means it.
pub(super) async fn examine(config: &Config, report: &mut Report<impl Write>) -> io::Result<()> {
    let Some(settings) = &config.stream else {
        return Ok(());
    };
    let servers = servers(settings, report).await?;
    if !servers.any {
        return report.skipped("stream", "not looked at, as no server can be used");
    }
    match inspect::stream(settings).await {
        Ok(Some(stream)) => {
            kept(settings, &stream, servers.known, report)?;
            consumers(settings, &stream, report)?;
            power_cut(stream.replicas, report)
        }
        Ok(None) => {
            missing(settings, servers.known, report)?;
            power_cut(settings.replicas, report)
        }
        Err(error) => {
            let advice = "the account needs publish rights on $JS.API.> and on the stream's subjects; the servers' \
                          log says more";
            report.failed(
                "stream",
                format!("{} can't be looked at: {}", settings.name, chain(&error)),
                advice,
            )
        }
    }
}

/// Each server by itself: any of them may be the one that is left.
async fn servers(settings: &Settings, report: &mut Report<impl Write>) -> io::Result<Servers> {
    let mut asked = Vec::new();
    for server in &settings.servers {
        asked.push((server, inspect::server(settings, server).await));
    }
    let any = asked
        .iter()
        .any(|(_, answer)| answer.as_ref().is_ok_and(is_usable));
    let mut known = None;
    for (server, answer) in asked {
        match answer {
            Ok(facts) => {
                known = known.max(facts.servers);
                one_server(server, &facts, report)?;
            }
            Err(error) => {
                let said = format!("{server}: {}", chain(&error));
                if any {
                    let advice = "start it again: events are safe, but fewer servers may fail than is meant";
                    report.warned("nats", said, advice)?;
                } else {
                    let advice = "is nats-server up, is url in [stream] right, may this machine connect there \
                                  (NetworkPolicy), are the credentials the right ones? Events wait in the local queue \
                                  meanwhile";
                    report.failed("nats", said, advice)?;
                }
            }
        }
    }
    Ok(Servers { known, any })
}

fn is_usable(facts: &ServerFacts) -> bool {
    facts.jetstream.is_ok() && facts.pins
}

fn one_server(server: &str, facts: &ServerFacts, report: &mut Report<impl Write>) -> io::Result<()> {
    let said = format!("{server}: nats-server {} ({})", facts.version, facts.name);
    if !facts.pins {
        let advice =
            "update it to 2.11 or later: earlier ones can't deliver a partition to one gateway at a time";
        return report.failed("nats", said, advice);
    }
    if let Err(error) = &facts.jetstream {
        let advice = "turn it on: a jetstream block in the server's configuration, and limits for this account where \
                      there are accounts";
        return report.failed("nats", format!("{said} has no JetStream for us: {error}"), advice);
    }
    let others = match facts.servers {
        Some(1) => ", alone".to_owned(),
        Some(servers) => format!(", in a cluster of {servers}"),
        None => ", in a cluster".to_owned(),
    };
    report.passed("nats", format!("{said} with JetStream{others}"))
}

fn missing(settings: &Settings, servers: Option<usize>, report: &mut Report<impl Write>) -> io::Result<()> {
    let said = format!(
        "{} is not there yet: the first sidecar or gateway makes it",
        settings.name
    );
    match too_many(settings.replicas, servers) {
        Some(problem) => {
            let advice = "add servers, or set replicas in [stream]; until then nothing can be published";
            report.failed("stream", format!("{said}, and can't with {problem}"), advice)
        }
        None => report.passed("stream", format!("{said}, on {}", on_servers(settings.replicas))),
    }
}

fn too_many(replicas: usize, servers: Option<usize>) -> Option<String> {
    let servers = servers.filter(|servers| *servers < replicas)?;
    Some(format!("replicas = {replicas} in a cluster of {servers}"))
}

fn on_servers(replicas: usize) -> String {
    match replicas {
        1 => "one server alone".to_owned(),
        replicas => format!("{replicas} servers"),
    }
}

/// How the stream keeps events.
fn kept(
    settings: &Settings,
    stream: &StreamFacts,
    servers: Option<usize>,
    report: &mut Report<impl Write>,
) -> io::Result<()> {
    let name = &settings.name;
    let edit = format!("nats stream edit {name}");
    let has = |fault| stream.flaws.contains(&fault);
    if has(StreamFlaw::OtherSubjects) || has(StreamFlaw::NoWorkQueue) {
        let said = if has(StreamFlaw::NoWorkQueue) {
            format!("{name} is there, but is no work queue: it would keep what has been delivered")
        } else {
            format!("{name} is there, but the subjects {name}.p.* do not lead to it")
        };
        let advice =
            "it is somebody else's: set another name in [stream], or remove it, and gatecount makes it";
        return report.failed("stream", said, advice);
    }
    if !stream.is_led {
        let advice =
            "more than half of its servers have to be there: start them; events wait in the local queues";
        return report.failed("stream", format!("{name}: none of its servers leads it"), advice);
    }
    let said = format!(
        "{name}: {} events on {}{}",
        stream.events,
        on_servers(stream.replicas),
        if has(StreamFlaw::InMemory) {
            ""
        } else {
            ", on disk"
        }
    );
    if has(StreamFlaw::InMemory) {
        let advice = "it is in memory, and a restart of the servers loses it: drain it, remove it, and gatecount makes it \
                      on disk";
        return report.failed("stream", said, advice);
    }
    if stream.replicas < settings.replicas {
        let advice = match too_many(settings.replicas, servers) {
            Some(_) => format!("add servers first, then: {edit} --replicas {}", settings.replicas),
            None => format!("{edit} --replicas {}", settings.replicas),
        };
        let said = format!("{said}, though replicas = {}", settings.replicas);
        return report.warned("stream", said, advice);
    }
    if !stream.behind.is_empty() {
        let said = format!("{said}; not there, or behind: {}", stream.behind.join(", "));
        return report.warned(
            "stream",
            said,
            "start it, or let it catch up, before another one is stopped",
        );
    }
    if stream.remembered < stream.should_remember {
        let said = format!(
            "{said}; ids are remembered for {}",
            humantime::format_duration(stream.remembered)
        );
        let advice = format!(
            "{edit} --dupe-window {}: a sidecar that starts again later than that publishes twice what was on its way",
            humantime::format_duration(stream.should_remember)
        );
        return report.warned("stream", said, advice);
    }
    if has(StreamFlaw::DropsOldest) {
        let advice =
            format!("{edit} --discard new: a full stream then leaves events in the sidecars' queues");
        return report.warned(
            "stream",
            format!("{said}; full, it throws away the oldest events"),
            advice,
        );
    }
    let remembered = humantime::format_duration(Duration::from_secs(stream.remembered.as_secs()));
    report.passed("stream", format!("{said}; ids are remembered for {remembered}"))
}

/// Whether each partition has its consumer, and nobody else takes events.
fn consumers(settings: &Settings, stream: &StreamFacts, report: &mut Report<impl Write>) -> io::Result<()> {
    let (name, facts) = (&settings.name, &stream.consumers);
    let list = |names: &[String]| {
        let some: Vec<&str> = names.iter().take(5).map(String::as_str).collect();
        let more = if names.len() > 5 { ", …" } else { "" };
        format!("{}{more}", some.join(", "))
    };
    if let Some(theirs) = stream.divided_otherwise {
        let said = format!(
            "{name} was made with partitions = {theirs}, and {} is configured",
            settings.partitions
        );
        let advice = "set partitions in [stream] to what it was, everywhere: it is fixed for the stream's life, and who has \
                      another number refuses to work";
        return report.failed("partitions", said, advice);
    }
    if !facts.foreign.is_empty() {
        let said = format!(
            "{name} has consumers that are not gatecount's: {}",
            list(&facts.foreign)
        );
        return report.warned(
            "partitions",
            said,
            "remove them: what they take is not delivered to Plausible",
        );
    }
    if !facts.unpinned.is_empty() {
        let said = format!("{} deliver to several gateways at a time", list(&facts.unpinned));
        let advice = format!("remove them (nats consumer rm {name}), and a gateway makes them anew");
        return report.failed("partitions", said, advice);
    }
    match facts.partitions {
        0 => {
            let advice =
                "start gateways (gatecount gateway), or set deliver = true in [stream] of the sidecars";
            report.warned("partitions", "no gateway has come yet: nobody delivers", advice)
        }
        some if some < usize::from(settings.partitions) => {
            let said = format!("{some} of {} have a consumer", settings.partitions);
            let advice =
                "is partitions in [stream] the same everywhere? A gateway that starts makes all of them";
            report.warned("partitions", said, advice)
        }
        all => {
            let said = format!("{all}, of which gateways own {} at the moment", facts.owned);
            report.passed("partitions", said)
        }
    }
}

/// What can't be seen by a client, so it is said in words.
fn power_cut(replicas: usize, report: &mut Report<impl Write>) -> io::Result<()> {
    let set = "set sync_interval: always in the jetstream block of the servers, if they do not have it";
    if replicas == 1 {
        let said = "one server keeps each event. Whether it writes through to its disk before it confirms can't be seen \
                    from here; by itself it does every two minutes, and a power cut costs what came since";
        return report.warned("power cut", said, format!("{set}, or replicas = 3 in [stream]"));
    }
    let said = format!(
        "of {replicas} servers some may lose their power. If all do at once, what came since their last write to disk is \
         lost: up to two minutes by their own setting, which can't be seen from here. To lose nothing, {set}"
    );
    report.skipped("power cut", said)
}
