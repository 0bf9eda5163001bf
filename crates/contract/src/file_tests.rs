#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn an_abandoned_write_leaves_the_old_file_and_no_part() {
    let dir = tempfile::tempdir().unwrap();
    let name = dir.path().join("a/table.parquet");
    write(&name, b"old").unwrap();
    let mut whole = Whole::begin(&name).unwrap();
    whole.file().write_all(b"new, half").unwrap();
    drop(whole);
    assert_eq!(fs::read(&name).unwrap(), b"old");
    assert_eq!(fs::read_dir(name.parent().unwrap()).unwrap().count(), 1);
}

#[test]
fn two_writers_of_one_file_are_one_too_many() {
    let dir = tempfile::tempdir().unwrap();
    let name = dir.path().join("table.parquet");
    let first = Whole::begin(&name).unwrap();
    assert!(matches!(Whole::begin(&name), Err(Error::Busy { .. })));
    drop(first);
    write(&name, b"x").unwrap();
}

#[test]
fn a_part_left_by_a_killed_run_is_taken_over() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(".t.parquet.part"), b"rubbish that is longer than the new text").unwrap();
    let name = dir.path().join("t.parquet");
    write(&name, b"short").unwrap();
    assert_eq!(fs::read(&name).unwrap(), b"short");
}

#[test]
fn what_is_kept_is_there_for_the_next_run_and_only_for_one_that_asks() {
    let dir = tempfile::tempdir().unwrap();
    let name = dir.path().join("t.tif");
    for keep in [true, false] {
        let mut whole = Whole::resume(&name).unwrap();
        whole.keep(keep);
        whole.file().write_all(b"half").unwrap();
        assert!(matches!(Whole::resume(&name), Err(Error::Busy { .. })));
        drop(whole);
        assert_eq!(dir.path().join(".t.tif.part").exists(), keep);
    }
    let mut whole = Whole::resume(&name).unwrap();
    whole.file().write_all(b"half").unwrap();
    whole.keep(true);
    drop(whole);
    assert_eq!(fs::read(Whole::resume(&name).unwrap().part()).unwrap(), b"half");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "not kept, it goes");
}

#[test]
fn many_writers_of_one_file_never_lock_or_empty_a_finished_one() {
    let dir = tempfile::tempdir().unwrap();
    let name = dir.path().join("t.bin");
    let n_done: usize = std::thread::scope(|scope| {
        let one = |n: u8| {
            let name = &name;
            move || (0..200).filter(|_| write(name, &[n; 1000]).is_ok()).count()
        };
        let runs: Vec<_> = (0..4).map(|n| scope.spawn(one(n))).collect();
        let reader = || (0..2000).filter_map(|_| fs::read(&name).ok()).all(|bytes| bytes.len() == 1000);
        assert!(reader(), "a reader saw less than a whole file");
        runs.into_iter().map(|run| run.join().unwrap()).sum()
    });
    // How many are refused because another one writes is chance.
    assert!(n_done > 0, "no write got through");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_link_stays_a_link_and_the_file_that_it_names_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let (there, link, later) =
        (dir.path().join("store/t.bin"), dir.path().join("link"), dir.path().join("later"));
    write(&there, b"old").unwrap();
    std::os::unix::fs::symlink("store/t.bin", dir.path().join("middle")).unwrap();
    std::os::unix::fs::symlink("middle", &link).unwrap();
    std::os::unix::fs::symlink("store/not/yet.bin", &later).unwrap();
    write(&link, b"new").unwrap();
    write(&later, b"first").unwrap();
    assert!(link.is_symlink() && later.is_symlink());
    assert_eq!(fs::read(&there).unwrap(), b"new");
    assert_eq!(fs::read(dir.path().join("store/not/yet.bin")).unwrap(), b"first");
    let circle = dir.path().join("circle");
    std::os::unix::fs::symlink("circle", &circle).unwrap();
    let said = write(&circle, b"x").unwrap_err().to_string();
    assert!(said.contains("circle: cannot write: a circle of symbolic links"), "{said}");
}

#[test]
fn a_device_a_pipe_and_a_socket_are_refused_and_stay_what_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let (pipe, socket, link) = (dir.path().join("p"), dir.path().join("s"), dir.path().join("l"));
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let _held = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    std::os::unix::fs::symlink("/dev/full", &link).unwrap();
    let cases = [
        (pipe.as_path(), "a pipe"),
        (&socket, "a socket"),
        (&link, "a device"),
        (Path::new("/dev/null"), "a device"),
    ];
    for (path, what) in cases {
        let before = fs::metadata(path).unwrap().file_type();
        let said = write(path, b"x").unwrap_err().to_string();
        assert!(said.contains(&format!("want the name of a file, got {what}; give another name")), "{said}");
        assert_eq!(fs::metadata(path).unwrap().file_type(), before);
    }
    assert!(link.is_symlink());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3, "no part is left");
}

#[test]
fn a_full_disk_and_one_that_may_not_be_written_say_what_to_do() {
    let said = |kind: ErrorKind| {
        Error::io(Path::new("a/t.parquet"), "write")(std::io::Error::from(kind)).to_string()
    };
    let full = "a/t.parquet: cannot write (free space there, or give another folder): ";
    assert_eq!(said(ErrorKind::StorageFull), format!("{full}no storage space"));
    assert!(said(ErrorKind::QuotaExceeded).starts_with(full));
    assert!(said(ErrorKind::FileTooLarge).contains("(raise the limit on the size of files, ulimit -f,"));
    assert!(said(ErrorKind::ReadOnlyFilesystem).contains("cannot write (give another folder): "));
    assert!(said(ErrorKind::NotFound).contains("cannot write: "));
}
