//! Postgres's extended hash functions with seed 0 (`common/hashfn.c`, `access/hash/hashfunc.c`).
//!
//! Why a port: tokens must equal what the servers compute, so that a server can evaluate the same predicate. The
//! little-endian reading is Postgres's on every platform that we support, and the order of bytes is fixed here.
//! Holds: proven against a real server, type by type, in `tests/tokens.rs` (Postgres 15).

/// Bob Jenkins's initial value, as `hashfn.c` sets it.
const INITIAL: u32 = 0x9e37_79b9_u32.wrapping_add(3_923_095);

#[derive(Clone, Copy)]
struct State {
    a: u32,
    b: u32,
    c: u32,
}

impl State {
    fn new(length: u32) -> State {
        let start = INITIAL.wrapping_add(length);
        State {
            a: start,
            b: start,
            c: start,
        }
    }

    fn absorb(&mut self, a: u32, b: u32, c: u32) {
        self.a = self.a.wrapping_add(a);
        self.b = self.b.wrapping_add(b);
        self.c = self.c.wrapping_add(c);
    }

    fn mix(&mut self) {
        let State { mut a, mut b, mut c } = *self;
        a = a.wrapping_sub(c) ^ c.rotate_left(4);
        c = c.wrapping_add(b);
        b = b.wrapping_sub(a) ^ a.rotate_left(6);
        a = a.wrapping_add(c);
        c = c.wrapping_sub(b) ^ b.rotate_left(8);
        b = b.wrapping_add(a);
        a = a.wrapping_sub(c) ^ c.rotate_left(16);
        c = c.wrapping_add(b);
        b = b.wrapping_sub(a) ^ a.rotate_left(19);
        a = a.wrapping_add(c);
        c = c.wrapping_sub(b) ^ b.rotate_left(4);
        b = b.wrapping_add(a);
        *self = State { a, b, c };
    }

    fn finish(self) -> i64 {
        let State { mut a, mut b, mut c } = self;
        c = (c ^ b).wrapping_sub(b.rotate_left(14));
        a = (a ^ c).wrapping_sub(c.rotate_left(11));
        b = (b ^ a).wrapping_sub(a.rotate_left(25));
        c = (c ^ b).wrapping_sub(b.rotate_left(16));
        a = (a ^ c).wrapping_sub(c.rotate_left(4));
        b = (b ^ a).wrapping_sub(a.rotate_left(14));
        c = (c ^ b).wrapping_sub(b.rotate_left(24));
        ((u64::from(b) << 32) | u64::from(c)).cast_signed()
    }
}

/// `hash_bytes_extended(bytes, 0)`, which is also `hashtextextended` under a deterministic collation and
/// `uuid_hash_extended`.
pub(super) fn hash_bytes(bytes: &[u8]) -> i64 {
    // Postgres's own lengths are ints: a datum has at most 1 GB.
    let mut state = State::new(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    let (chunks, rest) = bytes.as_chunks::<12>();
    for [a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3] in chunks {
        state.absorb(
            u32::from_le_bytes([*a0, *a1, *a2, *a3]),
            u32::from_le_bytes([*b0, *b1, *b2, *b3]),
            u32::from_le_bytes([*c0, *c1, *c2, *c3]),
        );
        state.mix();
    }
    // The lowest byte of c is the length's: the tail's ninth byte goes one higher.
    let tail = |index: usize| rest.get(index).copied().unwrap_or(0);
    state.absorb(
        u32::from_le_bytes([tail(0), tail(1), tail(2), tail(3)]),
        u32::from_le_bytes([tail(4), tail(5), tail(6), tail(7)]),
        u32::from_le_bytes([0, tail(8), tail(9), tail(10)]),
    );
    state.finish()
}

/// `hashint8extended(value, 0)`; equal to `hashint4extended` and `hashint2extended` for values that fit those.
pub(super) fn hash_int8(value: i64) -> i64 {
    let bits = value.cast_unsigned();
    let (low, high) = split(bits);
    let mut state = State::new(4);
    state.absorb(low ^ if value >= 0 { high } else { !high }, 0, 0);
    state.finish()
}

fn split(bits: u64) -> (u32, u32) {
    let [b0, b1, b2, b3, b4, b5, b6, b7] = bits.to_le_bytes();
    (
        u32::from_le_bytes([b0, b1, b2, b3]),
        u32::from_le_bytes([b4, b5, b6, b7]),
    )
}
