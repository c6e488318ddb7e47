//! The wire room through its door: frames, readers, builders, startup packets, SCRAM.
//!
//! What must hold: no bytes panic; a stream cut anywhere gives the same frames; every input by which one message could
//! hide another (smuggling) is an error; what the builders write, the readers read.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use bytes::{BufMut, BytesMut};
use proptest::prelude::*;

use shardgate::value::Oid;
use shardgate::wire::*;

// === frames ===

#[test]
fn a_frame_is_whole_or_not_yet_there_or_an_error() {
    type Case = (&'static [u8], usize, Result<Option<usize>, ()>);
    let cases: &[Case] = &[
        (b"", 100, Ok(None)),
        (b"Q", 100, Ok(None)),
        (b"Q\0\0\0", 100, Ok(None)),
        (b"Q\0\0\0\x04", 100, Ok(Some(0))),
        (b"Q\0\0\0\x06a", 100, Ok(None)),
        (b"Q\0\0\0\x06a\0more", 100, Ok(Some(2))),
        // a length below its own four bytes, and zero: pgwire panics on these
        (b"Q\0\0\0\x03", 100, Err(())),
        (b"d\0\0\0\0", 100, Err(())),
        // above the limit: refused by the header alone
        (b"Q\0\0\0\x65", 100, Err(())),
        (b"Q\0\0\0\x64", 100, Ok(None)),
        (b"Q\x3f\xff\xff\xff", LARGE_MESSAGE_LIMIT, Err(())),
        (b"Q\x3f\xff\xff\xfe", LARGE_MESSAGE_LIMIT, Ok(None)),
        (b"Q\xff\xff\xff\xff", LARGE_MESSAGE_LIMIT, Err(())),
        (b"Q\x80\0\0\0", LARGE_MESSAGE_LIMIT, Err(())),
    ];
    for (bytes, limit, expected) in cases {
        let found = next_frame(bytes, *limit)
            .map(|frame| frame.map(|frame| frame.body.len()))
            .map_err(|_| ());
        assert_eq!(found, *expected, "{bytes:?} under {limit}");
    }
}

#[test]
fn limits_follow_the_kind_of_message() {
    for tag in [b'C', b'D', b'E', b'H', b'S', b'X', b'c', b'f'] {
        assert_eq!(frontend_limit(tag), Ok(SMALL_MESSAGE_LIMIT), "{}", tag as char);
    }
    for tag in [b'Q', b'P', b'B', b'F', b'd'] {
        assert_eq!(frontend_limit(tag), Ok(LARGE_MESSAGE_LIMIT), "{}", tag as char);
    }
    for tag in [0, b'p', b'Z', b'T', 255] {
        assert_eq!(frontend_limit(tag), Err(FrameError::UnknownTag { tag }));
    }
}

/// crates.md §1: each of these made pgwire read past a frame, or panic.
#[test]
fn what_could_smuggle_a_message_is_an_error() {
    // a Query without its zero byte must not swallow the next frame
    assert_eq!(Query::parse(b"select 1"), Err(FrameError::Unterminated));
    // bytes behind the zero byte must not become the next header
    assert_eq!(Query::parse(b"select 1\0Q\0\0\0\x0bdrop x\0"), Err(FrameError::Format));
    assert_eq!(Query::parse(b""), Err(FrameError::Unterminated));
    // counts that lie
    assert_eq!(Parse::parse(b"s\0select $1\0\0\x02\0\0\0\x17"), Err(FrameError::Short));
    assert_eq!(Parse::parse(b"s\0select $1\0\0\0\0\0\0\x17"), Err(FrameError::Format));
    assert_eq!(Parse::parse(b"s\0select $1\0"), Err(FrameError::Short));
    assert_eq!(Parse::parse(b"s\0select $1"), Err(FrameError::Unterminated));
    assert_eq!(
        Bind::parse(b"\0\0\0\0\0\x01\x7f\xff\xff\xffabc\0\0"),
        Err(FrameError::Short)
    );
    assert_eq!(
        Bind::parse(b"\0\0\0\0\0\x01\xff\xff\xff\xfe\0\0"),
        Err(FrameError::Short),
        "length -2"
    );
    assert_eq!(Bind::parse(b"\0\0\xff\xff\0\0\0\0"), Err(FrameError::Short));
    assert_eq!(Bind::parse(b"\0\0\0\0\xff\xff\0\0\0\0"), Err(FrameError::Short));
    assert_eq!(Bind::parse(b"\0\0\0\0\0\0\0\0tail"), Err(FrameError::Format));
    assert_eq!(
        Bind::parse(b"\0\0\0\x02\0\0\0\0\0\x01\xff\xff\xff\xff\0\0"),
        Err(FrameError::FormatCount {
            formats: 2,
            parameters: 1
        })
    );
    assert_eq!(Execute::parse(b"p\0\0\0\0"), Err(FrameError::Short));
    assert_eq!(Execute::parse(b"p\0\0\0\0\0\0"), Err(FrameError::Format));
    assert_eq!(Execute::parse(b""), Err(FrameError::Unterminated));
    assert_eq!(Describe::parse(b""), Err(FrameError::NoByte));
    assert_eq!(Describe::parse(b"S"), Err(FrameError::Unterminated));
    assert_eq!(Describe::parse(b"Sname\0x"), Err(FrameError::Format));
    assert_eq!(
        Describe::parse(b"Xname\0"),
        Err(FrameError::DescribeKind { kind: b'X' })
    );
    assert_eq!(Close::parse(b"Xname\0"), Err(FrameError::CloseKind { kind: b'X' }));
    assert_eq!(
        FunctionCall::parse(b"\0\0\0\x01\0\0\0\x01\0\0\0\x09ab\0\0"),
        Err(FrameError::Short)
    );
    // a DataRow of length 4 (an empty body)
    assert_eq!(DataRow::parse(b""), Err(FrameError::Short));
    assert_eq!(DataRow::parse(b"\0\x02\0\0\0\x01a"), Err(FrameError::Short));
    assert_eq!(DataRow::parse(b"\0\x01\0\0\0\x01abc"), Err(FrameError::Format));
    assert_eq!(RowDescription::parse(b"\0\x01a\0\0\0"), Err(FrameError::Short));
    assert_eq!(ReadyForQuery::parse(b"I!"), Err(FrameError::Format));
    assert_eq!(ReadyForQuery::parse(b"X"), Err(FrameError::Status { status: b'X' }));
    assert_eq!(ErrorFields::parse(b"SERROR\0"), Err(FrameError::NoByte));
    assert_eq!(ErrorFields::parse(b"SERROR\0\0more"), Err(FrameError::Format));
    assert!(BackendKeyData::parse(b"\0\0\0\x01abc").is_err());
    assert!(BackendKeyData::parse(&[0; 4 + 257]).is_err());
}

/// Whatever came of it: no panic.
fn survived<T>(_: T) {}

fn stream_of(frames: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut stream = BytesMut::new();
    for (tag, body) in frames {
        stream.put_u8(*tag);
        stream.put_u32(u32::try_from(body.len() + 4).unwrap());
        stream.put_slice(body);
    }
    stream.to_vec()
}

/// Cuts `stream` into pieces whose lengths go round `lengths`.
fn pieces<'a>(mut stream: &'a [u8], lengths: &[usize]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    for length in lengths.iter().cycle() {
        if stream.is_empty() {
            break;
        }
        let (piece, rest) = stream.split_at((*length).min(stream.len()));
        pieces.push(piece);
        stream = rest;
    }
    pieces
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn listening_gives_the_same_frames_wherever_the_stream_is_cut(
        frames in prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 0..40)), 0..20),
        lengths in prop::collection::vec(1_usize..30, 1..8),
    ) {
        let stream = stream_of(&frames);
        let mut scanner = Scanner::default();
        let mut heard = Vec::new();
        for piece in pieces(&stream, &lengths) {
            scanner.feed(piece, |tag, first| heard.push((tag, first))).unwrap();
        }
        let expected: Vec<_> = frames.iter().map(|(tag, body)| (*tag, body.first().copied().unwrap_or(0))).collect();
        prop_assert_eq!(heard, expected);
        prop_assert!(scanner.is_at_boundary());
    }

    #[test]
    fn relaying_passes_the_same_bytes_and_shows_the_same_frames_wherever_the_stream_is_cut(
        frames in prop::collection::vec((b'A'..=b'Z', prop::collection::vec(any::<u8>(), 0..200)), 0..20),
        lengths in prop::collection::vec(1_usize..100, 1..8),
    ) {
        let is_looked_at = |tag: u8| tag.is_multiple_of(3);
        let interest = |tag: u8| if is_looked_at(tag) { Interest::Look } else { Interest::Pass };
        let stream = stream_of(&frames);
        let mut scanner = Scanner::default();
        let mut buffer = BytesMut::new();
        let (mut out, mut shown, mut passed_tags) = (Vec::new(), Vec::new(), Vec::new());
        for piece in pieces(&stream, &lengths) {
            buffer.extend_from_slice(piece);
            loop {
                let cut = scanner.cut(&buffer, |tag| {
                    if !is_looked_at(tag) {
                        passed_tags.push(tag);
                    }
                    interest(tag)
                }).unwrap();
                out.extend_from_slice(&buffer.split_to(cut.pass));
                match cut.next {
                    Next::More => break,
                    Next::Frame => {
                        let frame = next_frame(&buffer, LOOK_FRAME_LIMIT).unwrap().unwrap();
                        shown.push((frame.tag, frame.body.to_vec()));
                        out.extend_from_slice(frame.whole);
                        let whole = frame.whole.len();
                        let _taken = buffer.split_to(whole);
                    }
                }
            }
            // what is held back is a header's start or a frame to look at, never a frame that passes
            prop_assert!(buffer.len() < HEADER_BYTES || is_looked_at(buffer[0]));
        }
        prop_assert_eq!(&out, &stream);
        prop_assert!(buffer.is_empty() && scanner.is_at_boundary());
        let expected: Vec<_> = frames.iter().filter(|(tag, _)| is_looked_at(*tag)).cloned().collect();
        prop_assert_eq!(shown, expected);
        let expected: Vec<_> = frames.iter().map(|(tag, _)| *tag).filter(|tag| !is_looked_at(*tag)).collect();
        prop_assert_eq!(passed_tags, expected, "each passing frame is told once");
    }

    #[test]
    fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300), piece in 1_usize..50) {
        let mut scanner = Scanner::default();
        for chunk in bytes.chunks(piece) {
            if scanner.feed(chunk, |_, _| ()).is_err() {
                break;
            }
        }
        survived(Scanner::default().cut(&bytes, |tag| if tag < 128 { Interest::Look } else { Interest::Pass }));
        survived(next_frame(&bytes, LARGE_MESSAGE_LIMIT));
        survived(next_startup(&bytes));
        survived((Query::parse(&bytes), Parse::parse(&bytes), Describe::parse(&bytes), Close::parse(&bytes)));
        survived((Execute::parse(&bytes), CopyFail::parse(&bytes), Password::parse(&bytes).is_ok()));
        survived(SaslInitialResponse::parse(&bytes).is_ok());
        if let Ok(bind) = Bind::parse(&bytes) {
            prop_assert_eq!(bind.values.count(), bind.values.len());
            survived((bind.formats.iter().count(), bind.result_formats.format_of(70_000)));
        }
        survived(FunctionCall::parse(&bytes));
        if let Ok(row) = DataRow::parse(&bytes) {
            prop_assert_eq!(row.values.count(), row.values.len());
        }
        if let Ok(description) = RowDescription::parse(&bytes) {
            prop_assert_eq!(description.fields().count(), description.len());
        }
        survived((ParameterDescription::parse(&bytes), CommandComplete::parse(&bytes).map(|done| done.rows())));
        survived((ErrorFields::parse(&bytes), ParameterStatus::parse(&bytes), ReadyForQuery::parse(&bytes)));
        survived((NotificationResponse::parse(&bytes), CopyResponse::parse(&bytes), Authentication::parse(&bytes)));
        survived(NegotiateProtocolVersion::parse(&bytes));
        let text = String::from_utf8_lossy(&bytes);
        survived(Verifier::parse(&text));
        let verifier = Verifier::mock("u", b"secret");
        if let Ok((server, _)) = ScramServer::begin(verifier, &bytes, "nonce") {
            survived(server.finish(&bytes));
        }
        let (client, _) = ScramClient::begin(ScramSecret::Keys(ScramKeys { client_key: [1; 32], server_key: [2; 32] }), "n");
        survived(client.respond(&bytes));
    }

    #[test]
    fn binds_are_read_as_they_are_written(
        portal in "[a-z]{0,8}", statement in "[a-z]{0,8}",
        values in prop::collection::vec(prop::option::of(prop::collection::vec(any::<u8>(), 0..20)), 0..10),
        is_binary in any::<bool>(),
    ) {
        let formats = if is_binary { vec![Format::Binary; values.len()] } else { vec![] };
        let mut out = BytesMut::new();
        put_bind(&mut out, portal.as_bytes(), statement.as_bytes(), &formats, values.iter().map(Option::as_deref), &[Format::Text]);
        let frame = next_frame(&out, LARGE_MESSAGE_LIMIT).unwrap().unwrap();
        prop_assert_eq!(frame.whole.len(), out.len());
        let bind = Bind::parse(frame.body).unwrap();
        prop_assert_eq!(bind.portal, portal.as_bytes());
        prop_assert_eq!(bind.statement, statement.as_bytes());
        prop_assert_eq!(bind.formats.iter().collect::<Vec<_>>(), formats);
        prop_assert_eq!(bind.values.map(|value| value.map(<[u8]>::to_vec)).collect::<Vec<_>>(), values);
        prop_assert_eq!(bind.result_formats.iter().collect::<Vec<_>>(), vec![Format::Text]);
        let mut renamed = BytesMut::new();
        put_bind_tail(&mut renamed, b"", b"s1", bind.tail);
        let frame = next_frame(&renamed, LARGE_MESSAGE_LIMIT).unwrap().unwrap();
        let again = Bind::parse(frame.body).unwrap();
        prop_assert_eq!(again.statement, b"s1");
        prop_assert_eq!(again.tail, bind.tail);
    }
}

