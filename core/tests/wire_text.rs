//! Text as peers send it: whole, cut anywhere, and hostile.

use bytes::Bytes;
use iscsicore::Limits;
use iscsicore::wire::text::*;
use proptest::prelude::*;

fn pairs(text: &[u8]) -> Result<Vec<(&str, &str)>, TextError> {
    Pairs::parse(text).collect()
}

const LOGIN: &[u8] = b"InitiatorName=iqn.1993-08.org.debian:01:3e35ac1d7b9\0SessionType=Normal\0\
    AuthMethod=CHAP,None\0X-com.example.a_b+c@d=\0X#NodeArchitecture=ExampleOS/v1234,a=b\0";

const PAIRS: [(&str, &str); 5] = [
    ("InitiatorName", "iqn.1993-08.org.debian:01:3e35ac1d7b9"),
    ("SessionType", "Normal"),
    ("AuthMethod", "CHAP,None"),
    ("X-com.example.a_b+c@d", ""),
    ("X#NodeArchitecture", "ExampleOS/v1234,a=b"),
];

#[test]
fn text_matches_its_bytes_both_ways() {
    assert_eq!(pairs(LOGIN).as_deref(), Ok(&PAIRS[..]));
    let mut writer = TextWriter::new();
    assert!(writer.is_empty());
    PAIRS.iter().for_each(|(key, value)| writer.pair(key, value));
    assert_eq!(writer.len(), LOGIN.len());
    assert_eq!(writer.finish(), LOGIN);
}

// covers: 7143-6.1-1
#[test]
fn every_pair_ends_in_nul() {
    assert_eq!(pairs(b"A=1\0B=2"), Err(TextError::NotTerminated));
    assert_eq!(pairs(b"A=1"), Err(TextError::NotTerminated));
    assert_eq!(pairs(b"A=1\0B=2\0").as_deref(), Ok(&[("A", "1"), ("B", "2")][..]));
    let mut writer = TextWriter::new();
    writer.pair("A", "1\0B=2");
    assert_eq!(writer.finish(), b"A=1\0", "a NUL of ours would end the pair early");
}

#[test]
fn bytes_of_padding_are_no_pairs() {
    for text in [&b""[..], b"\0", b"\0\0\0\0"] {
        assert_eq!(pairs(text), Ok(vec![]));
    }
    assert_eq!(pairs(b"A=1\0\0\0\0").as_deref(), Ok(&[("A", "1")][..]));
    assert_eq!(pairs(b"A=1\0\0B=2\0").as_deref(), Ok(&[("A", "1"), ("B", "2")][..]));
}

// covers: 7143-6.1-2
#[test]
fn a_key_begins_with_a_capital_letter_and_has_at_most_63_bytes() {
    let long = format!("K{}", "k".repeat(MAX_KEY - 1));
    assert_eq!(pairs(format!("{long}=v\0").as_bytes()).as_deref(), Ok(&[(long.as_str(), "v")][..]));
    assert_eq!(pairs(format!("{long}k=v\0").as_bytes()), Err(TextError::BadKey));
    for first in 0..=255u8 {
        assert_eq!(is_key(&[first, b'a']), first.is_ascii_uppercase(), "{first:#x}");
        let later = first.is_ascii_alphanumeric() || b".-+@_".contains(&first);
        assert_eq!(is_key(&[b'K', first]), later, "{first:#x}");
        assert_eq!(is_key(&[b'X', first]), later || first == b'#', "{first:#x}");
    }
    assert!(!is_key(b"") && !is_key(b"X##") && !is_key(b"XX#"));
}

#[test]
fn hostile_text_is_an_error() {
    let key_without_value = vec![b'K'; 4096];
    let endless_key = [&key_without_value[..], b"=v\0"].concat();
    let long_value = format!("K={}\0", "v".repeat(MAX_VALUE + 1));
    let long_item = format!("K=a,{},b\0", "v".repeat(MAX_VALUE + 1));
    let long_binary = format!("CHAP_R=0x{}\0", "0".repeat(MAX_ENCODED_VALUE - 1));
    for (text, error) in [
        (&key_without_value[..], TextError::NoValue),
        (b"Key\0", TextError::NoValue),
        (&endless_key, TextError::BadKey),
        (b"=v\0", TextError::BadKey),
        (b"=\0", TextError::BadKey),
        (b" K=v\0", TextError::BadKey),
        (b"K =v\0", TextError::BadKey),
        ("Ké=v\0".as_bytes(), TextError::BadKey),
        (b"K\xff=v\0", TextError::BadKey),
        (b"K\n=v\0", TextError::BadKey),
        (b"K=\xff\0", TextError::NotUtf8),
        (b"K=\xc3\0", TextError::NotUtf8),
        (b"K=\xed\xa0\x80\0", TextError::NotUtf8),
        (long_value.as_bytes(), TextError::ValueTooLong),
        (long_item.as_bytes(), TextError::ValueTooLong),
        (long_binary.as_bytes(), TextError::ValueTooLong),
        (b"K=v\0K", TextError::NoValue),
    ] {
        assert_eq!(pairs(text), Err(error), "{}", String::from_utf8_lossy(text));
        let good_first = [b"A=1\0", text, b"\0B=2\0"].concat();
        let mut seen = Pairs::parse(&good_first);
        assert_eq!(seen.next(), Some(Ok(("A", "1"))));
        assert!(seen.by_ref().any(|pair| pair.is_err()), "{}", String::from_utf8_lossy(text));
        assert_eq!(seen.next(), None, "nothing follows an error");
    }
}

