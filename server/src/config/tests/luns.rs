//! LUNs: their mistakes, their numbers, their identities.

use super::*;

#[test]
fn each_mistake_in_a_size_has_its_message() {
    expect(
        lun,
        &[
            (
                "memory = true\nsize = \"10X\"",
                "6:8: target.lun.size: \"10X\" is not a size; write bytes or a number with K, M, G or T",
            ),
            (
                "memory = true\nsize = -1",
                "6:8: target.lun.size: -1 is not a size; write bytes or a number with K, M, G or T",
            ),
            (
                "memory = true\nsize = 1000",
                "6:8: target.lun.size: 1000 bytes are not a whole number of blocks of 512; write a multiple",
            ),
            ("memory = true", "3:1: target.lun.size: is missing; a disk in memory needs one"),
            (
                "memory = 1\nsize = 512\npath = \"f\"",
                "5:10: target.lun.memory: is an integer, not a boolean; write true or false",
            ),
            (
                "memory = true\nsize = 512\npath = \"f\"",
                "7:8: target.lun.path: stands beside memory = true; keep one of them",
            ),
        ],
    );
}

#[test]
fn each_mistake_in_a_path_has_its_message() {
    expect(
        lun,
        &[
            ("size = 512", "3:1: target.lun.path: is missing; write path = \"FILE\" or memory = true"),
            (
                "path = \"none.img\"",
                "5:8: target.lun.path: none.img does not exist; write a size to have it created",
            ),
            (
                "path = \"no/where.img\"\nsize = 512",
                "5:8: target.lun.path: the directory no of no/where.img does not exist; create it",
            ),
            ("path = \".\"", "5:8: target.lun.path: . is a directory; name a file or a block device"),
            (
                "path = \"Cargo.toml\"\nsize = 512",
                "6:8: target.lun.size: 512 bytes is not the size of the file, LEN bytes; shrinking would destroy data; leave size out",
            ),
            (
                "path = \"Cargo.toml\"\nsize = \"1M\"",
                "6:8: target.lun.size: 1 MiB is not the size of the file, LEN bytes; leave size out, or make the file itself longer (truncate -s 1048576)",
            ),
        ],
    );
}

#[test]
fn each_mistake_in_the_other_keys_of_a_lun_has_its_message() {
    expect(
        lun,
        &[
            (
                "memory = true\nsize = 4096\nblock_size = 1024",
                "7:14: target.lun.block_size: 1024 is not supported; write 512 or 4096",
            ),
            (
                "memory = true\nsize = 4096\nserial = \"\u{e4}\"",
                "7:10: target.lun.serial: \"\u{e4}\" does not fit; write 1 to 64 printable ASCII characters",
            ),
            (
                "memory = true\nsize = 4096\nvendor = \"TOO LONG A NAME\"",
                "7:10: target.lun.vendor: \"TOO LONG A NAME\" does not fit; write 1 to 8 printable ASCII characters",
            ),
            (
                "memory = true\nsize = 4096\nnaa = \"9000\"",
                "7:7: target.lun.naa: \"9000\" is not an NAA identifier; write 16 hexadecimal digits that begin with 2, 3 or 5, or 32 that begin with 6",
            ),
            (
                "memory = true\nsize = 4096\ndirect = true",
                "7:10: target.lun.direct: a disk in memory has no cache to go past; leave it out",
            ),
            (
                "path = \"f\"\nsize = 4096\ndirect = \"yes\"",
                "7:10: target.lun.direct: is a string, not a boolean; write true or false",
            ),
            (
                "memory = true\nsize = 4096\nreadonly = true",
                "7:1: target.lun.readonly: is not a known key; did you mean `read_only`?",
            ),
        ],
    );
}

#[test]
fn each_mistake_between_luns_has_its_message() {
    expect(
        |text| format!("{TARGET}[[target.lun]]\n{text}\n"),
        &[
            (
                "number = 16384\nmemory = true\nsize = 512",
                "4:10: target.lun.number: 16384 is out of range; write 0 to 16383",
            ),
            ("memory = true\nsize = 512", "3:1: target.lun.number: is missing; write 0 for the first LUN"),
            (
                "number = 0\nmemory = true\nsize = 512\n[[target.lun]]\nnumber = 0\nmemory = true\nsize = 512",
                "7:1: target.lun.number: there is a LUN 0 already; write another number",
            ),
            (
                "number = 0\nmemory = true\nsize = 512\nserial = \"a\"\n[[target.lun]]\nnumber = 1\nmemory = true\nsize = 512\nserial = \"a\"",
                "8:1: target.lun.serial: \"a\" belongs to another disk; write a different one",
            ),
            (
                "number = 0\nmemory = true\nsize = 512\nnaa = \"3000000000000001\"\n[[target.lun]]\nnumber = 1\nmemory = true\nsize = 512\nnaa = \"3000000000000001\"",
                "8:1: target.lun.naa: naa.3000000000000001 belongs to another disk; write a different one",
            ),
            (
                "number = 0\npath = \"f\"\nsize = 512\n[[target.lun]]\nnumber = 1\npath = \"./f\"\nsize = 1024",
                "10:8: target.lun.size: is not what another LUN says of the same disk; make them equal",
            ),
            (
                "number = 0\npath = \"f\"\nsize = 512\n[[target.lun]]\nnumber = 1\npath = \"./f\"\nsize = 512\ndirect = true",
                "11:10: target.lun.direct: is not what another LUN says of the same disk; make them equal",
            ),
        ],
    );
}

