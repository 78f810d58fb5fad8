//! TCP connections as frames on an Ethernet: what a relay has passed on, in the shape that a capture on the wire has.
//!
//! The relay sees bytes, not segments. What is written here is a connection without loss: a handshake, segments in the order
//! in which the relay read them, each acknowledging all that the other side has sent, and an end. Addresses and ports are
//! those of the initiator and of the target, as if the relay were not there.

use std::net::{IpAddr, SocketAddr};

/// Which end a segment comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum From {
    Initiator,
    Target,
}

/// How one side has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// It sends no more.
    Fin,
    /// The connection was cut.
    Reset,
}

/// One connection and how many bytes it has seen in each direction.
pub(crate) struct Connection {
    initiator: SocketAddr,
    target: SocketAddr,
    /// The next sequence number of each.
    next: [u32; 2],
}

/// The most payload in one frame: with its headers it fits the length field of IPv4.
pub(crate) const MOST_PAYLOAD: usize = 48 * 1024;

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;
/// Each side starts somewhere else, so that nobody mistakes one for the other.
const FIRST: [u32; 2] = [1_000_000, 2_000_000];

impl Connection {
    /// A connection between these two, and the frames of its handshake.
    pub(crate) fn open(initiator: SocketAddr, target: SocketAddr) -> (Self, Vec<Vec<u8>>) {
        // Both are written as the same kind of address.
        let (initiator, target) = same_kind(initiator, target);
        let mut connection = Connection { initiator, target, next: FIRST };
        let mut frames = vec![connection.frame(From::Initiator, SYN, &[])];
        connection.next[0] = connection.next[0].wrapping_add(1);
        frames.push(connection.frame(From::Target, SYN | ACK, &[]));
        connection.next[1] = connection.next[1].wrapping_add(1);
        frames.push(connection.frame(From::Initiator, ACK, &[]));
        (connection, frames)
    }

    /// The frames that carry `payload`.
    pub(crate) fn data(&mut self, from: From, payload: &[u8]) -> Vec<Vec<u8>> {
        let pieces = payload.chunks(MOST_PAYLOAD);
        let last = pieces.len().saturating_sub(1);
        let frames = pieces.enumerate().map(|(number, piece)| {
            let push = if number == last { PSH } else { 0 };
            let frame = self.frame(from, ACK | push, piece);
            self.next[from as usize] = self.next[from as usize].wrapping_add(piece.len() as u32);
            frame
        });
        frames.collect()
    }

    /// The frame that ends one direction, or both.
    pub(crate) fn close(&mut self, from: From, how: End) -> Vec<u8> {
        match how {
            End::Reset => self.frame(from, RST | ACK, &[]),
            End::Fin => {
                let frame = self.frame(from, FIN | ACK, &[]);
                self.next[from as usize] = self.next[from as usize].wrapping_add(1);
                frame
            }
        }
    }

    fn frame(&self, from: From, flags: u8, payload: &[u8]) -> Vec<u8> {
        let (source, destination) = match from {
            From::Initiator => (self.initiator, self.target),
            From::Target => (self.target, self.initiator),
        };
        let (seq, ack) = (self.next[from as usize], self.next[1 - from as usize]);
        let mut tcp = Vec::with_capacity(20 + payload.len());
        tcp.extend(source.port().to_be_bytes());
        tcp.extend(destination.port().to_be_bytes());
        tcp.extend(seq.to_be_bytes());
        tcp.extend(if flags & ACK != 0 { ack } else { 0 }.to_be_bytes());
        tcp.extend([5 << 4, flags]);
        tcp.extend(u16::MAX.to_be_bytes()); // the window
        tcp.extend([0; 4]); // checksum, urgent pointer
        tcp.extend(payload);
        let sum = checksum(&[&pseudo_header(source.ip(), destination.ip(), tcp.len()), &tcp]);
        tcp[16..18].copy_from_slice(&sum.to_be_bytes());
        let mut frame = ethernet(from, source.ip());
        frame.extend(ip_header(source.ip(), destination.ip(), tcp.len()));
        frame.extend(tcp);
        frame
    }
}

fn same_kind(a: SocketAddr, b: SocketAddr) -> (SocketAddr, SocketAddr) {
    let v6 = |address: SocketAddr| match address.ip() {
        IpAddr::V4(ip) => SocketAddr::new(ip.to_ipv6_mapped().into(), address.port()),
        IpAddr::V6(_) => address,
    };
    if a.is_ipv4() == b.is_ipv4() { (a, b) } else { (v6(a), v6(b)) }
}

