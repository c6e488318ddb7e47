//! Inputs for the tests: random ones from a seed, and those at the edges of their types.

use shardgate::value::KeyType;

/// xorshift64*: random enough, the same on every run.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(crate) fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[usize::try_from(self.below(items.len() as u64)).unwrap()]
    }

    /// As many bits as a die says, so that small and large magnitudes occur alike.
    pub(crate) fn int(&mut self, bits: u64) -> i64 {
        let shift = 64 - bits + self.below(bits);
        self.next().cast_signed() >> shift
    }

    pub(crate) fn digits(&mut self, max: u64) -> String {
        (0..=self.below(max))
            .map(|_| char::from(b'0' + u8::try_from(self.below(10)).unwrap()))
            .collect()
    }

    pub(crate) fn numeric(&mut self) -> String {
        let sign = self.pick(&["", "-", "+"]).to_string();
        match self.below(6) {
            0 => format!("{sign}{}", self.digits(30)),
            1 => format!(
                "{sign}0.{}{}",
                "0".repeat(usize::try_from(self.below(20)).unwrap()),
                self.digits(20)
            ),
            2 => format!("{sign}{}e{}", self.digits(6), self.int(6)),
            3 => format!("{sign}{}0000.{}0000", self.digits(12), self.digits(8)),
            4 => format!("{sign}{}", self.below(20)),
            _ => format!("{sign}{}.{}", self.digits(18), self.digits(12)),
        }
    }

    /// A numeric's binary form, mostly sound: zero digits at the ends and digits beyond the display scale included.
    pub(crate) fn numeric_wire(&mut self) -> Vec<u8> {
        let digits: Vec<u16> = (0..self.below(5))
            .map(|_| *self.pick(&[0, 0, 1, 10, 1230, 4567, 9999, 5000]))
            .collect();
        let sign = *self.pick(&[0, 0, 0, 0x4000, 0x4000, 0xc000, 0xd000, 0xf000, 0x0001]);
        let weight = self.int(4).rem_euclid(6).wrapping_sub(3);
        let weight = u16::from_be_bytes(i16::try_from(weight).unwrap().to_be_bytes());
        let scale = u16::try_from(self.below(12)).unwrap();
        let head = [u16::try_from(digits.len()).unwrap(), weight, sign, scale];
        head.iter().chain(&digits).flat_map(|word| word.to_be_bytes()).collect()
    }

    pub(crate) fn text(&mut self) -> String {
        let letters = [
            "a", "b", "Z", "0", " ", "é", "ß", "€", "漢", "🦀", "'", "\\", "\"", "\n", "{", ",",
        ];
        (0..self.below(40)).map(|_| *self.pick(&letters)).collect()
    }

    pub(crate) fn uuid(&mut self) -> String {
        format!("{:016x}{:016x}", self.next(), self.next())
    }

    pub(crate) fn date(&mut self) -> String {
        format!(
            "{:04}-{:02}-{:02}",
            1 + self.below(9999),
            1 + self.below(12),
            1 + self.below(28)
        )
    }

    pub(crate) fn time(&mut self) -> String {
        let minutes = format!("{:02}:{:02}", self.below(24), self.below(60));
        match self.below(3) {
            0 => minutes,
            1 => format!("{minutes}:{:02}", self.below(60)),
            _ => format!("{minutes}:{:02}.{:.6}", self.below(60), self.digits(5)),
        }
    }

    pub(crate) fn offset(&mut self) -> String {
        match self.below(5) {
            0 => "Z".to_owned(),
            1 => format!("+{:02}", self.below(16)),
            2 => format!("-{:02}:{:02}", self.below(16), self.below(60)),
            3 => format!(" +{:02}{:02}", self.below(16), self.below(60)),
            _ => format!("-{:02}:{:02}:{:02}", self.below(16), self.below(60), self.below(60)),
        }
    }

    /// A valid text of a key type.
    pub(crate) fn key(&mut self, key_type: KeyType) -> String {
        match key_type {
            KeyType::Int2 => self.int(16).to_string(),
            KeyType::Int4 => self.int(32).to_string(),
            KeyType::Int8 => self.int(64).to_string(),
            KeyType::Text | KeyType::Varchar => self.text(),
            KeyType::Bpchar => self.text() + &" ".repeat(usize::try_from(self.below(4)).unwrap()),
            KeyType::Uuid => self.uuid(),
            KeyType::Date => self.date(),
            KeyType::Timestamp => format!("{} {}", self.date(), self.time()),
            KeyType::Timestamptz => format!("{}T{}{}", self.date(), self.time(), self.offset()),
            KeyType::Numeric => self.numeric(),
        }
    }

    /// A text that is nearly what it was.
    pub(crate) fn mutated(&mut self, text: &str) -> String {
        let mut characters: Vec<char> = text.chars().collect();
        let alphabet: Vec<char> = "0123456789+-.:eEZTzt {}\",\\_xXNnaAfiyb\t/".chars().collect();
        if self.below(2) == 0 {
            // Another digit in a digit's place: right in form, often out of range.
            for character in characters.iter_mut().filter(|character| character.is_ascii_digit()) {
                if self.below(8) == 0 {
                    *character = char::from(b'0' + u8::try_from(self.below(10)).unwrap());
                }
            }
            return characters.into_iter().collect();
        }
        for _ in 0..=self.below(2) {
            let at = usize::try_from(self.below(characters.len() as u64 + 1)).unwrap();
            match self.below(3) {
                0 => characters.insert(at, *self.pick(&alphabet)),
                1 if at < characters.len() => {
                    characters.remove(at);
                }
                _ if at < characters.len() => characters[at] = *self.pick(&alphabet),
                _ => {}
            }
        }
        characters.into_iter().collect()
    }
}