// Goal: a number that is wrong is the only mistake, whatever numbers there are beside it.
#[test]
fn a_wrong_number_is_one_mistake() {
    let wrong = "[[target.lun]]\nnumber = 70000\nmemory = true\nsize = \"1M\"\nserial = \"a\"\n";
    assert_eq!(
        errors(&format!("{TARGET}{LUN}serial = \"a\"\n{wrong}")),
        ["iscsicored.toml:9:10: target.lun.number: 70000 is out of range; write 0 to 16383"]
    );
}

#[test]
fn memory_without_bounds_is_a_mistake() {
    expect(
        lun,
        &[
            (
                "memory = true\nsize = \"16000000T\"",
                "6:8: target.lun.size: 16000000 TiB exceeds what a disk in memory can have, 64 TiB; write less, or serve a file",
            ),
            (
                "memory = true\nsize = \"40T\"\n[[target.lun]]\nnumber = 1\nmemory = true\nsize = \"40T\"",
                "10:8: target.lun.size: the disks in memory exceed together what they can have, 64 TiB; write less, or serve a file",
            ),
        ],
    );
    let error = load(&Args::parse_from(["iscsicored", "--disk", "memory:16000000T"])).config.unwrap_err();
    assert!(error[0].to_string().starts_with("command line: --disk: 16000000 TiB exceeds"), "{error:?}");
}

