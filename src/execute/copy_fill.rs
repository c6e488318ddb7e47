//! Columns of a COPY that the client leaves out and that no shard may fill for itself.
//!
//! Holds: values of a sequence are used in their order, each once, and only rows that are whole take one; what is kept of
//! them is bounded by [`BLOCK_VALUES_MAX`].

use std::collections::VecDeque;

use crate::execute::ExecuteError;
use crate::plan::{self, CopyOwners, Draw, FillValue, KeyStands, Privilege};
use crate::sql::{BINARY_COUNT_BYTES, KeyField, RowForm};
use crate::topology::QualifiedName;
use crate::value::Oid;

/// Values that are asked for at first; each time as many again as before, so that a short COPY leaves a small gap.
const BLOCK_VALUES_FIRST: usize = 16;

/// The most that are asked for at once.
const BLOCK_VALUES_MAX: usize = 16_384;

/// A value that doesn't fit its column's type in the binary format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OutOfRange(pub(super) Oid);

/// What stands in front of each row.
#[derive(Debug)]
pub(super) struct Fills {
    form: RowForm,
    /// columns of the client's
    own: usize,
    columns: Vec<Column>,
    pools: Vec<Pool>,
    /// the one that is the key
    key: Option<usize>,
    stage: Stage,
    /// of the row under way
    front: Vec<u8>,
    /// its key
    key_bytes: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// the row under way has no values yet
    Due,
    /// it has
    Made,
}

#[derive(Debug)]
struct Column {
    name: String,
    type_oid: Oid,
    what: What,
}

#[derive(Debug)]
enum What {
    /// from the pool at this index
    Next(usize),
    /// the same in each row; `None` is NULL
    Once(Option<Vec<u8>>),
}

/// Values of one sequence.
#[derive(Debug)]
struct Pool {
    sequence: QualifiedName,
    privilege: Privilege,
    values: VecDeque<i64>,
    /// columns of a row that take one
    per_row: usize,
    block: usize,
    last: Option<i64>,
}

impl Fills {
    /// `once`: the answers to the plan's questions, in their order.
    pub(super) fn new(plan: &plan::CopyIn, once: Vec<Option<String>>) -> Result<Fills, ExecuteError> {
        let mut once = once.into_iter();
        let mut pools: Vec<Pool> = Vec::new();
        let mut columns = Vec::with_capacity(plan.fills.len());
        let form = plan.form.clone().unwrap_or(RowForm::Binary);
        for fill in &plan.fills {
            let what = match &fill.value {
                FillValue::Next(sequence, privilege) => What::Next(pool(&mut pools, sequence, *privilege)),
                FillValue::Once(_) => {
                    let value = once.next().ok_or(ExecuteError::Bug("a COPY without its constant"))?;
                    What::Once(match (value, &form) {
                        (Some(digits), RowForm::Binary) => Some(
                            from_hex(&digits).ok_or(ExecuteError::Bug("bytes that aren't written in hexadecimal"))?,
                        ),
                        (Some(text), RowForm::Text { .. } | RowForm::Csv { .. }) => Some(text.into_bytes()),
                        (None, _) => None,
                    })
                }
            };
            columns.push(Column {
                name: fill.name.clone(),
                type_oid: fill.type_oid,
                what,
            });
        }
        let key = match &plan.owners {
            CopyOwners::Key(key) => match key.stands {
                KeyStands::Fill(index) => Some(index),
                KeyStands::Column(_) | KeyStands::Nowhere => None,
            },
            CopyOwners::All(_) => None,
        };
        Ok(Fills {
            form,
            own: plan.columns,
            columns,
            pools,
            key,
            stage: Stage::Due,
            front: Vec::new(),
            key_bytes: Vec::new(),
        })
    }

    /// How many columns.
    pub(super) fn count(&self) -> usize {
        self.columns.len()
    }

    /// Makes what stands in front of the row under way, once; `Err` where the row can't be written.
    pub(super) fn make(&mut self) -> Result<Made, OutOfRange> {
        if self.stage == Stage::Made {
            return Ok(Made::Yes);
        }
        let lacking = self.pools.iter_mut().filter(|pool| pool.values.len() < pool.per_row);
        let draws: Vec<Draw> = lacking.map(Pool::draw).collect();
        if !draws.is_empty() {
            return Ok(Made::Needs(draws));
        }
        self.begin();
        for (index, column) in self.columns.iter().enumerate() {
            let drawn;
            let value = match &column.what {
                What::Once(value) => value.as_deref(),
                What::Next(pool) => {
                    let pool = self.pools.get_mut(*pool);
                    let value = pool.and_then(Pool::next).unwrap_or_default();
                    drawn = written(value, column.type_oid, &self.form)?;
                    Some(drawn.as_slice())
                }
            };
            if self.key == Some(index) {
                self.key_bytes.clear();
                self.key_bytes.extend_from_slice(value.unwrap_or_default());
            }
            self.form.put_column(value, &mut self.front);
        }
        self.stage = Stage::Made;
        Ok(Made::Yes)
    }

