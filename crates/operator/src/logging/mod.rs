//! The log of the process on standard error, in the two forms of the zap library that users' log pipelines know
//! (`operator-process.md` section 1). The level of the client libraries stays at warnings unless `RUST_LOG` says
//! otherwise. How a line looks is in `line`.

mod line;

use jiff::Timestamp;
use tracing::{Event, Subscriber, span};
use tracing_subscriber::{
    EnvFilter, Layer,
    fmt::MakeWriter,
    layer::{Context, SubscriberExt},
    registry::{LookupSpan, Scope},
    util::SubscriberInitExt,
};

use crate::flags::LogFlags;
use line::{Fields, Line};

/// Sets up the process-wide log. A second call has no effect.
pub fn init(flags: &LogFlags) {
    let level = flags.level.as_str().to_lowercase();
    let default = format!("warn,dynamo_operator={level},dynamo_kubekit={level},dynamo_render={level}");
    // An empty variable is no wish for silence.
    let wanted = std::env::var(EnvFilter::DEFAULT_ENV).ok().filter(|text| !text.is_empty());
    let filter = EnvFilter::new(wanted.unwrap_or(default));
    let layer = Zap { flags: flags.clone(), writer: std::io::stderr };
    drop(tracing_subscriber::registry().with(filter).with(layer).try_init());
}

/// One line per event. Fields of the spans around it come first, so that all lines of a reconcile carry its id; a
/// field of the event itself replaces one of the same name.
struct Zap<W> {
    flags: LogFlags,
    writer: W,
}

impl<S, W> Layer<S> for Zap<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + 'static,
{
    fn on_new_span(&self, attributes: &span::Attributes<'_>, id: &span::Id, ctx: Context<'_, S>) {
        let Some(span) = ctx.span(id) else { return };
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        span.extensions_mut().insert(fields);
    }

    fn on_record(&self, id: &span::Id, values: &span::Record<'_>, ctx: Context<'_, S>) {
        let Some(span) = ctx.span(id) else { return };
        if let Some(fields) = span.extensions_mut().get_mut::<Fields>() {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, ctx: Context<'_, S>) {
        let mut fields = Fields::default();
        for span in ctx.event_scope(event).into_iter().flat_map(Scope::from_root) {
            if let Some(outer) = span.extensions().get::<Fields>() {
                fields.extend(outer);
            }
        }
        event.record(&mut fields);
        let metadata = event.metadata();
        let line =
            Line { level: *metadata.level(), time: Timestamp::now(), target: metadata.target(), fields };
        let text = line.text(&self.flags);
        // A log that cannot be written has nobody to tell.
        let _ = std::io::Write::write_all(&mut self.writer.make_writer(), text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing::{Instrument, info, info_span, warn};

    use super::*;
    use crate::flags::TimeEncoding;

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(json: bool, what: impl FnOnce()) -> Vec<String> {
        let memory = Memory::default();
        let copy = memory.clone();
        let flags = LogFlags { json, level: tracing::Level::DEBUG, time: TimeEncoding::Nano };
        let layer = Zap { flags, writer: move || copy.clone() };
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), what);
        let bytes = memory.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap().lines().map(ToOwned::to_owned).collect()
    }

    #[test]
    fn lines_inside_a_reconcile_carry_its_fields_and_lines_outside_do_not() {
        let lines = logged(true, || {
            let work = async { info!(name = "inner", "created") };
            let span = info_span!("reconcile", reconcileID = "abc", name = "outer");
            futures::executor::block_on(work.instrument(span));
            warn!("outside");
        });
        let first: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
        assert_eq!(first["reconcileID"], "abc");
        assert_eq!(first["name"], "inner");
        assert_eq!(first["msg"], "created");
        let second: serde_json::Value = serde_json::from_str(&lines[1]).unwrap();
        assert_eq!((second["level"].as_str(), second.get("reconcileID")), (Some("warn"), None));
    }

    #[test]
    fn a_field_that_is_recorded_later_is_seen() {
        let lines = logged(false, || {
            let span = info_span!("s", late = tracing::field::Empty);
            span.record("late", 7);
            span.in_scope(|| info!("x"));
        });
        assert!(lines[0].ends_with("\tx\t{\"late\": 7}"), "{}", lines[0]);
    }

    #[test]
    fn errors_and_debug_values_are_texts_and_numbers_stay_numbers() {
        let lines = logged(true, || {
            let error = std::io::Error::other("no \"space\"\nleft");
            warn!(%error, count = 3, ratio = 0.5, on = true, retry = ?std::time::Duration::from_secs(2), "failed");
        });
        let line: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
        assert_eq!(line["error"], "no \"space\"\nleft");
        assert_eq!((line["count"].as_i64(), line["ratio"].as_f64()), (Some(3), Some(0.5)));
        assert_eq!((line["on"].as_bool(), line["retry"].as_str()), (Some(true), Some("2s")));
    }
}