#[test]
fn a_huge_row_is_relayed_in_pieces() {
    let length = 200_u32 << 20;
    let mut scanner = Scanner::default();
    let mut head = vec![b'D'];
    head.extend_from_slice(&(length + 4).to_be_bytes());
    head.extend_from_slice(b"xy");
    assert_eq!(
        scanner.cut(&head, |_| Interest::Pass),
        Ok(Cut {
            pass: 7,
            next: Next::More
        })
    );
    let piece = vec![0; 65_536];
    let mut left = usize::try_from(length).unwrap() - 2;
    while left > piece.len() {
        assert_eq!(
            scanner.cut(&piece, |_| Interest::Look),
            Ok(Cut {
                pass: piece.len(),
                next: Next::More
            })
        );
        left -= piece.len();
    }
    let mut last = vec![0; left];
    last.extend_from_slice(b"Z\0\0\0\x05I");
    assert_eq!(
        scanner.cut(&last, |_| Interest::Look),
        Ok(Cut {
            pass: left,
            next: Next::Frame
        })
    );
}

#[test]
fn a_frame_to_look_at_has_a_limit_of_its_own() {
    let bytes = b"E\x3f\xff\xff\xf0";
    assert!(matches!(
        Scanner::default().cut(bytes, |_| Interest::Look),
        Err(FrameError::Length {
            tag: b'E',
            limit: LOOK_FRAME_LIMIT,
            ..
        })
    ));
    assert_eq!(
        Scanner::default().cut(bytes, |_| Interest::Pass),
        Ok(Cut {
            pass: 5,
            next: Next::More
        })
    );
}