    /// The same with values that are never read, for a row that Postgres refuses: it takes none.
    pub(super) fn make_blank(&mut self) {
        self.begin();
        for _ in &self.columns {
            self.form.put_column(None, &mut self.front);
        }
    }

    fn begin(&mut self) {
        self.front.clear();
        if self.form == RowForm::Binary {
            let fields = self.own.saturating_add(self.columns.len());
            let fields = i16::try_from(fields).unwrap_or(i16::MAX);
            self.front.extend_from_slice(&fields.to_be_bytes());
        }
    }

    /// The key of the row under way, if it is one of these columns.
    pub(super) fn key(&self) -> Option<KeyField<'_>> {
        self.key?;
        Some(match self.form {
            RowForm::Binary => KeyField::Binary(&self.key_bytes),
            RowForm::Text { .. } | RowForm::Csv { .. } => KeyField::Text(&self.key_bytes),
        })
    }

    /// What stands in front of the row under way, which is a new one from here on, and how many bytes of the row it
    /// replaces.
    pub(super) fn take(&mut self) -> (Vec<u8>, usize) {
        self.stage = Stage::Due;
        let replaced = match self.form {
            RowForm::Binary => BINARY_COUNT_BYTES,
            RowForm::Text { .. } | RowForm::Csv { .. } => 0,
        };
        (std::mem::take(&mut self.front), replaced)
    }

    /// Gives back the buffer that [`Fills::take`] has given.
    pub(super) fn give_back(&mut self, front: Vec<u8>) {
        self.front = front;
    }

    /// What stands in front of a header line.
    pub(super) fn header(&self) -> Vec<u8> {
        let mut header = Vec::new();
        if self.form != RowForm::Binary {
            for column in &self.columns {
                self.form.put_column(Some(column.name.as_bytes()), &mut header);
            }
        }
        header
    }

    /// More values of a sequence.
    pub(super) fn supply(&mut self, sequence: &QualifiedName, values: Vec<i64>) {
        if let Some(pool) = self.pools.iter_mut().find(|pool| pool.sequence == *sequence) {
            pool.values.extend(values);
        }
    }

    /// The last value that a row was given of each sequence; the one that was used last comes last.
    pub(super) fn last_values(&self) -> Vec<(QualifiedName, i64)> {
        let used = |index: &usize| {
            self.columns
                .iter()
                .rposition(|column| matches!(column.what, What::Next(at) if at == *index))
        };
        let mut order: Vec<usize> = (0..self.pools.len()).collect();
        order.sort_by_key(used);
        let pools = order.into_iter().filter_map(|index| self.pools.get(index));
        pools
            .filter_map(|pool| Some((pool.sequence.clone(), pool.last?)))
            .collect()
    }
}

/// What came of making a row's front.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Made {
    /// it is there
    Yes,
    /// values of sequences are needed first
    Needs(Vec<Draw>),
}

impl Pool {
    fn draw(&mut self) -> Draw {
        let count = self.block.max(self.per_row);
        self.block = self.block.saturating_mul(2).min(BLOCK_VALUES_MAX);
        Draw {
            sequence: self.sequence.clone(),
            count,
            privilege: self.privilege,
        }
    }

    fn next(&mut self) -> Option<i64> {
        let value = self.values.pop_front()?;
        self.last = Some(value);
        Some(value)
    }
}

/// The pool of a sequence, with one more column that takes of it.
fn pool(pools: &mut Vec<Pool>, sequence: &QualifiedName, privilege: Privilege) -> usize {
    let found = pools.iter().position(|pool| pool.sequence == *sequence);
    let index = found.unwrap_or(pools.len());
    if found.is_none() {
        pools.push(Pool {
            sequence: sequence.clone(),
            privilege,
            values: VecDeque::new(),
            per_row: 0,
            block: BLOCK_VALUES_FIRST,
            last: None,
        });
    }
    if let Some(pool) = pools.get_mut(index) {
        pool.per_row = pool.per_row.saturating_add(1);
        pool.privilege = pool.privilege.max(privilege); // USAGE, if one of the columns needs it
    }
    index
}

/// A value as the format has it.
fn written(value: i64, type_oid: Oid, form: &RowForm) -> Result<Vec<u8>, OutOfRange> {
    match (form, type_oid) {
        (RowForm::Text { .. } | RowForm::Csv { .. }, _) => Ok(value.to_string().into_bytes()),
        (RowForm::Binary, Oid::INT2) => i16::try_from(value).map(|value| value.to_be_bytes().to_vec()),
        (RowForm::Binary, Oid::INT4) => i32::try_from(value).map(|value| value.to_be_bytes().to_vec()),
        (RowForm::Binary, _) => Ok(value.to_be_bytes().to_vec()),
    }
    .map_err(|_| OutOfRange(type_oid))
}

fn from_hex(digits: &str) -> Option<Vec<u8>> {
    let bytes = digits.as_bytes().chunks(2);
    bytes
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}
