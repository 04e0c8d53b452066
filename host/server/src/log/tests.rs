use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use keyward_keyring::origin::{self, Origin};
use serde_json::Value;

use super::*;

#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Buffer {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// A log into memory, and its level.
fn log(json: bool, directives: &str) -> (impl Subscriber + Send + Sync, Level, Buffer) {
    let config = LogConfig { json, filter: directives.to_owned() };
    let buffer = Buffer::default();
    let writer = buffer.clone();
    let (filter, handle) = reload::Layer::new(filter(&config).unwrap());
    let lines = lines(&config, filter, move || writer.clone(), false);
    let level = Level::new(config.filter.clone(), Some(handle));
    (tracing_subscriber::registry().with(lines), level, buffer)
}

fn talk() {
    tracing::error!(target: "vaultrs", "hvs.one");
    tracing::error!(target: "vaultrs::client", "hvs.two");
    tracing::info!(target: "rustify::clients::reqwest", "hvs.three");
    tracing::debug!(target: "oci_client::client", "hvs.five");
    tracing::info!(target: "object_store::client::http", "hvs.six");
    let _span = tracing::info_span!(target: "rustify", "call", body = "hvs.four");
    tracing::trace!(target: "keyward", "heard");
}

#[test]
fn no_directive_makes_crates_talk_that_log_answers() {
    const ALL: &str = "trace,vaultrs=trace,vaultrs::client=trace,rustify=trace,oci_client=debug,\
                       object_store=info";
    for json in [false, true] {
        let (subscriber, _level, buffer) = log(json, ALL);
        tracing::subscriber::with_default(subscriber, talk);
        let text = buffer.text();
        assert!(text.contains("heard") && !text.contains("hvs."), "{text}");
        // Nor one that is given later.
        let (subscriber, level, buffer) = log(json, "off");
        tracing::subscriber::with_default(subscriber, || {
            talk();
            level.set(ALL, Lifetime::Unlimited, "me").unwrap();
            talk();
        });
        let text = buffer.text();
        assert!(text.contains("heard") && !text.contains("hvs."), "{text}");
    }
}

#[test]
fn a_level_is_in_force_at_once_and_until_it_is_reset() {
    let (subscriber, level, buffer) = log(false, "warn");
    tracing::subscriber::with_default(subscriber, || {
        let say = |text: &str| tracing::debug!(target: "keyward::spoken", "{text}");
        say("first");
        level.set("info,keyward::spoken=debug", Lifetime::Unlimited, "me").unwrap();
        say("second");
        level.set("keyward::spoken=off", Lifetime::Unlimited, "me").unwrap();
        say("third");
        assert_eq!(level.get().level, "keyward::spoken=off");
        level.reset("me").unwrap();
        say("fourth");
        assert_eq!(level.get().level, "warn");
    });
    let said: Vec<_> = ["first", "second", "third", "fourth"]
        .into_iter()
        .filter(|text| buffer.text().contains(text))
        .collect();
    assert_eq!(said, ["second"]);
}

#[test]
fn directives_that_make_no_sense_are_refused_and_change_nothing() {
    let (_subscriber, level, _buffer) = log(false, "info");
    let long = format!("{}=info", "a".repeat(2000));
    for bad in [
        "",
        " ",
        "debgu",
        "INFO",
        "info,",
        "keyward",
        "keyward=",
        "=info",
        "keyward=loud",
        "info,,warn",
        "[span]=trace",
        "keyward[{key=1}]=info",
        "info keyward=debug",
        "3",
        "a\nb=info",
        &long,
    ] {
        assert!(level.set(bad, Lifetime::Unlimited, "me").is_err(), "{bad:?}");
        assert_eq!(level.get().level, "info");
    }
    for good in ["off", "trace", "keyward::http=debug", "warn,keyward=debug,hyper_util=off"] {
        level.set(good, Lifetime::Unlimited, "me").unwrap();
        assert_eq!(level.get().level, good);
    }
}

#[tokio::test(start_paused = true)]
async fn a_level_for_a_time_goes_back_by_itself_unless_another_came() {
    let level = Arc::new(Level::new("info".into(), None));
    level.set_for("debug", Duration::from_mins(10), "me").unwrap();
    assert!(level.get().until.is_some());
    tokio::time::sleep(Duration::from_mins(9)).await;
    assert_eq!(level.get().level, "debug");
    tokio::time::sleep(Duration::from_mins(2)).await;
    assert_eq!((level.get().level.as_str(), level.get().until), ("info", None));
    level.set_for("debug", Duration::from_mins(1), "me").unwrap();
    level.set("warn", Lifetime::Unlimited, "me").unwrap();
    tokio::time::sleep(Duration::from_mins(2)).await;
    assert_eq!(level.get().level, "warn", "the end of one is not another's");
    assert!(level.set_for("nonsense", Duration::from_mins(1), "me").is_err());
    assert_eq!(level.get().level, "warn");
}

#[tokio::test]
async fn lines_name_the_request_and_its_trace() {
    let trace = "0af7651916cd43dd8448eb211c80319c";
    for json in [false, true] {
        let (subscriber, _level, buffer) = log(json, "info");
        let guard = tracing::subscriber::set_default(subscriber);
        tracing::info!("before");
        let of = |trace: Option<&str>| {
            Arc::new(Origin { request_id: "req-7".into(), trace_id: trace.map(Into::into) })
        };
        origin::within(of(Some(trace)), async { tracing::info!(text = "a \"b\"\n", "one") }).await;
        origin::within(of(None), async { tracing::info!("two") }).await;
        let own = async { tracing::info!(request_id = "req-7", "three") };
        origin::within(of(Some(trace)), own).await;
        drop(guard);
        let text = buffer.text();
        let lines: Vec<_> = text.lines().collect();
        let [before, one, two, three] = lines.as_slice() else { panic!("{text}") };
        assert!(!before.contains("request_id"), "{text}");
        for line in [one, two, three] {
            assert_eq!(line.matches("request_id").count(), 1, "{text}");
        }
        if !json {
            assert!(one.ends_with(&format!("request_id=req-7 trace_id={trace}")), "{text}");
            assert!(two.ends_with("request_id=req-7"), "{text}");
            continue;
        }
        let read = |line: &str| serde_json::from_str::<Value>(line).unwrap();
        assert_eq!(
            (&read(one)["request_id"], &read(one)["trace_id"]),
            (&"req-7".into(), &trace.into())
        );
        assert_eq!(read(one)["text"], "a \"b\"\n");
        assert_eq!(
            (&read(two)["request_id"], &read(two)["trace_id"]),
            (&"req-7".into(), &Value::Null)
        );
        assert_eq!(
            (&read(three)["request_id"], &read(three)["trace_id"]),
            (&"req-7".into(), &trace.into())
        );
    }
}