// === messages ===

/// The body of the one frame that `write` writes.
fn body_of(tag: u8, write: impl FnOnce(&mut BytesMut)) -> Vec<u8> {
    let mut out = BytesMut::new();
    write(&mut out);
    let frame = next_frame(&out, LARGE_MESSAGE_LIMIT).unwrap().unwrap();
    assert_eq!((frame.tag, frame.whole.len()), (tag, out.len()));
    frame.body.to_vec()
}

#[test]
fn requests_are_read_as_they_are_written() {
    let body = body_of(b'Q', |out| put_query(out, b"select 1"));
    assert_eq!(Query::parse(&body).unwrap().text, b"select 1");

    let body = body_of(b'P', |out| put_parse(out, b"s", b"select $1", &[Oid(23), Oid(0)]));
    let parse = Parse::parse(&body).unwrap();
    assert_eq!((parse.statement, parse.text), (&b"s"[..], &b"select $1"[..]));
    assert_eq!(parse.parameter_types.iter().collect::<Vec<_>>(), [Oid(23), Oid(0)]);
    let renamed = body_of(b'P', |out| put_parse_tail(out, b"longer", parse.tail));
    assert_eq!(Parse::parse(&renamed).unwrap().statement, b"longer");
    assert_eq!(Parse::parse(&renamed).unwrap().tail, parse.tail);

    let body = body_of(b'D', |out| put_describe(out, Target::Portal, b"p"));
    assert_eq!(
        Describe::parse(&body),
        Ok(Describe {
            target: Target::Portal,
            name: b"p"
        })
    );
    let body = body_of(b'C', |out| put_close(out, Target::Statement, b"s"));
    assert_eq!(
        Close::parse(&body),
        Ok(Close {
            target: Target::Statement,
            name: b"s"
        })
    );
    let body = body_of(b'E', |out| put_execute(out, b"p", 7));
    assert_eq!(
        Execute::parse(&body),
        Ok(Execute {
            portal: b"p",
            rows_max: 7
        })
    );
    let body = body_of(b'f', |out| put_copy_fail(out, b"why"));
    assert_eq!(CopyFail::parse(&body), Ok(CopyFail { reason: b"why" }));
    let body = body_of(b'p', |out| put_sasl_initial(out, SCRAM_SHA_256, b"n,,"));
    let initial = SaslInitialResponse::parse(&body).unwrap();
    assert_eq!(
        (initial.mechanism, initial.data),
        (SCRAM_SHA_256.as_bytes(), Some(&b"n,,"[..]))
    );
    for (tag, write) in [
        (b'S', put_sync as fn(&mut BytesMut)),
        (b'H', put_flush),
        (b'X', put_terminate),
        (b'c', put_copy_done),
    ] {
        assert_eq!(body_of(tag, write), b"");
    }
}

