//! The targets on threads and on smol, driven by qemu's initiator and iscsi-ls.

mod support;

use std::path::Path;

use support::{Program, Tool, copy_in, copy_out, have, image, qemu_io, run, start_qemu_io};

const MIB: usize = 1 << 20;

const QEMU: &[&str] = &["qemu-img", "qemu-io"];

/// One test of each kind for each program.
macro_rules! tests_of {
    ($name:ident, $path:expr) => {
        mod $name {
            const PROGRAM: &str = $path;

            #[test]
            fn discovery_tells_the_target_and_its_disk() {
                super::discovery(PROGRAM);
            }

            #[test]
            fn an_image_comes_back_as_it_went() {
                super::image_in_and_out(PROGRAM);
            }

            #[test]
            fn patterns_are_read_as_written() {
                super::patterns(PROGRAM);
            }

            #[test]
            fn many_initiators_at_once() {
                super::many_at_once(PROGRAM);
            }

            #[test]
            fn much_to_read_does_not_stall() {
                super::much_to_read(PROGRAM);
            }

            #[test]
            fn what_is_no_initiator_does_no_harm() {
                super::hostile(PROGRAM);
            }

            #[test]
            fn wrong_arguments_are_named() {
                super::wrong_arguments(PROGRAM);
            }
        }
    };
}

tests_of!(target_std, env!("CARGO_BIN_EXE_target_std"));
tests_of!(target_smol, env!("CARGO_BIN_EXE_target_smol"));

#[test]
fn much_to_read_does_not_stall_the_server_on_tokio() {
    much_to_read(env!("CARGO_BIN_EXE_custom_backend"));
}

fn discovery(program: &str) {
    if !have(&["iscsi-ls"]) {
        return;
    }
    let program = Program::start(program, &["--listen", "127.0.0.1:0"]);
    let address = program.address();
    let listed = run("iscsi-ls", &["-s", &format!("iscsi://{address}")]);
    let target = format!("Target:{} Portal:{address},1", program.target());
    assert!(listed.contains(&target), "{listed}");
    assert!(listed.lines().any(|l| l.starts_with("Lun:0 ") && l.contains("DIRECT_ACCESS")), "{listed}");
}

// Goal: every byte arrives, in the file that was named too. Method: a disk in a file, 24 MiB through it.
fn image_in_and_out(program: &str) {
    if !have(QEMU) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let [source, copy, disk] = ["source", "copy", "disk"].map(|name| directory.path().join(name));
    let want = image(1, 24 * MIB);
    std::fs::write(&source, &want).unwrap();
    let program = Program::start(program, &["--disk", &format!("{}:24M", disk.display())]);
    copy_in(&source, &program.url);
    assert_same(&disk, &want);
    copy_out(&program.url, &copy);
    assert_same(&copy, &want);
}

fn patterns(program: &str) {
    if !have(QEMU) {
        return;
    }
    let mut program = Program::start(program, &[]);
    qemu_io(
        &program.url,
        &[
            "read -P 0 0 1M",
            "write -P 0x5a 1M 4M",
            "write -P 0xa5 512 512",
            "write -z 2M 1M",
            "read -P 0x5a 1M 1M",
            "read -P 0 2M 1M",
            "read -P 0x5a 3M 2M",
            "read -P 0xa5 512 512",
            "read -P 0 1024 512",
            "write -f -P 0x11 63M 1M",
            "flush",
            "aio_write -P 0x21 8M 64k",
            "aio_write -P 0x22 9M 3M",
            "aio_write -P 0x23 12M 512",
            "aio_flush",
            "read -P 0x21 8M 64k",
            "read -P 0x22 9M 3M",
            "read -P 0x23 12M 512",
        ],
    );
    // Another session finds it all.
    qemu_io(&program.url, &["read -P 0x11 63M 1M", "read -P 0x5a 1M 1M"]);
    program.assert_alive();
}

