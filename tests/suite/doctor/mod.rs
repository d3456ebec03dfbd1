//! `gatecount doctor`: what is well is said to be, what is not comes with what to do, and nobody gets a test
//! event who did not ask for one.

mod machine;
mod upstream;

use std::process::Output;

use serde_json::Value;

use crate::support::{
    origin::{self, Origin},
    process::{Builder, free_port},
    receiver::Receiver,
};

/// A report as JSON, and the exit status.
pub(crate) struct Report {
    whole: Value,
    status: Option<i32>,
}

impl Report {
    pub(crate) fn of(builder: &Builder, arguments: &[&str]) -> Report {
        let output = run(builder, &[&["--json"], arguments].concat());
        let whole = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}"));
        Report {
            whole,
            status: output.status.code(),
        }
    }

    /// The results of a check, in their order.
    pub(crate) fn results(&self, check: &str) -> Vec<&str> {
        self.checks(check)
            .map(|c| c["result"].as_str().unwrap())
            .collect()
    }

    /// The one finding of a check.
    #[track_caller]
    fn one(&self, check: &str) -> &Value {
        let mut found = self.checks(check);
        let first = found
            .next()
            .unwrap_or_else(|| panic!("no {check} in {}", self.whole));
        assert!(found.next().is_none(), "several {check} in {}", self.whole);
        first
    }

    /// The one finding of a check ended so, and says this and advises that.
    #[track_caller]
    pub(crate) fn assert(&self, check: &str, result: &str, said: &str, advice: &str) {
        let found = self.one(check);
        assert_eq!(found["result"], result, "{found}");
        let text = |name: &str| found[name].as_str().unwrap_or_default();
        assert!(text("said").contains(said), "{said:?} is not in {found}");
        assert!(text("advice").contains(advice), "{advice:?} is not in {found}");
    }

    pub(crate) fn checks<'a>(&'a self, check: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
        let check = check.to_owned();
        let all = self.whole["checks"].as_array().unwrap().iter();
        all.filter(move |found| found["check"] == check.as_str())
    }
}

fn run(builder: &Builder, arguments: &[&str]) -> Output {
    builder.write();
    let mut command = builder.command();
    command.arg("doctor").args(arguments);
    command.output().expect("run the doctor")
}

/// A configuration with fixed ports that nobody has.
fn before(app: &Origin) -> Builder {
    Builder::before(app)
        .set("listen.address", free_port().to_string())
        .set("admin.address", free_port().to_string())
}

fn stage() -> (Origin, Receiver, Builder) {
    let (app, plausible) = (Origin::start(origin::pages), Receiver::start());
    let builder = before(&app).telling(&plausible);
    (app, plausible, builder)
}
