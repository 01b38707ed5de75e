//! Traces of leases for an OpenTelemetry collector: one for each, with a span for each stage.
//!
//! Takes what a lease was and how long its stages took, gives it to a collector over OTLP/HTTP. Never: a run that
//! waits for a collector or fails with it, a secret in an attribute, a second way out to the network.

mod client;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use gantry_net::{ClientError, Outside};
use gantry_protocol::control::run::Lease;
use gantry_protocol::ids::PoolId;
use opentelemetry::trace::{Span, SpanKind, Status, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{ExporterBuildError, Protocol, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, SdkTracer, SdkTracerProvider,
};
use reqwest::Url;

/// Spans that wait for a collector; more are dropped.
const QUEUE: usize = 4096;

/// One export may take this long.
const DEADLINE: Duration = Duration::from_secs(10);

/// Ending waits this long for the last export.
const LAST: Duration = Duration::from_secs(3);

/// Why traces can't be sent.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The endpoint or its TLS.
    #[error("OTEL_EXPORTER_OTLP_ENDPOINT can't be used")]
    Client(#[from] ClientError),
    /// The exporter.
    #[error("OTEL_EXPORTER_OTLP_ENDPOINT can't be used")]
    Exporter(#[from] ExporterBuildError),
}

/// Where traces go; nowhere unless configured.
#[derive(Debug, Default)]
pub struct Traces {
    out: Option<(SdkTracerProvider, SdkTracer)>,
}

impl Traces {
    /// Traces that go to a collector's base URL.
    ///
    /// # Errors
    /// [`TraceError`].
    pub fn to(base: &Url, outside: &Outside) -> Result<Self, TraceError> {
        let client = client::Client::new(base, outside)?;
        let endpoint = format!("{}/v1/traces", base.as_str().trim_end_matches('/'));
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(endpoint)
            .with_timeout(DEADLINE)
            .build()?;
        let queue = BatchConfigBuilder::default()
            .with_max_queue_size(QUEUE)
            .with_scheduled_delay(Duration::from_secs(2))
            .build();
        let processor = BatchSpanProcessor::builder(exporter)
            .with_batch_config(queue)
            .build();
        let about = [KeyValue::new("service.version", env!("CARGO_PKG_VERSION"))];
        let resource = Resource::builder_empty()
            .with_service_name("gantry-launcher")
            .with_attributes(about)
            .build();
        let provider = SdkTracerProvider::builder()
            .with_span_processor(processor)
            .with_resource(resource)
            .build();
        let tracer = provider.tracer("gantry-launcher");
        Ok(Self {
            out: Some((provider, tracer)),
        })
    }

    /// A lease is taken up.
    pub fn lease(&self, lease: Lease, pool: PoolId) -> LeaseTrace {
        let attributes = vec![
            KeyValue::new("gantry.run", lease.run.to_string()),
            KeyValue::new("gantry.attempt", i64::from(lease.attempt.0)),
            KeyValue::new("gantry.pool", pool.to_string()),
        ];
        let record = Record {
            began: SystemTime::now(),
            attributes,
            stages: Vec::new(),
        };
        LeaseTrace {
            record: self.out.is_some().then(|| Arc::new(Mutex::new(record))),
        }
    }

    /// The lease has ended: its trace goes out.
    pub fn ended(&self, trace: &LeaseTrace, outcome: &'static str, fine: bool) {
        let (Some((_, tracer)), Some(record)) = (&self.out, &trace.record) else {
            return;
        };
        let record = record.lock().unwrap_or_else(PoisonError::into_inner);
        let mut attributes = record.attributes.clone();
        attributes.push(KeyValue::new("gantry.outcome", outcome));
        let mut span = tracer
            .span_builder("lease")
            .with_kind(SpanKind::Consumer)
            .with_start_time(record.began)
            .with_attributes(attributes)
            .start_with_context(tracer, &Context::new());
        span.set_status(match fine {
            true => Status::Ok,
            false => Status::error(outcome),
        });
        let parent = Context::new().with_remote_span_context(span.span_context().clone());
        for stage in &record.stages {
            let mut child = tracer
                .span_builder(stage.name)
                .with_start_time(stage.began)
                .start_with_context(tracer, &parent);
            child.end_with_timestamp(stage.began + stage.took);
        }
        span.end();
    }

    /// Sends what waits; the process ends.
    pub fn finish(&self) {
        if let Some((provider, _)) = &self.out {
            // A collector that is away loses the last traces, as it loses others.
            let _ = provider.shutdown_with_timeout(LAST);
        }
    }
}

/// One stage of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stage {
    /// One of a handful of fixed names.
    pub name: &'static str,
    /// When it began.
    pub began: SystemTime,
    /// How long it took.
    pub took: Duration,
}

/// What is gathered of a lease; nothing when traces go nowhere. Clones share it.
#[derive(Debug, Clone)]
pub struct LeaseTrace {
    record: Option<Arc<Mutex<Record>>>,
}

#[derive(Debug)]
struct Record {
    began: SystemTime,
    attributes: Vec<KeyValue>,
    stages: Vec<Stage>,
}

impl LeaseTrace {
    /// Something more is known of it. Never a secret.
    pub fn set(&self, key: &'static str, value: &str) {
        self.with(|record| record.attributes.push(KeyValue::new(key, value.to_owned())));
    }

    /// Stages that were passed.
    pub fn stages(&self, stages: impl IntoIterator<Item = Stage>) {
        self.with(|record| record.stages.extend(stages));
    }

    fn with(&self, change: impl FnOnce(&mut Record)) {
        if let Some(record) = &self.record {
            change(&mut record.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }
}
