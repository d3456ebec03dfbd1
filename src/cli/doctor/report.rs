//! What the checks found: a line each as it is known, or one JSON object at the end.

use std::io::{self, Write};

use serde::Serialize;

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum CheckResult {
    /// All is well.
    Passed,
    /// It works, and something is probably not meant.
    Warned,
    /// It does not work.
    Failed,
    /// It was not looked at.
    Skipped,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// What was looked at.
    pub(super) check: &'static str,
    pub(super) result: CheckResult,
    /// What was seen.
    pub(super) said: String,
    /// What to do about it.
    pub(super) advice: Option<String>,
}

/// All checks so far.
#[derive(Debug)]
pub(super) struct Report<W> {
    out: W,
    as_json: bool,
    findings: Vec<Finding>,
}

/// The whole report, as `--json` has it.
#[derive(Debug, Serialize)]
struct WholeReport<'a> {
    /// Whether no check failed.
    ok: bool,
    checks: &'a [Finding],
}

impl<W: Write> Report<W> {
    pub(super) fn new(out: W, as_json: bool) -> Self {
        Report {
            out,
            as_json,
            findings: Vec::new(),
        }
    }

    pub(super) fn passed(&mut self, check: &'static str, said: impl Into<String>) -> io::Result<()> {
        self.add(check, CheckResult::Passed, &said.into(), None)
    }

    pub(super) fn skipped(&mut self, check: &'static str, said: impl Into<String>) -> io::Result<()> {
        self.add(check, CheckResult::Skipped, &said.into(), None)
    }

    pub(super) fn warned(
        &mut self,
        check: &'static str,
        said: impl Into<String>,
        advice: impl Into<String>,
    ) -> io::Result<()> {
        self.add(check, CheckResult::Warned, &said.into(), Some(advice.into()))
    }

    pub(super) fn failed(
        &mut self,
        check: &'static str,
        said: impl Into<String>,
        advice: impl Into<String>,
    ) -> io::Result<()> {
        self.add(check, CheckResult::Failed, &said.into(), Some(advice.into()))
    }

    /// A check whose result is known by its name. `advice` goes with one that did not pass.
    pub(super) fn add_judged(
        &mut self,
        check: &'static str,
        result: CheckResult,
        said: impl Into<String>,
        advice: impl Into<String>,
    ) -> io::Result<()> {
        let advice = (result != CheckResult::Passed).then(|| advice.into());
        self.add(check, result, &said.into(), advice)
    }

    fn add(
        &mut self,
        check: &'static str,
        result: CheckResult,
        said: &str,
        advice: Option<String>,
    ) -> io::Result<()> {
        let finding = Finding {
            check,
            result,
            said: on_one_line(said),
            advice,
        };
        if !self.as_json {
            let mark = match result {
                CheckResult::Passed => "ok",
                CheckResult::Warned => "warn",
                CheckResult::Failed => "FAIL",
                CheckResult::Skipped => "-",
            };
            writeln!(self.out, "{mark:<5} {check:<13}  {}", finding.said)?;
            if let Some(advice) = &finding.advice {
                writeln!(self.out, "{:<20} → {advice}", "")?;
            }
            // Some checks take their time: each line comes when it is known.
            self.out.flush()?;
        }
        self.findings.push(finding);
        Ok(())
    }

    /// Ends the report. Whether no check failed.
    pub(super) fn end(mut self) -> io::Result<bool> {
        let count = |result| self.findings.iter().filter(|f| f.result == result).count();
        let (failed, warned) = (count(CheckResult::Failed), count(CheckResult::Warned));
        if self.as_json {
            let whole = WholeReport {
                ok: failed == 0,
                checks: &self.findings,
            };
            serde_json::to_writer_pretty(&mut self.out, &whole)?;
            writeln!(self.out)?;
        } else {
            writeln!(
                self.out,
                "\n{} checks: {failed} failed, {warned} with a warning, {} left out",
                self.findings.len(),
                count(CheckResult::Skipped)
            )?;
        }
        self.out.flush()?;
        Ok(failed == 0)
    }
}

/// Servers' words are among what is said: control characters would play with the terminal.
fn on_one_line(text: &str) -> String {
    let shown = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    text.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn told(as_json: bool, fails: bool) -> (String, bool) {
        let mut out = Vec::new();
        let mut report = Report::new(&mut out, as_json);
        report.passed("app", "it answers\x1b[31m").unwrap();
        report.skipped("tracker", "off").unwrap();
        report.warned("clock", "40 s off", "set it").unwrap();
        if fails {
            report.failed("queue", "no room", "make some").unwrap();
        }
        let ok = report.end().unwrap();
        (String::from_utf8(out).unwrap(), ok)
    }

    #[test]
    fn each_check_is_a_line_with_what_to_do() {
        let (text, ok) = told(false, true);
        assert_eq!(
            text,
            "ok    app            it answers\u{fffd}[31m\n-     tracker        off\nwarn  clock          40 s off\n\
             \u{20}                    → set it\nFAIL  queue          no room\n                     → make some\n\n\
             4 checks: 1 failed, 1 with a warning, 1 left out\n"
        );
        assert!(!ok && told(false, false).1);
    }

    #[test]
    fn as_json_it_is_one_object() {
        let (text, ok) = told(true, true);
        let report: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(report["ok"], json!(false));
        assert_eq!(
            report["checks"][3],
            json!({"check": "queue", "result": "failed", "said": "no room", "advice": "make some"})
        );
        assert!(!ok);
    }
}
