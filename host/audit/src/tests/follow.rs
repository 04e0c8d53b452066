//! Reading along, and where that goes on.

use std::fs::OpenOptions;
use std::io::Write;
use std::sync::Arc;
use std::time::Instant;

use super::*;

fn all_bytes(dir: &Path) -> Vec<u8> {
    crate::dir::parts(dir).unwrap().iter().flat_map(|part| fs::read(&part.path).unwrap()).collect()
}

/// All there is, a few lines at a time.
fn rest(follower: &mut Follower) -> Vec<Line> {
    let mut lines = Vec::new();
    loop {
        let more = follower.read(7, 3_000).unwrap();
        if more.is_empty() {
            return lines;
        }
        assert!(more.len() <= 7);
        lines.extend(more);
    }
}

/// From the first line on.
fn begin(dir: &Path) -> Follower {
    Follower::resume(dir, &Place::default()).unwrap().0
}

/// What is read behind a place, and the place that it is behind.
fn resumed(dir: &Path, place: &Place) -> (Vec<Line>, Place) {
    let (mut follower, from) = Follower::resume(dir, place).unwrap();
    (rest(&mut follower), from)
}

fn bytes(lines: &[Line]) -> Vec<u8> {
    lines.iter().flat_map(|line| line.bytes.clone()).collect()
}

#[tokio::test]
async fn every_byte_is_read_while_files_follow_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(dir.path());
    in_small_files(&mut settings);
    let audit = Audit::open(&settings, &key_of, None).unwrap();
    let mut follower = begin(dir.path());
    let mut read = Vec::new();
    for number in 0..100 {
        add(&audit, number..number + 1).await;
        if number % 9 == 0 {
            read.extend(rest(&mut follower));
        }
    }
    audit.close().await;
    read.extend(rest(&mut follower));
    assert_eq!(bytes(&read), all_bytes(dir.path()));
    assert!(read.iter().zip(1..).all(|(line, seq)| line.seq == seq));
    assert_eq!(read.last().unwrap().seq, *audit.written().borrow());
}

#[tokio::test]
async fn every_place_is_gone_on_from() {
    let dir = written(in_small_files, 60).await;
    let all = rest(&mut begin(dir.path()));
    for line in &all {
        let place = line.place();
        let path = dir.path().join("sink-test");
        place.save(&path).unwrap();
        assert_eq!(Place::load(&path).unwrap().as_ref(), Some(&place));
        let (after, from) = resumed(dir.path(), &place);
        assert_eq!((&after[..], from), (&all[usize::try_from(line.seq).unwrap()..], place));
        let after = rest(&mut Follower::after(dir.path(), line.seq).unwrap());
        assert_eq!(after, all[usize::try_from(line.seq).unwrap()..]);
    }
}

#[tokio::test]
async fn the_newest_file_is_where_a_new_reader_begins() {
    assert_eq!(Place::newest(tempfile::tempdir().unwrap().path()).unwrap(), Place::default());
    let dir = written(in_small_files, 60).await;
    let last = crate::dir::parts(dir.path()).unwrap().pop().unwrap();
    let place = Place::newest(dir.path()).unwrap();
    assert_eq!(place.seq, last.first - 1);
    let (read, from) = resumed(dir.path(), &place);
    assert_eq!((bytes(&read), from), (fs::read(&last.path).unwrap(), place));
}

#[tokio::test]
async fn another_line_at_the_place_means_the_file_again() {
    let dir = written(in_small_files, 60).await;
    let all = rest(&mut begin(dir.path()));
    let parts = crate::dir::parts(dir.path()).unwrap();
    let (file, end) = (parts[2].first, all.last().unwrap().seq);
    let other = Line { seq: file + 1, bytes: all[0].bytes.clone() };
    // Behind the end, too: the lines there were lost with the power.
    let ahead = Line { seq: end + 50, bytes: all[0].bytes.clone() };
    for (line, from) in [(other, file), (ahead, parts.last().unwrap().first)] {
        let (read, at) = resumed(dir.path(), &line.place());
        assert_eq!(read, all[usize::try_from(from).unwrap() - 1..], "{from}");
        assert_eq!(at, all[usize::try_from(from).unwrap() - 2].place());
    }
    // Files that were taken away are no reason to begin anew.
    fs::remove_file(&parts[0].path).unwrap();
    let gone = all[0].place();
    let (read, from) = resumed(dir.path(), &gone);
    assert_eq!((read[0].seq, from), (parts[1].first, gone));
}

#[tokio::test]
async fn what_is_not_whole_is_read_when_it_is() {
    let dir = written(|_| {}, 3).await;
    let part = crate::dir::parts(dir.path()).unwrap().pop().unwrap();
    let mut follower = begin(dir.path());
    let read = rest(&mut follower).len() as u64;
    let mut file = OpenOptions::new().append(true).open(&part.path).unwrap();
    let (line, half) = (format!("{{\"seq\":{},\"kind\":\"x\"}}\n", read + 1), 9);
    file.write_all(&line.as_bytes()[..half]).unwrap();
    assert_eq!(rest(&mut follower), []);
    file.write_all(&line.as_bytes()[half..]).unwrap();
    assert_eq!(bytes(&rest(&mut follower)), line.as_bytes());
    file.write_all(&vec![b'x'; 2 << 20]).unwrap();
    assert!(follower.read(1, 1).unwrap_err().to_string().contains("has no line at byte"));
}

#[test]
fn a_torn_place_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sink-test");
    assert_eq!(Place::load(&path).unwrap(), None);
    let whole = format!("7 {}\n", "ab".repeat(32));
    fs::write(&path, &whole).unwrap();
    assert_eq!(Place::load(&path).unwrap().unwrap().seq, 7);
    for length in 0..whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        let error = Place::load(&path).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidData, "{length}");
    }
}

#[tokio::test]
async fn requests_wait_for_a_reader_that_is_too_far_behind() {
    let dir = tempfile::tempdir().unwrap();
    let audit = Audit::open(&settings(dir.path()), &key_of, None).unwrap();
    let pace = Arc::new(Pace::new(2, 10));
    audit.keep_pace(Arc::clone(&pace));
    pace.reached(0, 1_000);
    // One at a time: what is not in the files yet is not counted.
    let mut written = 3;
    while written <= 10 {
        add(&audit, written..written + 1).await;
        written += 1;
        audit.written().wait_for(|seq| *seq == written).await.unwrap();
    }
    let start = Instant::now();
    assert!(audit.reserve().await.is_err(), "11 entries behind");
    assert!(start.elapsed() >= Duration::from_millis(200));
    assert_eq!(audit.statistics().refused, 1);
    // One that waits is woken by the last move it needs.
    let waiting = tokio::spawn({
        let audit = audit.clone();
        async move { audit.reserve().await.is_ok() }
    });
    tokio::time::sleep(Duration::from_millis(20)).await;
    pace.reached(1, 1);
    assert!(waiting.await.unwrap());
}

#[tokio::test]
async fn what_was_left_out_is_in_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let audit = Audit::open(&settings(dir.path()), &key_of, None).unwrap();
    assert!(audit.skipped(Skip { sink: "webhook", first: 5, last: 9 }));
    add(&audit, 0..3).await;
    audit.close().await;
    let skip = lines(dir.path()).into_iter().find(|line| line["kind"] == "skip").unwrap();
    assert_eq!((&skip["sink"], &skip["count"]), (&"webhook".into(), &5.into()));
    assert_eq!((&skip["first"], &skip["last"]), (&5.into(), &9.into()));
    // It takes no place from requests, and gives none.
    assert_eq!(audit.statistics().queued, 0);
    verified(dir.path());
}