#[test]
fn answers_are_read_as_they_are_written() {
    let field = Field {
        name: b"id",
        table: Oid(16_384),
        attribute: 1,
        type_oid: Oid(20),
        size: 8,
        type_modifier: -1,
        format: Format::Binary,
    };
    let body = body_of(b'T', |out| put_row_description(out, [field, field]));
    assert_eq!(
        RowDescription::parse(&body).unwrap().fields().collect::<Vec<_>>(),
        [field, field]
    );
    let body = body_of(b'D', |out| put_data_row(out, [Some(&b"a"[..]), None, Some(b"")]));
    assert_eq!(
        DataRow::parse(&body).unwrap().values.collect::<Vec<_>>(),
        [Some(&b"a"[..]), None, Some(b"")]
    );
    assert_eq!(DataRow::parse(&body).unwrap().values.get(1), Some(None));
    assert_eq!(DataRow::parse(&body).unwrap().values.get(3), None);
    let body = body_of(b'C', |out| put_command_complete(out, b"INSERT 0 12"));
    assert_eq!(CommandComplete::parse(&body).unwrap().rows(), Some(12));
    assert_eq!(CommandComplete { tag: b"BEGIN" }.rows(), None);
    for status in [
        TransactionStatus::Idle,
        TransactionStatus::InTransaction,
        TransactionStatus::Failed,
    ] {
        let body = body_of(b'Z', |out| put_ready(out, status));
        assert_eq!(ReadyForQuery::parse(&body), Ok(ReadyForQuery { status }));
    }
    let body = body_of(b'S', |out| put_parameter_status(out, b"TimeZone", b"UTC"));
    assert_eq!(
        ParameterStatus::parse(&body),
        Ok(ParameterStatus {
            name: b"TimeZone",
            value: b"UTC"
        })
    );
    let body = body_of(b'K', |out| put_backend_key(out, 7, b"12345678"));
    let data = BackendKeyData::parse(&body).unwrap();
    assert_eq!((data.process_id, data.key), (7, &b"12345678"[..]));
    let body = body_of(b't', |out| put_parameter_description(out, &[Oid(25)]));
    assert_eq!(
        ParameterDescription::parse(&body)
            .unwrap()
            .types
            .iter()
            .collect::<Vec<_>>(),
        [Oid(25)]
    );
    let body = body_of(b'A', |out| put_notification(out, 1, b"c", b"p"));
    assert_eq!(
        NotificationResponse::parse(&body),
        Ok(NotificationResponse {
            process_id: 1,
            channel: b"c",
            payload: b"p"
        })
    );
    let body = body_of(b'G', |out| {
        put_copy_response(out, CopyDirection::In, Format::Text, &[Format::Text; 2])
    });
    assert_eq!(CopyResponse::parse(&body).unwrap().columns.len(), 2);
    let body = body_of(b'R', |out| put_sasl(out, &[SCRAM_SHA_256]));
    assert!(Authentication::parse(&body).unwrap().offers(SCRAM_SHA_256));
    assert!(!Authentication::parse(&body).unwrap().offers("SCRAM-SHA-256-PLUS"));
    assert_eq!(
        Authentication::parse(&body_of(b'R', put_authentication_ok)),
        Ok(Authentication::Ok)
    );
    assert_eq!(
        Authentication::parse(b"\0\0\0\x07"),
        Err(FrameError::Authentication { code: 7 })
    );
    let body = body_of(b'v', |out| put_negotiate_version(out, 0, &["_pq_.x".to_owned()]));
    assert_eq!(
        NegotiateProtocolVersion::parse(&body),
        Ok(NegotiateProtocolVersion { minor: 0, options: 1 })
    );
}

