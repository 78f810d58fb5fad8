//! `read`, `write` and `scsi`.

use std::io::ErrorKind;

use iscsicore_tokio::backend::{Fault, Kind};

use crate::support::{Rig, SIZE, noise, run, run_with_input};

#[test]
fn reads_are_trimmed_to_bytes() {
    let rig = Rig::new();
    let data = noise(3 << 20, 1);
    rig.put(1 << 20, data.clone());
    let file = rig.path("out");
    for (offset, length, at, len) in [
        ("1M", "3M", 0, 3 << 20),
        ("2048blk", "1blk", 0, 512),
        ("1048577", "1000", 1, 1000),
        ("1049087", "2", 511, 2),
    ] {
        run(&["read", &rig.url(0), "--offset", offset, "--length", length, "-o", &file]).ok();
        assert_eq!(std::fs::read(&file).unwrap(), data[at..at + len], "{offset} {length}");
    }
    let all = run(&["read", &rig.url(0), "-o", "-"]).ok();
    assert_eq!(all.stdout.len() as u64, SIZE);
    assert_eq!(all.stdout[1 << 20..4 << 20], data);
    let dump = run(&["read", &rig.url(0), "--offset", "1M", "--length", "16"]).ok().text();
    assert!(dump.starts_with(&format!("00000000  {:02x} {:02x} ", data[0], data[1])), "{dump}");
    let json = run(&["read", &rig.url(0), "--offset", "1M", "--length", "2", "--json"]).ok().json();
    assert_eq!(json["data_hex"], format!("{:02x}{:02x}", data[0], data[1]));
    assert_eq!((&json["offset"], &json["bytes"]), (&(1 << 20).into(), &2.into()));
    let said = run(&["read", &rig.url(0), "--offset", "32M", "--length", "1"]).code(2);
    assert!(said.stderr.contains("beyond the end of the disk, which has 33554432 bytes"), "{}", said.stderr);
}

#[test]
fn a_medium_error_is_told_with_its_place() {
    let rig = Rig::new();
    rig.disk.next(Kind::Read, Fault::Medium(512 * 100));
    let error = run(&["read", &rig.url(0), "--length", "1M", "-o", "-", "--json"]).code(1).error();
    let what = error["what"].as_str().unwrap();
    assert!(what.contains("MEDIUM ERROR") && what.contains("100"), "{what}");
    assert_eq!(error["where"], rig.url(0));
}

#[test]
fn writes_are_whole_blocks_and_flushed() {
    let rig = Rig::new();
    let (data, file) = (noise(5 << 20, 2), rig.path("in"));
    std::fs::write(&file, &data).unwrap();
    let json = run(&["write", &rig.url(0), "--offset", "8blk", "-i", &file, "--json"]).ok().json();
    assert_eq!(json, serde_json::json!({"offset": 4096, "bytes": 5 << 20, "flushed": true}));
    assert_eq!(rig.bytes(4096, 5 << 20), data);
    assert_eq!(rig.disk.calls().last().unwrap().kind, Kind::Flush);
    run_with_input(&["write", &rig.url(1), "--offset", "0", "--no-flush"], &data).ok();
    assert_eq!(rig.other_bytes(0, 5 << 20), data);

    let before = rig.disk.calls().len();
    std::fs::write(&file, &data[..1000]).unwrap();
    for (arguments, part) in [
        (&["--offset", "7"][..], "the offset is 7 bytes"),
        (&["--offset", "0"], "the size of the file is 1000 bytes"),
        (&["--offset", "33M"], "beyond the end"),
    ] {
        let said = run(&[&["write", &rig.url(0), "-i", &file], arguments].concat()).code(2);
        assert!(said.stderr.contains(part), "{}", said.stderr);
    }
    assert_eq!(rig.disk.calls().len(), before, "nothing was written");
    let said = run_with_input(&["write", &rig.url(0), "--offset", "0"], &data[..(1 << 20) + 100]).code(2);
    assert!(said.stderr.contains("; 1048576 bytes were written"), "{}", said.stderr);
    assert_eq!(rig.bytes(0, 1 << 20), data[..1 << 20]);
    rig.disk.next(Kind::Flush, Fault::Fail(ErrorKind::Other));
    run_with_input(&["write", &rig.url(0), "--offset", "0"], &data[..512]).code(1);
}

#[test]
fn commands_are_sent_as_they_are_spelt() {
    let rig = Rig::new();
    let json = run(&["scsi", &rig.url(0), "12 00 00 00 24 00", "--in", "36", "--json"]).ok().json();
    assert_eq!((&json["status"], &json["status_name"]), (&0.into(), &"GOOD".into()));
    assert!(json["data_hex"].as_str().unwrap().starts_with("0000"));
    assert_eq!(json["received_bytes"], 36);
    assert_eq!(json["residual"], serde_json::Value::Null);
    // READ CAPACITY(10) without room for its answer, and with too much.
    let none = run(&["scsi", &rig.url(0), "25000000000000000000"]).ok().text();
    assert!(none.contains("residual overflow: 8 bytes") && none.contains("--in 8 "), "{none}");
    let json = run(&["scsi", &rig.url(0), "25000000000000000000", "--in", "20", "--json"]).ok().json();
    assert_eq!(json["residual"], serde_json::json!({"kind": "underflow", "bytes": 12}));
    // WRITE(10) of a block, with its data from a file, and READ(10) into one.
    let (data, out, back) = (noise(512, 3), rig.path("out"), rig.path("back"));
    std::fs::write(&out, &data).unwrap();
    run(&["scsi", &rig.url(0), "2a000000000500000100", "--out", &out]).ok();
    assert_eq!(rig.bytes(5 * 512, 512), data);
    run(&["scsi", &rig.url(0), "28", "00", "00000005", "00", "0001", "00", "--in", "512", "-o", &back]).ok();
    assert_eq!(std::fs::read(&back).unwrap(), data);

    let said = run(&["scsi", &rig.url(0), "2800ffffffff00000100", "--in", "512", "--json"]).code(1);
    let json = said.json();
    assert_eq!((&json["status"], &json["sense"]["key"]), (&2.into(), &5.into()));
    assert_eq!((&json["sense"]["asc"], &json["sense"]["ascq"]), (&0x21.into(), &0.into()));
    assert!(said.error()["what"].as_str().unwrap().contains("LOGICAL BLOCK ADDRESS OUT OF RANGE"));
    // A new session has a unit attention condition to take.
    let alone = run(&["scsi", &rig.url(0), "000000000000", "--alone"]).code(1);
    assert!(alone.text().contains("UNIT ATTENTION"), "{}", alone.text());
    for (cdb, part) in
        [("12", "6 to 260 bytes"), ("2800", "6 to 260"), ("zz", "hexadecimal"), ("280000000000", "10 bytes")]
    {
        let said = run(&["scsi", &rig.url(0), cdb]).code(2);
        assert!(said.stderr.contains(part), "{}", said.stderr);
    }
}
