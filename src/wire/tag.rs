//! Type bytes of messages, both ways, as closed enums, so that a `match` over them is exhaustive.

macro_rules! tags {
    ($(#[$meta:meta])* $enum:ident { $($name:ident = $byte:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum $enum {
            $(#[doc = concat!("`", stringify!($name), "`")] $name = $byte,)*
        }

        impl $enum {
            /// The message of this type byte; `None` if there is none.
            pub const fn of(byte: u8) -> Option<$enum> {
                match byte {
                    $($byte => Some($enum::$name),)*
                    _ => None,
                }
            }

            /// Its type byte.
            pub const fn byte(self) -> u8 {
                self as u8
            }
        }
    };
}

tags! {
    /// What a client sends (after startup).
    RequestTag {
        Bind = b'B',
        Close = b'C',
        CopyData = b'd',
        CopyDone = b'c',
        CopyFail = b'f',
        Describe = b'D',
        Execute = b'E',
        Flush = b'H',
        FunctionCall = b'F',
        Parse = b'P',
        Password = b'p',
        Query = b'Q',
        Sync = b'S',
        Terminate = b'X',
    }
}

tags! {
    /// What a shard sends.
    AnswerTag {
        Authentication = b'R',
        BackendKeyData = b'K',
        BindComplete = b'2',
        CloseComplete = b'3',
        CommandComplete = b'C',
        CopyBothResponse = b'W',
        CopyData = b'd',
        CopyDone = b'c',
        CopyInResponse = b'G',
        CopyOutResponse = b'H',
        DataRow = b'D',
        EmptyQueryResponse = b'I',
        ErrorResponse = b'E',
        FunctionCallResponse = b'V',
        NegotiateProtocolVersion = b'v',
        NoData = b'n',
        NoticeResponse = b'N',
        NotificationResponse = b'A',
        ParameterDescription = b't',
        ParameterStatus = b'S',
        ParseComplete = b'1',
        PortalSuspended = b's',
        ReadyForQuery = b'Z',
        RowDescription = b'T',
    }
}