#[test]
fn error_fields_pass_whole_and_can_be_edited() {
    let body = b"SFEHLER\0VERROR\0C23505\0Mdoppelt\0P12\0Wfirst\0nkey\0zunknown\0\0";
    let mut fields = ErrorFields::parse(body).unwrap();
    assert_eq!(body_of(b'E', |out| put_error(out, &fields)), body);
    assert_eq!(
        (fields.severity(), fields.code()),
        (Severity::Error, SqlState::UNIQUE_VIOLATION)
    );
    assert_eq!((fields.message().as_ref(), fields.position()), ("doppelt", Some(12)));
    fields.add_where("shard s0");
    fields.put(ErrorField::Position, "3");
    fields.remove(ErrorField::Constraint);
    let expected = b"SFEHLER\0VERROR\0C23505\0Mdoppelt\0P3\0Wfirst\nshard s0\0zunknown\0\0";
    assert_eq!(body_of(b'N', |out| put_notice(out, &fields)), expected);
    let own = ErrorFields::new(Severity::Fatal, SqlState::INVALID_PASSWORD, "no\0pe").with_hint("Try again.");
    assert!(own.ends_connection());
    let body = body_of(b'E', |out| put_error(out, &own));
    assert_eq!(
        ErrorFields::parse(&body).unwrap().get(ErrorField::Hint),
        Some(&b"Try again."[..])
    );
}

