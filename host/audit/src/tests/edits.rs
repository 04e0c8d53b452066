//! Whatever is edited is found, and where.

use proptest::prelude::*;

use super::*;

fn only_part(dir: &Path) -> std::path::PathBuf {
    crate::dir::parts(dir).unwrap()[0].path.clone()
}

fn with_lines(dir: &Path, change: impl FnOnce(&mut Vec<String>)) {
    let path = only_part(dir);
    let text = fs::read_to_string(&path).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    change(&mut lines);
    fs::write(path, lines.join("\n") + "\n").unwrap();
}

fn copy(dir: &Path) -> TempDir {
    let to = tempfile::tempdir().unwrap();
    for file in fs::read_dir(dir).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), to.path().join(file.file_name())).unwrap();
    }
    to
}

/// Recomputes every hash of the chain, as somebody without the signing key can.
fn rechain(lines: &mut [String]) {
    let mut before = crate::hash::START;
    for line in lines {
        let (body, _) = crate::line::split(line.as_bytes()).unwrap();
        let mut out = body.to_vec();
        before = crate::hash::chain(&before, body);
        crate::line::end(&mut out, &before);
        *line = String::from_utf8(out).unwrap().trim_end().to_owned();
    }
}

#[tokio::test]
async fn a_line_removed_moved_put_in_or_cut_off() {
    let log = written(|_| {}, 20).await;
    let found = |change: &dyn Fn(&mut Vec<String>)| {
        let dir = copy(log.path());
        with_lines(dir.path(), |lines| change(lines));
        edited(dir.path(), &Options::default())
    };
    let finding = found(&|lines| drop(lines.remove(7)));
    assert_eq!((finding.seq, finding.line), (8, 8));
    assert!(finding.what.contains("entries 8 to 8 are missing"), "{finding:?}");
    assert_eq!(found(&|lines| lines.swap(7, 8)).seq, 8);
    assert_eq!(found(&|lines| lines.insert(9, lines[7].clone())).seq, 10);
    let finding = found(&|lines| lines.truncate(20));
    assert_eq!(finding.seq, 21);
    assert!(finding.what.contains("missing at the end"), "{finding:?}");
    assert_eq!(found(&|lines| lines[7] = lines[7].replace("billing", "mallory")).seq, 8);
    assert_eq!(found(&|lines| lines.insert(3, "{}".into())).seq, 4);
    assert_eq!(found(&|lines| lines.insert(3, String::new())).seq, 4);
}

#[tokio::test]
async fn hashes_made_anew_do_not_help() {
    let log = written(|settings| settings.checkpoint_entries = 10, 40).await;
    with_lines(log.path(), |lines| {
        lines[20] = lines[20].replace("billing", "mallory");
        rechain(lines);
    });
    let finding = edited(log.path(), &Options::default());
    assert!(finding.what.contains("signed"), "{finding:?}");
    assert!(finding.seq <= 21, "{finding:?}");
}

#[tokio::test]
async fn a_file_or_a_checkpoint_removed() {
    let log = written(in_small_files, 60).await;
    let parts = crate::dir::parts(log.path()).unwrap();
    for (index, part) in parts.iter().enumerate() {
        let dir = copy(log.path());
        fs::remove_file(dir.path().join(part.name())).unwrap();
        let finding = edited(dir.path(), &Options::default());
        assert_eq!(finding.seq, part.first, "file {index}: {finding:?}");
    }
    let dir = copy(log.path());
    fs::remove_file(dir.path().join("checkpoint")).unwrap();
    let finding = edited(dir.path(), &Options::default());
    assert!(finding.what.contains("`checkpoint` is missing"), "{finding:?}");
}

#[tokio::test]
async fn an_old_state_is_found_by_what_is_kept_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    let open = || Audit::open(&settings(dir.path()), &key_of, None).unwrap();
    let audit = open();
    add(&audit, 0..5).await;
    audit.close().await;
    let old = copy(dir.path());
    let audit = open();
    add(&audit, 5..10).await;
    audit.close().await;
    let kept = fs::read_to_string(dir.path().join("checkpoint")).unwrap();
    let size = verified(dir.path()).entries;
    assert_eq!(verified(old.path()).entries, 9);
    let with_size = Options { expect_size: Some(size), ..Options::default() };
    let with_checkpoint = Options { checkpoints: vec![kept], ..Options::default() };
    for options in [with_size, with_checkpoint] {
        verify(dir.path(), &options).unwrap();
        assert_eq!(edited(old.path(), &options).seq, 10);
    }
}

#[tokio::test]
async fn a_log_made_anew_with_another_key_fails_with_the_known_one() {
    let log = written(|_| {}, 3).await;
    let key: Verifier = fs::read_to_string(log.path().join("key.vkey")).unwrap().parse().unwrap();
    let forged = written(|_| {}, 3).await;
    verified(forged.path());
    let options = Options { key: Some(key), ..Options::default() };
    verify(log.path(), &options).unwrap();
    assert!(matches!(verify(forged.path(), &options), Err(VerifyError::Given { .. })));
}

fn log_of(seed: u64) -> TempDir {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(written(
        |settings| {
            in_small_files(settings);
            settings.checkpoint_entries = 3 + seed % 7;
            settings.rotate_bytes = 2_000 + seed % 3_000;
        },
        10 + seed % 30,
    ))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// One byte of any file of entries changed, added or taken away.
    #[test]
    fn any_single_edit_is_found(seed in any::<u64>(), at in any::<prop::sample::Index>(), edit in 0..3, byte in any::<u8>()) {
        let log = log_of(seed);
        let parts = crate::dir::parts(log.path()).unwrap();
        let path = &parts[usize::try_from(seed % parts.len() as u64).unwrap()].path;
        let mut bytes = fs::read(path).unwrap();
        let at = at.index(bytes.len());
        match edit {
            0 => bytes[at] ^= byte.max(1),
            1 => bytes.insert(at, byte),
            _ => drop(bytes.remove(at)),
        }
        // A byte put in beside its like is no edit.
        prop_assume!(bytes != fs::read(path).unwrap());
        fs::write(path, bytes).unwrap();
        let found = verify(log.path(), &Options::default());
        prop_assert!(matches!(found, Err(VerifyError::Edited(_))), "{:?}", found);
    }

    /// Any line taken away, doubled, or swapped with its neighbour.
    #[test]
    fn any_line_moved_is_found(seed in any::<u64>(), at in any::<prop::sample::Index>(), edit in 0..3) {
        let log = log_of(seed);
        let parts = crate::dir::parts(log.path()).unwrap();
        let path = &parts[usize::try_from(seed % parts.len() as u64).unwrap()].path;
        let text = fs::read_to_string(path).unwrap();
        let mut lines: Vec<&str> = text.lines().collect();
        let at = at.index(lines.len());
        match edit {
            0 => drop(lines.remove(at)),
            1 => lines.insert(at, lines[at]),
            _ if at + 1 < lines.len() => lines.swap(at, at + 1),
            _ => return Ok(()),
        }
        fs::write(path, lines.join("\n") + "\n").unwrap();
        let found = verify(log.path(), &Options::default());
        prop_assert!(matches!(found, Err(VerifyError::Edited(_))), "{:?}", found);
    }
}