#[test]
fn values_up_to_their_limits_pass() {
    let value = "v".repeat(MAX_VALUE);
    for value in [
        value.clone(),
        format!("{value},{value}"),
        format!("0x{}", "0".repeat(MAX_ENCODED_VALUE - 2)),
        format!("0B{}", "A".repeat(MAX_ENCODED_VALUE - 2)),
        "ünïcode and spaces".to_owned(),
    ] {
        assert_eq!(pairs(format!("K={value}\0").as_bytes()).as_deref(), Ok(&[("K", value.as_str())][..]));
    }
}

#[test]
fn text_cut_at_any_byte_joins_to_the_same() {
    for cut in 0..=LOGIN.len() {
        let (head, tail) = LOGIN.split_at(cut);
        let mut buffer = TextBuffer::new(LOGIN.len());
        buffer.push(head).unwrap();
        assert_eq!(buffer.is_empty(), cut == 0);
        buffer.push(tail).unwrap();
        assert_eq!(buffer.take(), LOGIN);
        assert!(buffer.is_empty());
        // Text that ends too early never passes for whole, unless it ends between pairs.
        let whole = head.last().is_none_or(|byte| *byte == 0);
        assert_eq!(pairs(head).is_ok(), whole, "cut at {cut}");
    }
}

#[test]
fn a_buffer_keeps_to_its_limit_and_recovers() {
    let mut buffer = TextBuffer::new(8);
    buffer.push(b"A=1\0").unwrap();
    assert_eq!(buffer.push(b"BC=2\0"), Err(TextError::TooLong { max: 8 }));
    assert!(buffer.is_empty(), "nothing is held for a peer that exceeded the limit");
    buffer.push(b"BC=2222\0").unwrap();
    assert_eq!(buffer.push(b"\0"), Err(TextError::TooLong { max: 8 }));
    assert_eq!(buffer.take(), b"");
}

// covers: 7143-6.1-4
#[test]
fn by_default_64_kilobytes_of_pairs_are_taken() {
    let mut buffer = TextBuffer::new(Limits::default().text_bytes);
    let mut writer = TextWriter::new();
    while writer.len() < 64 * 1024 {
        let left = 64 * 1024 - writer.len();
        writer.pair("X-long", &"v".repeat(left.min(256) - 8));
    }
    let text = writer.finish();
    assert_eq!(text.len(), 64 * 1024);
    for piece in text.chunks(8192) {
        buffer.push(piece).unwrap();
    }
    assert_eq!(pairs(&buffer.take()).map(|pairs| pairs.len()), Ok(256));
}

#[test]
fn long_answers_are_cut_into_full_segments() {
    for max in 1..=LOGIN.len() + 1 {
        let mut cut = pieces(Bytes::from_static(LOGIN), max);
        let mut joined = Vec::new();
        while let Some(piece) = cut.next() {
            assert!(piece.len() == max || cut.is_done(), "only the last segment is short");
            assert!(!piece.is_empty() && piece.len() <= max);
            joined.extend_from_slice(&piece);
        }
        assert_eq!(joined, LOGIN);
    }
    assert_eq!(pieces(Bytes::new(), 8192).collect::<Vec<_>>(), [Bytes::new()]);
    assert_eq!(pieces(Bytes::from_static(b"ab"), 0).count(), 2, "a limit of 0 would never end");
}

proptest! {
    #[test]
    fn arbitrary_text_gives_valid_pairs_or_one_error(text in prop::collection::vec(any::<u8>(), 0..600)) {
        let seen: Vec<_> = Pairs::parse(&text).collect();
        let errors = seen.iter().filter(|pair| pair.is_err()).count();
        prop_assert!(errors <= 1 && (errors == 0 || seen.last().is_some_and(Result::is_err)));
    }

    #[test]
    fn what_is_written_reads_the_same(
        written in prop::collection::vec(("[A-Z][a-zA-Z0-9.+@_-]{0,62}", "[^\0,]{0,60}(,[^\0,]{0,60}){0,5}"), 0..20)
    ) {
        let mut writer = TextWriter::new();
        written.iter().for_each(|(key, value)| writer.pair(key, value));
        let text = writer.finish();
        let read: Vec<_> = Pairs::parse(&text).map(|pair| pair.map(|(k, v)| (k.to_owned(), v.to_owned()))).collect();
        prop_assert_eq!(read, written.into_iter().map(Ok).collect::<Vec<_>>());
    }

    #[test]
    fn arbitrary_values_never_panic(value in "(0[xXbB])?\\PC{0,40}") {
        let _ = (parse_number(&value, 0..=u64::MAX), parse_range(&value, 0..=u64::MAX));
        let _ = (parse_boolean(&value), parse_binary(&value, 8), IscsiName::received(&value));
        let _ = IscsiName::parse(&format!("iqn.2001-04.{value}"));
    }

    #[test]
    fn binary_values_read_back(bytes in prop::collection::vec(any::<u8>(), 1..200)) {
        prop_assert_eq!(parse_binary(&encode_hex(&bytes), 200), Ok(bytes.clone()));
        prop_assert_eq!(parse_binary(&encode_base64(&bytes), 200), Ok(bytes.clone()));
        prop_assert_eq!(parse_binary(&encode_hex(&bytes), bytes.len() - 1), Err(TextError::ValueTooLong));
    }
}