#[test]
fn memory_that_the_machine_does_not_have_is_a_warning() {
    let config = good(&lun("memory = true\nsize = \"4M\""));
    let said = |there_is| {
        let mut d = Diagnostics::new("f", "");
        warn_of_memory(&config, there_is, &mut d);
        d.into_parts().1.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let want = "f: warning: the disks in memory have 4 MiB, but this machine has 3 MiB; make them smaller, or serve files";
    assert_eq!(said(Some((3 << 20) + 5)), [want]);
    assert_eq!((said(Some(4 << 20)), said(None)), (vec![], vec![]));
}

#[test]
fn bytes_that_make_no_block_are_named() {
    let dir = TempDir::new().unwrap();
    let disk = dir.path().join("disk.img");
    fs::write(&disk, [0; 4608]).unwrap();
    let text = format!("{TARGET}[[target.lun]]\nnumber = 0\npath = {disk:?}\n");
    assert_eq!(warnings(&text), [""; 0]);
    assert_eq!(
        warnings(&format!("{text}block_size = 4096\n")),
        [
            "iscsicored.toml:5:8: warning: target.lun.path: the last 512 of 4608 bytes are not served, because they make no whole block of 4096; make the size a multiple, with zeroes at the end if need be"
        ]
    );
    fs::write(&disk, [0; 1000]).unwrap();
    let loaded = load(&Args::parse_from(["iscsicored".as_ref(), "--disk".as_ref(), disk.as_os_str()]));
    let said = loaded.warnings[0].to_string();
    assert!(said.starts_with("command line: warning: --disk: LUN 0: the last 488 of 1000 bytes"), "{said}");
}

// Goal: a disk that was copied together with its identity is not served beside the original.
#[test]
fn a_copied_identity_is_a_mistake_that_names_both_disks() {
    let dir = TempDir::new().unwrap();
    let [a, b] = ["a.img", "b.img"].map(|name| dir.path().canonicalize().unwrap().join(name));
    for disk in [&a, &b] {
        fs::write(disk, [0; 512]).unwrap();
        fs::write(crate::identity::file_for(disk), "serial = \"s\"\nnaa = \"3000000000000001\"\n").unwrap();
    }
    let text = format!(
        "{TARGET}[[target.lun]]\nnumber = 0\npath = {a:?}\n[[target.lun]]\nnumber = 1\npath = {b:?}\n"
    );
    let want = format!(
        "iscsicored.toml:8:8: target.lun.path: {} and {} have the same serial, \"s\"; delete the .id beside whichever is the copy, never that of the original",
        a.display(),
        b.display()
    );
    assert_eq!(errors(&text), [want]);
    // What is configured wins, here over one half of what is kept and over both.
    let half = format!("{text}serial = \"t\"\n");
    assert!(errors(&half)[0].contains("b.img have the same naa, naa.3000000000000001; delete"));
    let units = good(&format!("{half}naa = \"3000000000000002\"\n")).units;
    assert_eq!(units.iter().map(|u| u.serial.as_deref()).collect::<Vec<_>>(), [Some("s"), Some("t")]);
}

// Goal: without a file of its own beside it, no deletion is advised. Method: one disk of which the identity is configured.
#[test]
fn an_identity_that_is_configured_elsewhere_is_changed_there() {
    let dir = TempDir::new().unwrap();
    let [a, b] = ["a.img", "b.img"].map(|name| dir.path().canonicalize().unwrap().join(name));
    fs::write(&b, [0; 512]).unwrap();
    fs::write(crate::identity::file_for(&b), "serial = \"s\"\nnaa = \"300000000000000A\"\n").unwrap();
    let text = |first: &str| {
        format!(
            "{TARGET}[[target.lun]]\nnumber = 0\n{first}\nsize = 512\nnaa = \"300000000000000a\"\n[[target.lun]]\nnumber = 1\npath = {b:?}\n"
        )
    };
    let said = errors(&text(&format!("path = {a:?}")));
    assert!(said[0].ends_with("b.img have the same naa, naa.300000000000000a; configure another serial and naa for whichever is the copy"), "{said:?}");
    // Nor when there is one, but of another identity.
    fs::write(&a, [0; 512]).unwrap();
    fs::write(crate::identity::file_for(&a), "serial = \"t\"\nnaa = \"300000000000000B\"\n").unwrap();
    assert_eq!(errors(&text(&format!("path = {a:?}"))), said);
    let said = errors(&text("memory = true"));
    assert!(
        said[0].ends_with(
            "b.img and a disk in memory have the same naa, naa.300000000000000a; configure another there"
        ),
        "{said:?}"
    );
}

#[test]
fn one_disk_as_two_luns_of_a_target_is_a_warning() {
    let lun = |number: u16, rest: &str| {
        format!("[[target.lun]]\nnumber = {number}\npath = \"f\"\nsize = 512\n{rest}")
    };
    let twice = |first: &str, second: &str| warnings(&format!("{TARGET}{}{}", lun(0, first), lun(1, second)));
    let want = "iscsicored.toml:1:1: warning: f is LUN 0 and LUN 1 of target iqn.2026-01.com.example:t; an initiator that takes them for several disks destroys the data, so keep one";
    assert_eq!(twice("", ""), [want]);
    assert_eq!(twice("read_only = true\n", ""), [want]);
    assert_eq!(twice("read_only = true\n", "read_only = true\n"), [""; 0], "nobody writes");
    let other = "[[target]]\nname = \"iqn.2026-01.com.example:u\"\n";
    assert_eq!(warnings(&format!("{TARGET}{}{other}{}", lun(0, ""), lun(1, ""))), [""; 0], "two targets");
    let to = |host: char| format!("initiators = [\"iqn.2026-01.com.example:{host}\"]\n");
    assert_eq!(twice(&to('a'), &to('b')), [""; 0], "each initiator sees one");
    let line = ["iscsicored", "--disk", "f:512", "--disk", "./f:512"];
    let said = load(&Args::parse_from(line)).warnings;
    assert!(said.len() == 1 && said[0].to_string().contains("f is LUN 0 and LUN 1 of target"), "{said:?}");
}

#[test]
fn the_identity_of_a_former_disk_is_noticed() {
    let dir = TempDir::new().unwrap();
    let disk = dir.path().canonicalize().unwrap().join("disk.img");
    let text = format!("{TARGET}[[target.lun]]\nnumber = 0\npath = {disk:?}\nsize = 512\n");
    assert_eq!(warnings(&text), [""; 0]);
    fs::write(crate::identity::file_for(&disk), "serial = \"s\"\nnaa = \"3000000000000001\"\n").unwrap();
    let want = format!(
        "iscsicored.toml:5:8: warning: target.lun.path: {0} is still to be made, but has the identity of a former disk; delete {0}.id unless initiators are to take the new disk for that one",
        disk.display()
    );
    assert_eq!(warnings(&text), [want]);
    fs::write(&disk, [0; 512]).unwrap();
    assert_eq!(warnings(&text), [""; 0]);
}

// Goal: the time to load grows with the number of LUNs, not with its square. Method: all LUNs that there can be against
// an eighth of them, the best of three; comparing each with each makes that far more than eight times.
#[test]
fn every_lun_there_can_be_is_loaded_soon() {
    let time = |count: u16| {
        let text = many_luns(count);
        let load = || {
            let began = std::time::Instant::now();
            assert_eq!(good(&text).units.len(), usize::from(count));
            began.elapsed()
        };
        (0..3).map(|_| load()).min().unwrap()
    };
    let (few, all) = (time(2048), time(16_384));
    assert!(all < few * 20, "{few:?} for 2048, {all:?} for 16384");
}

fn many_luns(count: u16) -> String {
    use std::fmt::Write as _;
    let mut text = TARGET.to_owned();
    for number in 0..count {
        let _ = write!(
            text,
            "[[target.lun]]\nnumber = {number}\nmemory = true\nsize = 512\nserial = \"serial-{number:010}\"\nnaa = \"3{number:015x}\"\n"
        );
    }
    text
}

fn lun(rest: &str) -> String {
    format!("{TARGET}[[target.lun]]\nnumber = 0\n{rest}\n")
}
