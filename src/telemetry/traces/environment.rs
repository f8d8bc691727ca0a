//! The variables of OpenTelemetry. An unsupported one is refused or named in the log, because
//! OpenTelemetry's library would ignore it silently.
//!
//! No message shows a value that may be a secret. Headers are secrets, and an endpoint may contain
//! one.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;

use super::rule::Rule;
use crate::config::SettingsError;

const SAMPLERS: [&str; 6] = [
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
];

const AUTHORITIES: &str =
    "is not supported: the certificate authorities of the system are trusted, or those of SSL_CERT_FILE";
const CLIENT_CERTIFICATES: &str = "is not supported: the service has no certificate of its own for the collector";

/// Milliseconds. A delay near 0 would keep a core busy, and a long timeout would delay the
/// shutdown.
const DELAY: Rule = Rule::Number(10, 60_000);
const TIMEOUT: Rule = Rule::Number(1, 60_000);

/// Spans. Memory for the whole queue is allocated at the start.
const QUEUE: Rule = Rule::Number(1, 16_384);
const BATCH: Rule = Rule::Number(1, 4_096);

const SPAN_LIMIT: Rule = Rule::Number(1, 1_000);

/// Every variable that is supported or refused.
const TABLE: &[(&str, Rule)] = &[
    ("OTEL_SDK_DISABLED", Rule::Boolean),
    ("OTEL_TRACES_EXPORTER", Rule::Word(&["otlp", "none"])),
    ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", Rule::Url),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", Rule::Url),
    ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", Rule::Word(&["http/protobuf"])),
    ("OTEL_EXPORTER_OTLP_PROTOCOL", Rule::Word(&["http/protobuf"])),
    ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", Rule::Word(&["none"])),
    ("OTEL_EXPORTER_OTLP_COMPRESSION", Rule::Word(&["none"])),
    ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", Rule::Headers),
    ("OTEL_EXPORTER_OTLP_HEADERS", Rule::Headers),
    ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", TIMEOUT),
    ("OTEL_EXPORTER_OTLP_TIMEOUT", TIMEOUT),
    ("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", Rule::Unsupported(AUTHORITIES)),
    ("OTEL_EXPORTER_OTLP_CERTIFICATE", Rule::Unsupported(AUTHORITIES)),
    ("OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE", Rule::Unsupported(CLIENT_CERTIFICATES)),
    ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", Rule::Unsupported(CLIENT_CERTIFICATES)),
    ("OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", Rule::Unsupported(CLIENT_CERTIFICATES)),
    ("OTEL_EXPORTER_OTLP_CLIENT_KEY", Rule::Unsupported(CLIENT_CERTIFICATES)),
    ("OTEL_BSP_SCHEDULE_DELAY", DELAY),
    ("OTEL_BSP_MAX_QUEUE_SIZE", QUEUE),
    ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", BATCH),
    ("OTEL_PROPAGATORS", Rule::Words("tracecontext", "baggage")),
    ("OTEL_SERVICE_NAME", Rule::Text(255)),
    ("OTEL_RESOURCE_ATTRIBUTES", Rule::Pairs(4_096)),
    ("OTEL_TRACES_SAMPLER", Rule::Word(&SAMPLERS)),
    ("OTEL_TRACES_SAMPLER_ARG", Rule::Ratio),
    ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", SPAN_LIMIT),
    ("OTEL_SPAN_EVENT_COUNT_LIMIT", SPAN_LIMIT),
    ("OTEL_SPAN_LINK_COUNT_LIMIT", SPAN_LIMIT),
];

/// The prefixes of other variables of the specification. They have no effect here: metrics are
/// scraped, and logs go to standard output. Other variables with `OTEL_` may belong to anybody:
/// Kubernetes sets `OTEL_COLLECTOR_PORT` for a Service of that name.
const IGNORED: [&str; 12] = [
    "OTEL_ATTRIBUTE_",
    "OTEL_BLRP_",
    "OTEL_BSP_",
    "OTEL_CONFIG_FILE",
    "OTEL_EVENT_",
    "OTEL_EXPORTER_",
    "OTEL_LINK_",
    "OTEL_LOG",
    "OTEL_METRIC",
    "OTEL_SPAN_",
    "OTEL_TRACE",
    "OTEL_EXPERIMENTAL_",
];