#[test]
fn a_zero_byte_in_a_string_cannot_start_a_second_message() {
    let body = body_of(b'Q', |out| put_query(out, b"select 1\0Q\0\0\0\x05"));
    assert_eq!(Query::parse(&body).unwrap().text, b"select 1");
}

// === startup ===

fn startup_packet(code: u32, body: &[u8]) -> Vec<u8> {
    let mut out = u32::try_from(body.len() + 8).unwrap().to_be_bytes().to_vec();
    out.extend_from_slice(&code.to_be_bytes());
    out.extend_from_slice(body);
    out
}

fn parse_startup(code: u32, body: &[u8]) -> Result<Startup, StartupError> {
    match next_startup(&startup_packet(code, body))? {
        Some((StartupPacket::Startup(startup), _)) => Ok(startup),
        other => panic!("not a startup: {other:?}"),
    }
}

const V3: u32 = 3 << 16;

#[test]
fn startup_packets_of_each_kind() {
    assert_eq!(
        next_startup(&startup_packet(80_877_103, b"")),
        Ok(Some((StartupPacket::Ssl, 8)))
    );
    assert_eq!(
        next_startup(&startup_packet(80_877_104, b"")),
        Ok(Some((StartupPacket::Gss, 8)))
    );
    // bytes behind an SSLRequest are not taken: the caller sees that they are there and refuses them
    let mut injected = startup_packet(80_877_103, b"");
    injected.extend_from_slice(b"Q\0\0\0\x05");
    assert_eq!(next_startup(&injected), Ok(Some((StartupPacket::Ssl, 8))));
    for key in [4_usize, 32, 256] {
        let body = [vec![0, 0, 0, 9], vec![5; key]].concat();
        let expected = StartupPacket::Cancel {
            process_id: 9,
            key: vec![5; key],
        };
        assert_eq!(
            next_startup(&startup_packet(80_877_102, &body)),
            Ok(Some((expected, 12 + key)))
        );
    }
    for key in [0_usize, 3, 257] {
        let body = [vec![0, 0, 0, 9], vec![5; key]].concat();
        assert_eq!(
            next_startup(&startup_packet(80_877_102, &body)),
            Err(StartupError::CancelLength)
        );
    }
    assert_eq!(next_startup(b""), Ok(None));
    assert_eq!(next_startup(&[0, 0, 0]), Ok(None));
    for length in [0_u32, 7, 10_001, u32::MAX] {
        assert_eq!(
            next_startup(&length.to_be_bytes()),
            Err(StartupError::Length),
            "{length}"
        );
    }
    assert_eq!(next_startup(&10_000_u32.to_be_bytes()), Ok(None));
}

#[test]
fn startup_parameters_as_postgres_reads_them() {
    let startup = parse_startup(V3, b"user\0app\0options\0-c a.b=1 --work-mem=2MB\0TimeZone\0UTC\0\0").unwrap();
    assert_eq!((startup.user.as_str(), startup.database.as_str()), ("app", "app"));
    let settings: Vec<_> = startup
        .settings
        .iter()
        .map(|s| (s.name.as_str(), s.value.as_str()))
        .collect();
    assert_eq!(settings, [("a.b", "1"), ("work_mem", "2MB"), ("TimeZone", "UTC")]);
    assert!(!startup.needs_negotiation());

    let newer = parse_startup(V3 | 2, b"user\0app\0database\0\0_pq_.x\0y\0\0").unwrap();
    assert!(newer.needs_negotiation());
    assert_eq!(
        (newer.database.as_str(), newer.unknown_options.as_slice()),
        ("app", &["_pq_.x".to_owned()][..])
    );

    for (value, expected) in [
        ("true", Replication::Physical),
        ("database", Replication::Logical),
        ("of", Replication::No),
    ] {
        let body = format!("user\0a\0replication\0{value}\0\0");
        assert_eq!(parse_startup(V3, body.as_bytes()).unwrap().replication, expected);
    }
    let long = format!("user\0{}é\0\0", "x".repeat(62));
    assert_eq!(parse_startup(V3, long.as_bytes()).unwrap().user, "x".repeat(62));
}