/// Values at the edges of their type, valid and not.
pub(crate) fn edges(key_type: KeyType) -> Vec<&'static str> {
    let joined = match key_type {
        KeyType::Int2 | KeyType::Int4 | KeyType::Int8 => {
            "0|-0|+0|1|-1| 7\t|\n-8 |+9|007|32767|32768|-32768|-32769|2147483647|2147483648|-2147483648|\
            -2147483649|9223372036854775807|9223372036854775808|-9223372036854775808|\
            -9223372036854775809|99999999999999999999999|| |+|-|--1|+-1|1 2|1.0|1e3|0x10|1_000|- 1|१|\
            4294967296|-4294967297|\u{b}5\u{c}"
        }
        KeyType::Text | KeyType::Varchar | KeyType::Bpchar => {
            "| |  |a|a | a|A|é|e\u{301}|twelve bytes|twelve bytes |thirteen byte|\t "
        }
        KeyType::Uuid => {
            "00000000-0000-0000-0000-000000000000|ffffffff-ffff-ffff-ffff-ffffffffffff|\
            A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11|{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}|\
            a0eebc999c0b4ef8bb6d6bb9bd380a11|a0ee-bc99-9c0b-4ef8-bb6d-6bb9-bd38-0a11|\
            {a0eebc99-9c0b4ef8-bb6d6bb9-bd380a11}|a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1||{}|{|\
            a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a111| a0eebc999c0b4ef8bb6d6bb9bd380a11|\
            a0eebc999c0b4ef8bb6d6bb9bd380a11 |{a0eebc999c0b4ef8bb6d6bb9bd380a11|\
            a0eebc999c0b4ef8bb6d6bb9bd380a11}|a0-eebc999c0b4ef8bb6d6bb9bd380a11|\
            a0eebc999c0b4ef8bb6d6bb9bd380a11-|g0eebc999c0b4ef8bb6d6bb9bd380a11"
        }
        KeyType::Date => {
            "2000-01-01|1999-12-31|1970-01-01|2000-02-29|1900-02-29|2024-02-30|0001-01-01|9999-12-31|\
            0000-01-01|2020-13-01|2020-00-01|2020-01-00|2020-01-32|infinity|-infinity|Infinity|\
            +infinity|inf|now|today|epoch|2020-1-1|1/2/2020|20200102|2020-01-01 BC| 2020-01-01 |\
            2020-01-01 10:00||J2451545|12020-01-01|99-01-01|01-02-2020|2020-Jan-02"
        }
        KeyType::Timestamp => {
            "2000-01-01 00:00:00|1999-12-31 23:59:59.999999|2000-01-01|0001-01-01 00:00|\
            9999-12-31 23:59:59.9|2020-01-01T10:20:30.5|2020-01-01 10:20:30.1234567|2020-01-01 24:00:00|\
            2020-01-01 24:00:01|2020-01-01 25:00:00|2020-01-01 10:60:00|2020-01-01 10:59:60|\
            2020-01-01 10:59:61|infinity|-infinity|2020-01-01 10:00+02|2020-01-01 10:00 UTC|\
            2020-01-01 10|2020-01-01  10:00|now|2020-01-01 10:00:00 PM|2020-01-01 10:00:00.|\
            2020-02-30 10:00|2020-01-01t10:00|epoch|allballs"
        }
        KeyType::Timestamptz => {
            "2000-01-01 00:00:00Z|1999-12-31 23:59:59.999999+00|2020-06-01 10:00:00+02|\
            2020-06-01 10:00:00-08:30|2020-06-01 10:00:00 +0530|2020-06-01 10:00+15:59:59|\
            2020-06-01 10:00+16|2020-06-01 10:00-15:59|2020-06-01T10:00z|2020-06-01 10:00|2020-06-01|\
            2020-06-01Z|2020-06-01 10:00 Europe/Berlin|2020-06-01 10:00 CEST|infinity|-infinity|\
            2020-06-01 10:00+2|2020-06-01 10:00+02:60|now|0001-01-01 00:00+15|9999-12-31 23:59:59-15|\
            2020-06-01 10:00:00+02 BC|2020-06-01 10:00:00 Z|2020-06-01 10:00 -02|\
            2020-06-01 10:00:00.25-02"
        }
        KeyType::Numeric => {
            "0|0.0|-0|0.000|1|-1|1.0|1.00000000000000000000|10000|9999|0.0001|0.00001|10000000000000000|\
            NaN|nan|-NaN|+NaN|Infinity|-Infinity|inf|-inf|+inf|1e10|1E-10|1e+5|.5|5.|.|| 1 |1 2|1e|1e+|\
            1.2.3|--1|1e400|1e-400|1e131071|1e131072|1e-16383|1e-16384|0e131072|0e-20000|1e99999999999|0e1073741822|0e1073741823|0e-1073741823|1e99999999999999999999|\
            12345678901234567890.123456789|0x1f|1_000|1e 5|99999.99995|infinit|\
            0.00000000000000000000000000000001|+.5e1|1e1_0"
        }
    };
    joined.split('|').collect()
}
