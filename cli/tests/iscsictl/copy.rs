//! `copy`, undisturbed.

use std::sync::Arc;

use iscsicore::DataList;
use iscsicore::disk::{BlockSize, UnitConfig};
use iscsicore_tokio::backend::{Backend, Info, IoReply, Kind, MemoryBackend};

use crate::support::{Rig, SIZE, TARGET, allocated, noise, run, runtime, serve};

/// A sparse file with data at its beginning, in the middle, and at its end, which is no multiple of a block.
fn sparse_file(path: &str, len: u64) -> Vec<u8> {
    use std::os::unix::fs::FileExt as _;
    let mut whole = vec![0; len as usize];
    let file = std::fs::File::create(path).unwrap();
    file.set_len(len).unwrap();
    for (at, size) in [(0, 100_000), (5 << 20, 1 << 20), (len as usize - 5000, 5000)] {
        let data = noise(size, at as u64);
        file.write_all_at(&data, at as u64).unwrap();
        whole[at..at + size].copy_from_slice(&data);
    }
    whole
}

// Goal: a file comes back from a disk bit by bit, and neither end takes more space than the data.
#[test]
fn a_sparse_file_goes_to_a_disk_and_comes_back() {
    let rig = Rig::new();
    let (file, back) = (rig.path("file"), rig.path("back"));
    let whole = sparse_file(&file, SIZE);
    // What was there before must not shine through the holes.
    rig.put(0, noise(SIZE as usize, 99));
    let json = run(&["copy", &file, &rig.url(0), "--verify", "--json"]).ok().json();
    assert_eq!(
        (&json["type"], &json["bytes"], &json["verified"]),
        (&"copied".into(), &SIZE.into(), &true.into())
    );
    assert_eq!(json["data_bytes"].as_u64().unwrap() + json["zero_bytes"].as_u64().unwrap(), SIZE);
    assert!(json["verify_seconds"].as_f64().unwrap() > 0.0, "{json}");
    assert!(rig.bytes(0, SIZE) == whole);
    assert!(rig.memory.allocated() < 2 << 20, "{}", rig.memory.allocated());
    assert_eq!(rig.disk.calls().iter().rfind(|call| call.kind != Kind::Read).unwrap().kind, Kind::Flush);

    let said = run(&["copy", &rig.url(0), &back]).ok();
    assert!(
        said.text().starts_with("copied 32 MiB in ") && said.stderr.is_empty(),
        "{}{}",
        said.text(),
        said.stderr
    );
    assert!(std::fs::read(&back).unwrap() == whole);
    assert!(allocated(&back) <= allocated(&file) + (64 << 10), "{} {}", allocated(&back), allocated(&file));
    let left: Vec<_> =
        std::fs::read_dir(rig.directory.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "no state is left: {left:?}");
    assert_eq!(rig.sessions_left(), 0);
}

#[test]
fn disks_are_copied_to_disks() {
    let rig = Rig::new();
    rig.put(7 << 20, noise(3 << 20, 5));
    run(&["copy", &rig.url(0), &rig.url(1), "--verify", "--chunk", "512K", "--depth", "3"]).ok();
    assert!(rig.bytes(0, SIZE) == rig.other_bytes(0, SIZE));
    let both = run(&["copy", &rig.url(0), &rig.url(1), "--verify"]).ok();
    assert!(
        both.text().contains("copied 32 MiB in ") && both.text().contains("; verified in "),
        "{}",
        both.text()
    );
    let said = run(&["copy", &rig.url(0), &rig.url(0)]).code(2);
    assert!(said.stderr.contains("source and destination are the same"), "{}", said.stderr);
}

// Goal: a source that ends within a block fills that block up with zeroes, and what is behind stays.
#[test]
fn the_end_of_an_odd_file_is_padded() {
    let rig = Rig::new();
    let file = rig.path("odd");
    let whole = sparse_file(&file, (6 << 20) + 777);
    rig.put(0, vec![0xee; SIZE as usize]);
    run(&["copy", &file, &rig.url(0), "--verify"]).ok();
    let len = whole.len() as u64;
    assert!(rig.bytes(0, len) == whole);
    let padded = len.next_multiple_of(512);
    assert!(rig.bytes(len, padded - len).iter().all(|byte| *byte == 0));
    assert!(rig.bytes(padded, SIZE - padded).iter().all(|byte| *byte == 0xee));
}

#[test]
fn zeroes_can_be_left_out_or_written_as_data() {
    let rig = Rig::new();
    let file = rig.path("file");
    let whole = sparse_file(&file, SIZE);
    run(&["copy", &file, &rig.url(0), "--no-zeroes", "--verify"]).ok();
    assert!(rig.disk.calls().iter().all(|call| !matches!(call.kind, Kind::Unmap | Kind::WriteZeroes)));
    assert!(rig.bytes(0, SIZE) == whole);
    let back = rig.path("back");
    run(&["copy", &rig.url(0), &back, "--no-sparse"]).ok();
    assert!(std::fs::read(&back).unwrap() == whole);
    assert!(allocated(&back) >= SIZE);
}