#[test]
fn startup_packets_that_postgres_refuses() {
    assert_eq!(
        parse_startup(2 << 16, b""),
        Err(StartupError::Version { major: 2, minor: 0 })
    );
    assert_eq!(parse_startup(V3, b"\0"), Err(StartupError::NoUser));
    assert_eq!(parse_startup(V3, b"user\0\0\0"), Err(StartupError::NoUser));
    assert_eq!(parse_startup(V3, b"database\0d\0\0"), Err(StartupError::NoUser));
    assert_eq!(parse_startup(V3, b""), Err(StartupError::Layout));
    assert_eq!(parse_startup(V3, b"user\0app\0"), Err(StartupError::Layout));
    assert_eq!(parse_startup(V3, b"user\0app"), Err(StartupError::Layout));
    assert_eq!(parse_startup(V3, b"user\0app\0\0more\0"), Err(StartupError::Layout));
    assert_eq!(
        parse_startup(V3, b"user\0\xff\0\0"),
        Err(StartupError::Encoding { name: "user".into() })
    );
    for (options, expected) in [
        ("-c a", StartupError::NoValue { switch: "-c a".into() }),
        ("--a", StartupError::NoValue { switch: "--a".into() }),
        ("a=b", StartupError::Argument { argument: "a=b".into() }),
        ("-c", StartupError::Argument { argument: "-c".into() }),
        ("-Z", StartupError::Argument { argument: "-Z".into() }),
        ("-d 5", StartupError::Switch { switch: 'd' }),
    ] {
        let body = format!("user\0app\0options\0{options}\0\0");
        assert_eq!(parse_startup(V3, body.as_bytes()), Err(expected), "{options}");
    }
}

// === SCRAM ===

const NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";

