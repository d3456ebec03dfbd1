//! Every kind of request that browsers make, as data: `explain --batch` decides each as the corpus says.

use std::fs;

use serde_json::Value;

use super::drive::root;
use crate::support::process::run;

#[test]
fn explain_decides_every_kind_of_request_as_the_corpus_says() {
    let directory = root().join("tests/corpus/pages");
    let read =
        |name: String| fs::read_to_string(directory.join(&name)).unwrap_or_else(|e| panic!("{name}: {e}"));
    let mut wrong = Vec::new();
    for browser in [
        "chromium",
        "firefox",
        "webkit",
        "safari",
        "frameworks",
        "livewire",
    ] {
        let (requests, decisions) = (read(format!("{browser}.jsonl")), read(format!("{browser}.tsv")));
        let output = run(
            &[
                "explain",
                "--batch",
                "--app",
                "http://127.0.0.1:1",
                "--domain",
                "example.com",
            ],
            &requests,
        );
        assert!(output.status.success(), "{output:?}");
        let answers = String::from_utf8(output.stdout).expect("JSON in UTF-8");
        assert_eq!(answers.lines().count(), decisions.lines().count(), "{browser}");
        for (answer, expected) in answers.lines().zip(decisions.lines()) {
            let answer: Value = serde_json::from_str(answer).expect("JSON");
            let decision = expected.split('\t').next().unwrap_or_default();
            if answer["decision"] != decision {
                wrong.push(format!(
                    "{browser}: {expected}: {} ({})",
                    answer["decision"], answer["why"]
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
