//! The flags that set configuration keys. They are accepted before and after the command's name.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use crate::config::{Flags, Sources};

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[expect(
    clippy::doc_markdown,
    reason = "these comments are the help text, which is no Markdown"
)]
pub(super) struct Options {
    /// The configuration file [env: GATECOUNT_CONFIG]
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    config: Option<PathBuf>,
    /// Where the app listens: http://HOST:PORT or unix:/PATH [env: GATECOUNT_APP_URL]
    #[arg(long, value_name = "URL")]
    app: Option<String>,
    /// The site's name at Plausible, for every host; several by commas or by repeating [env: GATECOUNT_DOMAIN]
    #[arg(long, value_name = "DOMAIN")]
    domain: Vec<String>,
    /// Where Plausible is [env: GATECOUNT_PLAUSIBLE_URL] [default: https://plausible.io]
    #[arg(long, value_name = "URL")]
    plausible: Option<String>,
    /// Where to listen: ADDRESS:PORT or unix:/PATH, port 0 for any free one [env: GATECOUNT_LISTEN_ADDRESS]
    /// [default: 0.0.0.0:8080]
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Where metrics and health are served [env: GATECOUNT_ADMIN_ADDRESS] [default: 127.0.0.1:9090]
    #[arg(long, value_name = "ADDR")]
    admin: Option<String>,
    /// Where events wait: memory or a directory [env: GATECOUNT_QUEUE_AT, GATECOUNT_QUEUE_PATH] [default: the
    /// state directory]
    #[arg(long, value_name = "WHERE", value_hint = ValueHint::DirPath)]
    queue: Option<String>,
    /// What is logged: a level, or directives as RUST_LOG's [env: GATECOUNT_LOG] [default: info]
    #[arg(long, visible_alias = "log-level", value_name = "DIRECTIVES")]
    log: Option<String>,
    /// How log lines are written: auto (text on a terminal, else json), text or json [env:
    /// GATECOUNT_LOG_FORMAT] [default: auto]
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
}

impl Options {
    /// The sources of a configuration with these flags. `before` are the flags before the command's name;
    /// they count where these say nothing.
    pub(super) fn after(self, before: Options) -> Sources {
        Sources::of_process(self.flags_after(before))
    }

    pub(super) fn flags_after(self, before: Options) -> Flags {
        Flags {
            config: self.config.or(before.config),
            app: self.app.or(before.app),
            domain: if self.domain.is_empty() {
                before.domain
            } else {
                self.domain
            },
            plausible: self.plausible.or(before.plausible),
            listen: self.listen.or(before.listen),
            admin: self.admin.or(before.admin),
            queue: self.queue.or(before.queue),
            log: self.log.or(before.log),
            log_format: self.log_format.or(before.log_format),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        *self == Options::default()
    }
}