fn ethernet(from: From, ip: IpAddr) -> Vec<u8> {
    // Locally administered addresses, one for each side.
    let mut macs = [[0x02, 0, 0, 0, 0, 0x01], [0x02, 0, 0, 0, 0, 0x02]];
    if from == From::Initiator {
        macs.reverse();
    }
    let ether_type: u16 = if ip.is_ipv4() { 0x0800 } else { 0x86dd };
    [&macs.concat()[..], &ether_type.to_be_bytes()].concat()
}

fn ip_header(source: IpAddr, destination: IpAddr, len: usize) -> Vec<u8> {
    const TCP: u8 = 6;
    const HOPS: u8 = 64;
    let mut header = Vec::new();
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            header.extend([0x45, 0]);
            header.extend(((len + 20) as u16).to_be_bytes());
            header.extend([0, 0, 0x40, 0, HOPS, TCP, 0, 0]); // do not fragment
            header.extend(source.octets());
            header.extend(destination.octets());
            let sum = checksum(&[&header]);
            header[10..12].copy_from_slice(&sum.to_be_bytes());
        }
        (source, destination) => {
            header.extend([0x60, 0, 0, 0]);
            header.extend((len as u16).to_be_bytes());
            header.extend([TCP, HOPS]);
            header.extend(octets6(source));
            header.extend(octets6(destination));
        }
    }
    header
}

fn pseudo_header(source: IpAddr, destination: IpAddr, len: usize) -> Vec<u8> {
    let mut header = Vec::new();
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            header.extend(source.octets());
            header.extend(destination.octets());
            header.extend([0, 6]);
            header.extend((len as u16).to_be_bytes());
        }
        (source, destination) => {
            header.extend(octets6(source));
            header.extend(octets6(destination));
            header.extend((len as u32).to_be_bytes());
            header.extend([0, 0, 0, 6]);
        }
    }
    header
}

fn octets6(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}

/// The Internet checksum (RFC 1071) over parts of which all but the last have even lengths.
fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum: u64 = 0;
    for part in parts {
        let mut pairs = part.chunks_exact(2);
        for pair in pairs.by_ref() {
            sum += u64::from(u16::from_be_bytes([pair[0], pair[1]]));
        }
        if let [odd] = pairs.remainder() {
            sum += u64::from(*odd) << 8;
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(address: &str) -> SocketAddr {
        address.parse().unwrap()
    }

    fn word(frame: &[u8], at: usize) -> u32 {
        u32::from_be_bytes(frame[at..at + 4].try_into().unwrap())
    }

    // Goal: every checksum is right. Method: RFC 1071: the sum over data with its checksum in place is zero.
    #[test]
    fn checksums_add_up() {
        for (initiator, target, ip_len) in
            [("192.0.2.1:1000", "192.0.2.2:3260", 20), ("[2001:db8::1]:1000", "192.0.2.2:3260", 40)]
        {
            let (mut connection, mut frames) = Connection::open(at(initiator), at(target));
            frames.extend(connection.data(From::Target, b"odd"));
            for frame in frames {
                let (ip, tcp) = frame[14..].split_at(ip_len);
                if ip_len == 20 {
                    assert_eq!(checksum(&[ip]), 0);
                }
                let (source, destination) = if frame[5] == 2 {
                    (connection.initiator, connection.target)
                } else {
                    (connection.target, connection.initiator)
                };
                let pseudo = pseudo_header(source.ip(), destination.ip(), tcp.len());
                assert_eq!(checksum(&[&pseudo, tcp]), 0);
            }
        }
    }

    #[test]
    fn sequence_numbers_follow_the_bytes() {
        let (mut connection, handshake) = Connection::open(at("127.0.0.1:1"), at("127.0.0.1:3260"));
        let (seq, ack) = (34 + 4, 34 + 8);
        assert_eq!(handshake.len(), 3);
        assert_eq!((word(&handshake[2], seq), word(&handshake[2], ack)), (1_000_001, 2_000_001));
        let request = connection.data(From::Initiator, &[0; 100]);
        assert_eq!(word(&request[0], seq), 1_000_001);
        let answer = connection.data(From::Target, &vec![0; MOST_PAYLOAD + 1]);
        assert_eq!(answer.len(), 2);
        assert_eq!((word(&answer[0], seq), word(&answer[0], ack)), (2_000_001, 1_000_101));
        assert_eq!(word(&answer[1], seq), 2_000_001 + MOST_PAYLOAD as u32);
        assert_eq!((answer[0][34 + 13], answer[1][34 + 13]), (ACK, ACK | PSH));
        let end = connection.close(From::Initiator, End::Fin);
        assert_eq!((word(&end, seq), end[34 + 13]), (1_000_101, FIN | ACK));
        let end = connection.close(From::Target, End::Fin);
        assert_eq!(word(&end, ack), 1_000_102, "a FIN counts as a byte");
    }
}