/// The example of RFC 7677, section 3.
#[test]
fn scram_answers_as_the_rfc_says() {
    let salt = [
        0x5b, 0x6d, 0x99, 0x68, 0x9d, 0x12, 0x35, 0x8e, 0xec, 0xa0, 0x4b, 0x14, 0x12, 0x36, 0xfa, 0x81,
    ];
    let verifier = Verifier::from_password("pencil", &salt);
    let (server, challenge) = ScramServer::begin(verifier.clone(), b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO", NONCE).unwrap();
    let expected = format!("r=rOprNGfwEbeRWgbNEkqO{NONCE},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
    assert_eq!(String::from_utf8(challenge).unwrap(), expected);
    let last = format!("c=biws,r=rOprNGfwEbeRWgbNEkqO{NONCE},p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
    let success = server.finish(last.as_bytes()).unwrap();
    assert_eq!(success.server_final, b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    assert!(verifier.owns(&success.keys));
}

/// Runs both halves against each other; the keys that the server recovered.
fn exchange(verifier: Verifier, secret: ScramSecret) -> Result<ScramKeys, ScramError> {
    let (client, first) = ScramClient::begin(secret, "clientnonce");
    let (server, challenge) = ScramServer::begin(verifier, &first, "servernonce")?;
    let (proof, last) = client.respond(&challenge)?;
    let success = server.finish(&last)?;
    let keys = proof.verify(&success.server_final)?;
    assert_eq!(keys, success.keys);
    Ok(keys)
}

#[test]
fn recovered_keys_log_in_like_the_password() {
    let verifier = Verifier::from_password("pencil", b"0123456789abcdef");
    let reread = Verifier::parse(&verifier.to_text()).unwrap();
    assert_eq!(reread, verifier);
    assert!(verifier.matches("pencil") && !verifier.matches("pen"));
    let keys = exchange(reread, ScramSecret::Password("pencil".into())).unwrap();
    assert_eq!(
        exchange(verifier.clone(), ScramSecret::Keys(keys.clone())),
        Ok(keys.clone())
    );
    // another salt makes other keys: pass-through needs the same verifier on both sides
    let other = Verifier::from_password("pencil", b"another salt 123");
    assert_eq!(exchange(other, ScramSecret::Keys(keys)), Err(ScramError::Refused));
    assert_eq!(
        exchange(verifier, ScramSecret::Password("pencil ".into())),
        Err(ScramError::Refused)
    );
}

#[test]
fn unknown_users_look_like_known_ones_and_never_get_in() {
    let mock = Verifier::mock("nobody", b"secret");
    assert_eq!(mock, Verifier::mock("nobody", b"secret"));
    assert_ne!(mock, Verifier::mock("nobody", b"other secret"));
    assert_ne!(mock, Verifier::mock("somebody", b"secret"));
    let (_, challenge) = ScramServer::begin(mock.clone(), b"n,,n=,r=abc", "def").unwrap();
    let real = Verifier::from_password("x", b"0123456789abcdef");
    let (_, other) = ScramServer::begin(real, b"n,,n=,r=abc", "def").unwrap();
    assert_eq!(challenge.len(), other.len());
    assert_eq!(
        exchange(mock.clone(), ScramSecret::Password("x".into())),
        Err(ScramError::Refused)
    );
    // not even whoever finds a preimage of its all-zero StoredKey
    assert!(!mock.owns(&ScramKeys {
        client_key: [0; 32],
        server_key: [0; 32]
    }));
}

#[test]
fn scram_messages_that_break_the_rules() {
    let begin = |first: &[u8]| ScramServer::begin(Verifier::mock("u", b"s"), first, "n").map(|_| ());
    assert_eq!(begin(b"n,,n=,r=abc"), Ok(()));
    assert_eq!(begin(b"y,,n=,r=abc"), Ok(()));
    assert_eq!(
        begin(b"p=tls-server-end-point,,n=,r=abc"),
        Err(ScramError::ChannelBinding)
    );
    assert_eq!(
        begin(b"n,a=root,n=,r=abc"),
        Err(ScramError::Unsupported("authorization identity"))
    );
    assert_eq!(
        begin(b"n,,m=x,n=,r=abc"),
        Err(ScramError::Unsupported("a mandatory SCRAM extension"))
    );
    for malformed in [
        &b""[..],
        b"n",
        b"n,",
        b"n,,",
        b"x,,n=,r=a",
        b"n,,n=",
        b"n,,n=,r=",
        b"n,,n=,r=a\x01",
        b"n,,n=,x=a",
        b"\xff",
    ] {
        assert!(
            matches!(begin(malformed), Err(ScramError::Malformed(_))),
            "{malformed:?}"
        );
    }
    let finish = |first: &[u8], last: &[u8]| {
        let (server, _) = ScramServer::begin(Verifier::mock("u", b"s"), first, "n").unwrap();
        server.finish(last).map(|_| ())
    };
    let proof = "A".repeat(43) + "=";
    let with = |start: &str| format!("{start},p={proof}").into_bytes();
    assert_eq!(finish(b"n,,n=,r=abc", &with("c=biws,r=abcn")), Err(ScramError::Refused));
    // the flag is part of what is proven: one that was changed on the way shows
    assert!(matches!(
        finish(b"y,,n=,r=abc", &with("c=biws,r=abcn")),
        Err(ScramError::Malformed(_))
    ));
    assert_eq!(finish(b"y,,n=,r=abc", &with("c=eSws,r=abcn")), Err(ScramError::Refused));
    for malformed in [
        with("c=biws,r=abc"),
        with("r=abcn,c=biws"),
        b"c=biws,r=abcn".to_vec(),
        b"c=biws,r=abcn,p=AAAA".to_vec(),
    ] {
        assert!(
            matches!(finish(b"n,,n=,r=abc", &malformed), Err(ScramError::Malformed(_))),
            "{malformed:?}"
        );
    }
    for verifier in [
        "",
        "md5abc",
        "SCRAM-SHA-256$4096:c2FsdA==$a:b",
        "SCRAM-SHA-256$0:c2FsdA==$a:b",
        "SCRAM-SHA-256$4096",
    ] {
        assert!(Verifier::parse(verifier).is_err(), "{verifier}");
    }
}

#[test]
fn a_server_that_does_not_hold_the_verifier_is_found_out() {
    let (client, first) = ScramClient::begin(ScramSecret::Password("pencil".into()), "abc");
    let verifier = Verifier::from_password("pencil", b"0123456789abcdef");
    let (_, challenge) = ScramServer::begin(verifier, &first, "def").unwrap();
    let (proof, _) = client.respond(&challenge).unwrap();
    let forged = format!("v={}=", "A".repeat(43));
    assert_eq!(proof.verify(forged.as_bytes()), Err(ScramError::ServerSignature));
    let respond = |challenge: &[u8]| {
        let (client, _) = ScramClient::begin(ScramSecret::Password("pencil".into()), "abc");
        client.respond(challenge).map(|_| ())
    };
    assert!(
        matches!(respond(b"r=abc,s=c2FsdA==,i=1"), Err(ScramError::Malformed(_))),
        "no nonce of its own"
    );
    assert!(matches!(
        respond(b"r=xyz123,s=c2FsdA==,i=1"),
        Err(ScramError::Malformed(_))
    ));
    assert_eq!(respond(b"r=abcd,s=c2FsdA==,i=0"), Err(ScramError::Iterations(0)));
    assert_eq!(
        respond(b"r=abcd,s=c2FsdA==,i=2000000000"),
        Err(ScramError::Iterations(2_000_000_000))
    );
}

#[test]
fn secrets_do_not_show_in_debug_output() {
    let keys = ScramKeys {
        client_key: [7; 32],
        server_key: [8; 32],
    };
    let shown = format!(
        "{keys:?} {:?} {:?}",
        ScramSecret::Keys(keys.clone()),
        Verifier::mock("u", b"s")
    );
    assert!(!shown.contains('7') && !shown.contains('8'), "{shown}");
}