// Goal: sessions live beside each other, and none disturbs the data of another. Method: six at once, each in a part
// of the disk of its own; then one reads all of it.
fn many_at_once(program: &str) {
    if !have(QEMU) {
        return;
    }
    let program = Program::start(program, &[]);
    let part = |n: usize| {
        let at = 8 * n;
        let pattern = 0x30 + n;
        let (write, read) = (format!("write -P {pattern} {at}M 8M"), format!("read -P {pattern} {at}M 8M"));
        start_qemu_io(&program.url, &[&write, &read])
    };
    let started: Vec<Tool> = (0..6).map(part).collect();
    for tool in started {
        let printed = tool.success();
        assert!(printed.contains("wrote") && !printed.contains("fail"), "{printed}");
    }
    for n in 0..6 {
        qemu_io(&program.url, &[&format!("read -P {} {}M 8M", 0x30 + n, 8 * n)]);
    }
}

// Goal: commands that the core holds back, because too much waits to be sent, go on when it has been sent. Method:
// reads of 64 MiB, 32 of them at once, several times. A target that forgets one is reminded by the initiator's next
// ping, which qemu sends after five seconds: far above what the copy takes.
fn much_to_read(program: &str) {
    if !have(QEMU) {
        return;
    }
    let program = Program::start(program, &[]);
    for _ in 0..5 {
        let begin = std::time::Instant::now();
        run("qemu-img", &["bench", "-f", "raw", "-c", "64", "-d", "32", "-s", "1M", &program.url]);
        assert!(begin.elapsed() < std::time::Duration::from_secs(4), "stalled: {:?}", begin.elapsed());
    }
}

// Goal: the server goes on when peers talk nonsense, say nothing, or go away in the middle.
fn hostile(program: &str) {
    use std::io::{Read, Write};
    use std::net::TcpStream;
    let mut program = Program::start(program, &[]);
    let silent = TcpStream::connect(program.address()).unwrap();
    drop(TcpStream::connect(program.address()).unwrap());
    let mut cut = TcpStream::connect(program.address()).unwrap();
    cut.write_all(&[0x43; 20]).unwrap();
    drop(cut);
    let mut talker = TcpStream::connect(program.address()).unwrap();
    talker.set_read_timeout(Some(std::time::Duration::from_secs(30))).unwrap();
    talker.write_all(&b"GET / HTTP/1.1\r\nHost: example\r\n\r\n".repeat(100)).unwrap();
    let mut answer = Vec::new();
    // The end may come as a reset, if the program has closed before it read everything.
    let end = talker.read_to_end(&mut answer);
    assert!(end.is_ok() || end.is_err_and(|e| e.kind() == std::io::ErrorKind::ConnectionReset));
    program.assert_alive();
    if have(QEMU) {
        qemu_io(&program.url, &["write -P 1 0 1M", "read -P 1 0 1M"]);
        let elsewhere = program.url.replace(program.target(), "iqn.2026-01.dev.iscsicore:nowhere");
        let refused = start_qemu_io(&elsewhere, &["read 0 512"]).output();
        let printed = String::from_utf8_lossy(&refused.stderr);
        assert!(
            printed.contains("not found") || printed.contains("0x203") || printed.contains("515"),
            "{printed}"
        );
    }
    program.assert_alive();
    drop(silent);
}

fn wrong_arguments(program: &str) {
    for (arguments, named) in [
        (&["--listen", "nowhere"][..], "nowhere"),
        (&["--disk", "/nonexistent/disk:1M"], "/nonexistent/disk"),
        (&["--disk", "disk:12345x"], "12345x"),
        (&["--disk"], "--disk"),
        (&["--colour", "red"], "--colour"),
    ] {
        let output = Tool::start(program, arguments).output();
        let printed = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && printed.contains(named), "{arguments:?}: {printed}");
    }
}

fn assert_same(path: &Path, want: &[u8]) {
    let found = std::fs::read(path).unwrap();
    assert_eq!(found.len(), want.len(), "{}", path.display());
    let different = found.iter().zip(want).position(|(a, b)| a != b);
    assert_eq!(different, None, "{}: the first byte that differs", path.display());
}
