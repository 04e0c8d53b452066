//! Logs that are opened again, in whatever state they were left.

use std::fs::OpenOptions;
use std::io::Write;

use super::*;

async fn reopened(dir: &Path) -> Report {
    let audit = Audit::open(&settings(dir), &key_of, None).unwrap();
    add(&audit, 900..903).await;
    audit.close().await;
    verified(dir)
}

fn last_part(dir: &Path) -> std::path::PathBuf {
    crate::dir::parts(dir).unwrap().pop().unwrap().path
}

/// Takes off what an ordered end wrote.
fn unstop(dir: &Path) {
    let path = last_part(dir);
    let text = fs::read_to_string(&path).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    assert!(lines.pop().unwrap().contains("\"kind\":\"stop\""));
    fs::write(path, lines.join("\n") + "\n").unwrap();
    // That covers the end as well, as it would not after a crash.
    let note = lines.iter().rev().find_map(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        line["note"].as_str().map(str::to_owned)
    });
    fs::write(dir.join("checkpoint"), note.unwrap()).unwrap();
}

/// What to call it, and how to do it.
type Damage<'a> = (&'a str, &'a dyn Fn(&Path));

#[tokio::test]
async fn an_ordered_end_leaves_no_trace_but_itself() {
    let dir = written(|_| {}, 10).await;
    let report = reopened(dir.path()).await;
    assert_eq!(report.notes, [""; 0]);
    assert!(!kinds(dir.path()).contains(&"crash".to_owned()));
    assert_eq!(report.entries, 14 + 6);
}

#[tokio::test]
async fn a_crash_is_noted_and_a_torn_line_taken_off() {
    for torn in ["", "{\"seq\":14,\"ki"] {
        let dir = written(|_| {}, 10).await;
        unstop(dir.path());
        let mut file = OpenOptions::new().append(true).open(last_part(dir.path())).unwrap();
        file.write_all(torn.as_bytes()).unwrap();
        let before = verified(dir.path());
        assert_eq!(before.notes.len(), usize::from(!torn.is_empty()), "{before:?}");
        let report = reopened(dir.path()).await;
        assert_eq!(report.notes.len(), 1, "{report:?}");
        let expected = format!("{} bytes of a line", torn.len());
        assert!(report.notes[0].contains(&expected), "{report:?}");
        let crash = lines(dir.path()).into_iter().find(|line| line["kind"] == "crash").unwrap();
        assert_eq!((&crash["seq"], &crash["torn_bytes"]), (&14.into(), &torn.len().into()));
    }
}

#[tokio::test]
async fn a_file_that_was_not_begun_whole_is_removed() {
    let dir = written(|_| {}, 10).await;
    let unfinished = crate::dir::Part::of(dir.path(), 15).path;
    for (rest, crashes) in [("", 1), ("{\"seq\":15,", 2)] {
        fs::write(&unfinished, rest).unwrap();
        let report = reopened(dir.path()).await;
        assert!(!unfinished.exists() && report.notes.len() == crashes, "{report:?}");
        assert_eq!(report.signed.unwrap().size, report.entries);
    }
}

/// The server's own next checkpoints do not cover up what was done while it was away.
#[tokio::test]
async fn what_was_cut_off_before_a_start_stays_found() {
    let cut = |dir: &Path| {
        let path = last_part(dir);
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().take(8).collect();
        fs::write(path, lines.join("\n") + "\n").unwrap();
    };
    let edit = |dir: &Path| {
        let path = last_part(dir);
        fs::write(&path, fs::read_to_string(&path).unwrap().replacen("billing", "mallory", 1))
            .unwrap();
    };
    let remove = |dir: &Path| fs::remove_file(dir.join("checkpoint")).unwrap();
    let garbage = |dir: &Path| fs::write(last_part(dir), "garbage\n").unwrap();
    let damages: [Damage<'_>; 4] =
        [("cut", &cut), ("edit", &edit), ("remove", &remove), ("garbage", &garbage)];
    for (what, damage) in damages {
        let dir = written(|_| {}, 10).await;
        damage(dir.path());
        let audit = Audit::open(&settings(dir.path()), &key_of, None).unwrap();
        add(&audit, 900..903).await;
        audit.close().await;
        assert!(kinds(dir.path()).contains(&"damage".to_owned()), "{what}");
        let finding = edited(dir.path(), &Options::default());
        assert!(finding.seq <= 15, "{what}: {finding:?}");
        // And the start after that, too.
        let audit = Audit::open(&settings(dir.path()), &key_of, None).unwrap();
        audit.close().await;
        edited(dir.path(), &Options::default());
    }
}

#[tokio::test]
async fn one_that_was_let_go_is_opened_again_at_once() {
    let dir = written(|_| {}, 1).await;
    for _ in 0..20 {
        let audit = Audit::open(&settings(dir.path()), &key_of, None).unwrap();
        add(&audit, 0..2).await;
        drop(audit);
    }
    assert_eq!(reopened(dir.path()).await.files, 1);
}