/// OpenTelemetry's default for `OTEL_BSP_MAX_QUEUE_SIZE`.
const USUAL_QUEUE: u64 = 2_048;

/// The variables whose names begin with `OTEL_`, without the empty ones.
pub struct Variables(BTreeMap<String, String>);

impl Variables {
    pub fn of_this_process() -> Variables {
        let text = |(name, value): (OsString, OsString)| {
            (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned())
        };
        Variables::new(env::vars_os().map(text))
    }

    fn new(all: impl Iterator<Item = (String, String)>) -> Variables {
        Variables(all.filter(|(name, value)| name.starts_with("OTEL_") && !value.is_empty()).collect())
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The variable that names the collector. `None` if there is none, or if traces are turned off.
    pub fn endpoint(&self) -> Result<Option<&'static str>, SettingsError> {
        // The log has the trace of the caller, also without a collector.
        self.check(["OTEL_SDK_DISABLED", "OTEL_TRACES_EXPORTER", "OTEL_PROPAGATORS"])?;
        if self.disabled() || self.is("OTEL_TRACES_EXPORTER", "none") {
            return Ok(None);
        }
        // The more specific one wins.
        let names = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
        Ok(names.into_iter().find(|name| self.get(name).is_some()))
    }

    /// Refuses invalid and unsupported variables.
    pub fn validate(&self) -> Result<(), SettingsError> {
        let is_read = |name: &&str| *name != "OTEL_TRACES_SAMPLER_ARG" || self.samples_by_ratio();
        self.check(TABLE.iter().map(|(name, _)| *name).filter(is_read))?;
        // OpenTelemetry's library would silently use the length of the queue.
        let number = |name| self.get(name).and_then(|value| value.parse::<u64>().ok());
        let queue = number("OTEL_BSP_MAX_QUEUE_SIZE").unwrap_or(USUAL_QUEUE);
        match number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE") {
            Some(batch) if batch > queue => {
                let problem = format!("must be at most OTEL_BSP_MAX_QUEUE_SIZE ({queue}), and is `{batch}`");
                Err(SettingsError { setting: "OTEL_BSP_MAX_EXPORT_BATCH_SIZE".to_owned(), problem })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The variables that have no effect.
    pub fn ignored(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str).filter(|name| !self.disabled() && self.is_ignored(name))
    }

    fn is_ignored(&self, name: &str) -> bool {
        if name == "OTEL_TRACES_EXPORTER" {
            return self.is(name, "otlp") && matches!(self.endpoint(), Ok(None));
        }
        let is_known = TABLE.iter().any(|(known, _)| *known == name);
        let exports_nothing = name.ends_with("_EXPORTER") && self.is(name, "none");
        IGNORED.iter().any(|start| name.starts_with(start)) && !is_known && !exports_nothing
    }

    fn check<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> Result<(), SettingsError> {
        for name in names {
            let rule = TABLE.iter().find(|(known, _)| *known == name).map(|(_, rule)| rule);
            let Some((value, rule)) = self.get(name).zip(rule) else { continue };
            rule.check(value).map_err(|problem| SettingsError { setting: name.to_owned(), problem })?;
        }
        Ok(())
    }

    fn disabled(&self) -> bool {
        self.is("OTEL_SDK_DISABLED", "true")
    }

    fn samples_by_ratio(&self) -> bool {
        self.get("OTEL_TRACES_SAMPLER").is_some_and(|sampler| sampler.ends_with("traceidratio"))
    }

    fn is(&self, name: &str, word: &str) -> bool {
        self.get(name).is_some_and(|value| value.eq_ignore_ascii_case(word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");

    fn variables(all: &[(&str, &str)]) -> Variables {
        Variables::new(all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    /// The problem with these values beside an endpoint. Empty if there is none.
    fn problem(all: &[(&str, &str)]) -> String {
        let variables = variables(&[&[ENDPOINT], all].concat());
        let checked = variables.endpoint().and_then(|_| variables.validate());
        checked.map_or_else(|error| error.to_string(), |()| String::new())
    }

    /// For each variable: accepted values, and values that stop the start with these words.
    #[rustfmt::skip]
    const CASES: &[(&str, &[&str], &[&str], &str)] = &[
        ("OTEL_SDK_DISABLED", &["false", "TRUE", ""], &["1", "yes"], "must be true or false, and is `"),
        ("OTEL_TRACES_EXPORTER", &["otlp", "none"], &["console", "otlp,console"], "must be otlp or none, and is `"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &["https://c/v1/traces"], &["ftp://me:hunter2@here", "c:4318"], "http://collector:4318"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &["http://[::1]:4318"], &["http://", "http://:4318"], "http://collector:4318"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", &["http/protobuf"], &["http/json", "grpc"], "must be http/protobuf, and is `"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", &["http/protobuf"], &["grpc", "HTTP/PROTOBUF"], "must be http/protobuf, and is `"),
        ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", &["none"], &["zstd"], "must be none, and is `"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", &["none"], &["gzip"], "must be none, and is `"),
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", &["a=b,c=d"], &["a=b,hunter2"], "key=value"),
        ("OTEL_EXPORTER_OTLP_HEADERS", &["authorization=Bearer%20x"], &["authorization hunter2"], "key=value"),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", &["1", "60000"], &["0", "60001", "-1", "10s"], "from 1 to 60000, and is `"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", &["10000"], &["0", "18446744073709551615"], "from 1 to 60000, and is `"),
        ("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", &[""], &["/hunter2.pem"], "SSL_CERT_FILE"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", &[""], &["/hunter2.pem"], "SSL_CERT_FILE"),
        ("OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE", &[""], &["/c.pem"], "is not supported"),
        ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", &[""], &["/c.pem"], "is not supported"),
        ("OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", &[""], &["/k.pem"], "is not supported"),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", &[""], &["/k.pem"], "is not supported"),
        ("OTEL_BSP_SCHEDULE_DELAY", &["10", "60000"], &["0", "9", "60001", "5s"], "from 10 to 60000, and is `"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", &["512", "16384"], &["0", "16385", "many"], "from 1 to 16384, and is `"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", &["1", "2048"], &["0", "4097", "1.5"], "from 1 to 4096, and is `"),
        ("OTEL_PROPAGATORS", &["tracecontext", "tracecontext,baggage", "baggage, tracecontext"], &["b3", "baggage", "tracecontext,b3", "none"], "must be tracecontext, or tracecontext,baggage, and is `"),
        ("OTEL_SERVICE_NAME", &["deletion"], &[], ""),
        ("OTEL_RESOURCE_ATTRIBUTES", &["a=b,c=d%20e", "a="], &["a", "a=b,c", "=b"], "key=value"),
        ("OTEL_TRACES_SAMPLER", &SAMPLERS, &["sometimes", "jaeger_remote"], "must be always_on, always_off, "),
        ("OTEL_TRACES_SAMPLER_ARG", &["half"], &[], "not read without a sampler that has a ratio"),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", &["1", "1000"], &["0", "1001"], "from 1 to 1000, and is `"),
        ("OTEL_SPAN_EVENT_COUNT_LIMIT", &["128"], &["0", "4294967295"], "from 1 to 1000, and is `"),
        ("OTEL_SPAN_LINK_COUNT_LIMIT", &["128"], &["0", "4294967295"], "from 1 to 1000, and is `"),
    ];

    #[test]
    fn each_variable_is_accepted_or_stops_the_start() {
        for (name, right, wrong, words) in CASES {
            for value in *right {
                assert_eq!(problem(&[(name, value)]), "", "{name}={value}");
            }
            for value in *wrong {
                let problem = problem(&[(name, value)]);
                assert!(
                    problem.starts_with(&format!("{name}: ")) && problem.contains(words),
                    "{name}={value}: {problem}"
                );
                assert!(!problem.contains("hunter2"), "{problem}");
            }
        }
    }

    #[test]
    fn no_variable_is_without_a_case() {
        let with_cases: Vec<_> = CASES.iter().map(|(name, ..)| *name).collect();
        let all: Vec<_> = TABLE.iter().map(|(name, _)| *name).collect();
        assert_eq!(with_cases, all);
    }

    #[test]
    fn long_texts_stop_the_start() {
        for (name, value) in
            [("OTEL_SERVICE_NAME", "x".repeat(256)), ("OTEL_RESOURCE_ATTRIBUTES", format!("a={}", "b".repeat(4_095)))]
        {
            assert!(problem(&[(name, &value)]).contains("bytes"), "{name}");
            assert_eq!(problem(&[(name, &value[..value.len() - 1])]), "");
        }
    }

    #[test]
    fn a_ratio_is_a_number_from_0_to_1() {
        for sampler in ["traceidratio", "parentbased_traceidratio"] {
            let with = |ratio| problem(&[("OTEL_TRACES_SAMPLER", sampler), ("OTEL_TRACES_SAMPLER_ARG", ratio)]);
            for ratio in ["0", "0.25", "1"] {
                assert_eq!(with(ratio), "");
            }
            for ratio in ["half", "1.5", "-0.1", "NaN"] {
                assert!(with(ratio).contains("must be a number from 0 to 1"), "{ratio}");
            }
        }
    }

    #[test]
    fn a_batch_fits_into_the_queue() {
        let with =
            |queue, batch| problem(&[("OTEL_BSP_MAX_QUEUE_SIZE", queue), ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", batch)]);
        assert_eq!(with("100", "100"), "");
        assert!(with("100", "101").contains("must be at most OTEL_BSP_MAX_QUEUE_SIZE (100), and is `101`"));
        assert!(with("", "2049").contains("(2048)"));
    }

    #[test]
    fn without_an_endpoint_nothing_is_exported() {
        for all in [&[][..], &[ENDPOINT, ("OTEL_SDK_DISABLED", "true")], &[ENDPOINT, ("OTEL_TRACES_EXPORTER", "none")]]
        {
            assert_eq!(variables(all).endpoint(), Ok(None), "{all:?}");
        }
        assert_eq!(variables(&[ENDPOINT]).endpoint(), Ok(Some("OTEL_EXPORTER_OTLP_ENDPOINT")));
    }

    #[test]
    fn an_unsupported_propagator_stops_the_start_without_an_endpoint_too() {
        let problem = variables(&[("OTEL_PROPAGATORS", "b3")]).endpoint().unwrap_err().to_string();
        assert!(problem.starts_with("OTEL_PROPAGATORS: must be tracecontext"), "{problem}");
    }

    #[test]
    fn variables_without_an_effect_are_named() {
        let ignored = |all: &[(&str, &str)]| variables(all).ignored().map(str::to_owned).collect::<Vec<_>>();
        for name in [
            "OTEL_METRICS_EXPORTER",
            "OTEL_LOGS_EXPORTER",
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
            "OTEL_EXPORTER_OTLP_LOGS_HEADERS",
            "OTEL_EXPORTER_OTLP_INSECURE",
            "OTEL_EXPORTER_JAEGER_ENDPOINT",
            "OTEL_METRIC_EXPORT_INTERVAL",
            "OTEL_BLRP_SCHEDULE_DELAY",
            "OTEL_BSP_EXPORT_TIMEOUT",
            "OTEL_BSP_MAX_CONCURRENT_EXPORTS",
            "OTEL_TRACE_SAMPLER",
            "OTEL_LOG_LEVEL",
            "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
            "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
            "OTEL_CONFIG_FILE",
            "OTEL_TRACES_EXPORTER",
        ] {
            assert_eq!(ignored(&[(name, "otlp")]), [name]);
            assert!(ignored(&[(name, "otlp"), ("OTEL_SDK_DISABLED", "true")]).is_empty(), "{name}");
        }
        for (name, value) in [
            ("OTEL_METRICS_EXPORTER", "none"),
            ("OTEL_TRACES_EXPORTER", "none"),
            ("OTEL_COLLECTOR_PORT", "tcp://10.0.0.1:4318"),
            ("OTEL_COLLECTOR_SERVICE_HOST", "10.0.0.1"),
            ENDPOINT,
        ] {
            assert!(ignored(&[(name, value)]).is_empty(), "{name}");
        }
        assert!(ignored(&[ENDPOINT, ("OTEL_TRACES_EXPORTER", "otlp")]).is_empty());
    }
}