#[test]
fn files_are_not_overwritten_by_accident() {
    let rig = Rig::new();
    let file = rig.path("precious");
    std::fs::write(&file, "precious").unwrap();
    let error = run(&["copy", &rig.url(0), &file, "--json"]).code(2).error();
    assert_eq!((&error["where"], &error["code"]), (&file.clone().into(), &2.into()));
    assert!(error["try"].as_str().unwrap().contains("--overwrite"));
    assert_eq!(std::fs::read(&file).unwrap(), b"precious");
    run(&["copy", &rig.url(0), &file, "--overwrite"]).ok();
    assert_eq!(std::fs::metadata(&file).unwrap().len(), SIZE);

    let (large, empty, none) = (rig.path("large"), rig.path("empty"), rig.path("none"));
    std::fs::File::create(&large).unwrap().set_len(SIZE + 512).unwrap();
    std::fs::File::create(&empty).unwrap();
    for (arguments, code, part) in [
        (&["copy", &large, &rig.url(0)][..], 2, "too small for the 33554944"),
        (&["copy", &empty, &rig.url(0)], 2, "nothing to copy"),
        (&["copy", &none, &rig.url(0)], 1, "cannot open it"),
        (&["copy", &large, &large], 2, "are the same"),
        (&["copy", &rig.url(0), &rig.url(1), "--chunk", "1000"], 2, "multiple of the block size of 512"),
        (&["copy", &rig.url(0), "/does/not/exist"], 1, "cannot create it"),
    ] {
        let said = run(arguments).code(code);
        assert!(said.stderr.contains(part) && said.stderr.lines().count() == 1, "{}", said.stderr);
    }
    assert_eq!(rig.sessions_left(), 0);
}

// Goal: other block sizes are heeded. Method: a disk with blocks of 4096 bytes, a source that ends within one.
#[test]
fn blocks_of_4096_bytes_are_heeded() {
    let (runtime, directory) = (runtime(), tempfile::tempdir().unwrap());
    let memory = MemoryBackend::new(SIZE);
    let mut builder = iscsicore_tokio::Server::builder();
    let config = UnitConfig::new("large-blocks", BlockSize::B4096, SIZE / 4096);
    let unit = builder.unit(config, Arc::new(memory.clone()));
    builder.target(TARGET, &[unit]).unwrap();
    let server = runtime.block_on(builder.serve("127.0.0.1:0".parse().unwrap())).unwrap();
    let url = format!("iscsi://{}/{TARGET}/0", server.addresses()[0]);
    let path = |name: &str| directory.path().join(name).display().to_string();
    let whole = sparse_file(&path("odd"), (7 << 20) + 512);
    run(&["copy", &path("odd"), &url, "--verify"]).ok();
    let read = runtime.block_on(memory.read(0, whole.len()).wait()).unwrap().to_bytes();
    assert!(read == whole);
    run(&["read", &url, "--offset", "5242881", "--length", "5000", "-o", &path("part")]).ok();
    assert_eq!(std::fs::read(path("part")).unwrap(), whole[5_242_881..5_247_881]);
    for arguments in [
        &["write", &url, "--offset", "512"][..],
        &["bench", &url, "--size", "512"],
        &["copy", &path("odd"), &url, "--chunk", "512"],
    ] {
        let said = run(arguments).code(2);
        assert!(said.stderr.contains("4096"), "{}", said.stderr);
    }
}

/// A disk that loses a bit of what is written to one byte.
struct Corrupting(MemoryBackend, u64);

impl Backend for Corrupting {
    fn size(&self) -> u64 {
        self.0.size()
    }

    fn info(&self) -> Info {
        Info::default()
    }

    fn read(&self, offset: u64, len: usize) -> IoReply<DataList> {
        self.0.read(offset, len)
    }

    fn write(&self, offset: u64, data: DataList, fua: bool) -> IoReply<()> {
        let mut data = data.to_bytes().to_vec();
        if let Some(at) = self.1.checked_sub(offset).filter(|at| *at < data.len() as u64) {
            data[at as usize] ^= 1;
        }
        self.0.write(offset, data.into(), fua)
    }

    fn flush(&self) -> IoReply<()> {
        self.0.flush()
    }
}

#[test]
fn verification_finds_a_bit_that_the_disk_has_lost() {
    const PLACE: u64 = (5 << 20) + 12_345;
    let (runtime, directory) = (runtime(), tempfile::tempdir().unwrap());
    let disk: Arc<dyn Backend> = Arc::new(Corrupting(MemoryBackend::new(SIZE), PLACE));
    let server = runtime.block_on(serve("127.0.0.1:0".parse().unwrap(), &[("bad", disk)], |_| {}));
    let url = format!("iscsi://{}/{TARGET}/0", server.addresses()[0]);
    let file = directory.path().join("file").display().to_string();
    sparse_file(&file, SIZE);
    run(&["copy", &file, &url]).ok();
    let error = run(&["copy", &file, &url, "--verify", "--json"]).code(4).error();
    assert_eq!((&error["kind"], &error["where"]), (&"mismatch".into(), &url.into()));
    let what = error["what"].as_str().unwrap();
    assert!(what.contains(&format!("in 1 bytes, the first of them byte {PLACE}")), "{what}");
}

#[test]
fn progress_is_told_to_programs_when_they_ask() {
    let rig = Rig::new();
    rig.put(0, noise(SIZE as usize, 6));
    let gate = iscsicore_tokio::backend::Gate::new();
    rig.disk.next_at(Kind::Read, 16 << 20, iscsicore_tokio::backend::Fault::Hold(gate.clone()));
    let arguments = ["copy", &rig.url(0), &rig.path("file"), "--progress", "always", "--json"];
    let mut child = crate::support::command(&arguments).spawn().unwrap();
    // The first line comes while the copy waits for the disk.
    let mut stdout = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut stdout, &mut line).unwrap();
    gate.open();
    let progress: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&progress["type"], &progress["phase"]), (&"progress".into(), &"copying".into()));
    assert_eq!(progress["total_bytes"], SIZE);
    assert!(progress["bytes"].as_u64().unwrap() < SIZE);
    let last = std::io::BufRead::lines(stdout).map(Result::unwrap).last().unwrap();
    assert!(last.contains("\"type\":\"copied\""), "{last}");
    crate::support::finish(child).ok();
}
