//! The metrics in the text format of `OpenMetrics`, version 1.0.0, for who asks for it.
//!
//! It differs from Prometheus' own text format in few points: a counter's family goes without `_total`, which
//! its samples have; a bucket's bound is always written as a float; the text ends with `# EOF`.

use std::fmt::{self, Write};

use hyper::header::{ACCEPT, HeaderMap};
use prometheus::proto::{LabelPair, Metric, MetricFamily, MetricType};

/// Its media type, as the answer names it.
pub(super) const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The end of a counter's name.
const TOTAL: &str = "_total";

/// Whether a client prefers this format to plain text (RFC 9110 §12.5.1). One that takes anything gets plain
/// text.
pub(super) fn is_preferred(headers: &HeaderMap) -> bool {
    let mut open = 0.0;
    let mut plain = 0.0;
    let lines = headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|line| line.to_str().ok());
    for range in lines.flat_map(|line| line.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default();
        let (mut quality, mut version) = (1.0, "1.0.0");
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            match name.trim() {
                "q" => quality = value.trim().parse::<f32>().unwrap_or(0.0),
                "version" => version = value.trim().trim_matches('"'),
                _ => {}
            }
        }
        if kind.eq_ignore_ascii_case("application/openmetrics-text") && version == "1.0.0" {
            open = quality.max(open);
        } else if kind.eq_ignore_ascii_case("text/plain") {
            plain = quality.max(plain);
        }
    }
    open > 0.0 && open >= plain
}

/// Writes all families.
pub(super) fn encode(families: &[MetricFamily]) -> String {
    let mut out = String::new();
    for family in families {
        // Writing to a String does not fail.
        let _ = write_family(&mut out, family);
    }
    out.push_str("# EOF\n");
    out
}

fn write_family(out: &mut String, family: &MetricFamily) -> fmt::Result {
    let kind = family.get_field_type();
    let name = match kind {
        MetricType::COUNTER => family.name().strip_suffix(TOTAL).unwrap_or(family.name()),
        _ => family.name(),
    };
    let word = match kind {
        MetricType::COUNTER => "counter",
        MetricType::GAUGE => "gauge",
        MetricType::HISTOGRAM => "histogram",
        // None of gatecount's metrics is of another type. A sample of an unknown one may have any value.
        MetricType::SUMMARY | MetricType::UNTYPED => "unknown",
    };
    writeln!(out, "# TYPE {name} {word}")?;
    if !family.help().is_empty() {
        writeln!(out, "# HELP {name} {}", escaped(family.help()))?;
    }
    for metric in family.get_metric() {
        match kind {
            MetricType::COUNTER => {
                let value = metric.get_counter().get_value();
                sample(out, (name, TOTAL), metric, None, value)?;
            }
            MetricType::GAUGE => sample(out, (name, ""), metric, None, metric.get_gauge().get_value())?,
            MetricType::HISTOGRAM => write_histogram(out, name, metric)?,
            MetricType::SUMMARY | MetricType::UNTYPED => {}
        }
    }
    Ok(())
}

fn write_histogram(out: &mut String, name: &str, metric: &Metric) -> fmt::Result {
    let histogram = metric.get_histogram();
    let bounded = histogram
        .get_bucket()
        .iter()
        .filter(|b| b.upper_bound().is_finite());
    for bucket in bounded {
        let bound = format!("{:?}", bucket.upper_bound());
        sample(
            out,
            (name, "_bucket"),
            metric,
            Some(&bound),
            bucket.cumulative_count() as f64,
        )?;
    }
    let count = histogram.get_sample_count() as f64;
    sample(out, (name, "_bucket"), metric, Some("+Inf"), count)?;
    sample(out, (name, "_count"), metric, None, count)?;
    sample(out, (name, "_sum"), metric, None, histogram.get_sample_sum())
}

/// One line: the name with its ending, the labels, the value. `bound` is a bucket's.
fn sample(
    out: &mut String,
    (name, ending): (&str, &str),
    metric: &Metric,
    bound: Option<&str>,
    value: f64,
) -> fmt::Result {
    write!(out, "{name}{ending}")?;
    let labels = metric.get_label().iter();
    let pairs = labels.map(|label: &LabelPair| (label.name(), label.value()));
    let mut between = '{';
    for (label, value) in pairs.chain(bound.map(|bound| ("le", bound))) {
        write!(out, "{between}{label}=\"{}\"", escaped(value))?;
        between = ',';
    }
    if between == ',' {
        out.push('}');
    }
    match value {
        f64::INFINITY => writeln!(out, " +Inf"),
        f64::NEG_INFINITY => writeln!(out, " -Inf"),
        // Whole numbers without a fraction, NaN as the format spells it.
        _ => writeln!(out, " {value}"),
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;
    use prometheus::{Histogram, HistogramOpts, IntCounterVec, IntGauge, Opts, Registry};

    use super::*;

    fn accepts(lines: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(ACCEPT, HeaderValue::from_str(line).unwrap());
        }
        is_preferred(&headers)
    }

    #[test]
    fn it_is_sent_to_who_asks_for_it() {
        let prometheus = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                          text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        for (lines, preferred) in [
            (&[prometheus][..], true),
            (&["application/openmetrics-text"], true),
            (
                &["application/openmetrics-text; version=\"1.0.0\"; charset=utf-8"],
                true,
            ),
            (&["text/plain;q=0.4", "application/openmetrics-text;q=0.5"], true),
            (&["application/openmetrics-text;q=0"], false),
            (&["application/openmetrics-text;version=0.0.1"], false),
            (&["application/openmetrics-text;q=0.4, text/plain"], false),
            (&["*/*"], false),
            (&["text/html"], false),
            (&[], false),
        ] {
            assert_eq!(accepts(lines), preferred, "{lines:?}");
        }
    }

    #[test]
    fn each_kind_is_written_as_the_format_has_it() {
        let registry = Registry::new();
        let opts = Opts::new("a_requests_total", "Requests, by \"code\".");
        let counter = IntCounterVec::new(opts, &["code"]).unwrap();
        counter.with_label_values(&["2\"\\\nx"]).inc_by(3);
        let gauge = IntGauge::new("b_open", "Open.").unwrap();
        gauge.set(-2);
        let opts = HistogramOpts::new("c_seconds", "Time.").buckets(vec![0.25, 1.0]);
        let histogram = Histogram::with_opts(opts).unwrap();
        histogram.observe(0.5);
        registry.register(Box::new(counter)).unwrap();
        registry.register(Box::new(gauge)).unwrap();
        registry.register(Box::new(histogram)).unwrap();
        assert_eq!(
            encode(&registry.gather()),
            "# TYPE a_requests counter\n# HELP a_requests Requests, by \\\"code\\\".\n\
             a_requests_total{code=\"2\\\"\\\\\\nx\"} 3\n\
             # TYPE b_open gauge\n# HELP b_open Open.\nb_open -2\n\
             # TYPE c_seconds histogram\n# HELP c_seconds Time.\n\
             c_seconds_bucket{le=\"0.25\"} 0\nc_seconds_bucket{le=\"1.0\"} 1\nc_seconds_bucket{le=\"+Inf\"} 1\n\
             c_seconds_count 1\nc_seconds_sum 0.5\n# EOF\n"
        );
    }
}
