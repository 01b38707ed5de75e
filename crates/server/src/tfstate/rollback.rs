//! An older state made the newest again.
//!
//! Takes a version, gives the same state under the next serial, so that every tool takes it for the newest. Never: a
//! version overwritten, or a roll-back while a run may write.

use bytes::Bytes;
use gantry_protocol::StackId;

use super::document::Document;
use super::write::Prepared;
use super::{StateError, StateKeeper};
use crate::clock::UnixMillis;
use crate::store::tfstate::{self as rows, StateVersionRow};
use crate::store::{StoreError, Tx};

/// A state that is about to be the newest again.
#[derive(Debug)]
pub struct Former {
    /// The version that it was.
    row: StateVersionRow,
    /// The version that was the newest when this was prepared.
    newest: u64,
    prepared: Prepared,
}

impl StateKeeper {
    /// Prepares the roll-back to a version; nothing if the stack has none of it.
    ///
    /// # Errors
    /// See [`StateError`].
    pub async fn former(
        &self,
        stack: &StackId,
        version: u64,
    ) -> Result<Option<Former>, StateError> {
        let mut conn = self.store.read().await?;
        let (row, newest) = (
            rows::version(&mut conn, stack, version).await?,
            rows::newest(&mut conn, stack).await?,
        );
        drop(conn);
        let (Some(row), Some(newest)) = (row, newest) else {
            return Ok(None);
        };
        let bytes = self.open(stack, &row).await?;
        let serial = newest.serial.max(row.serial) + 1;
        let text = with_serial(&bytes, serial);
        let text = text.filter(|text| {
            let read = Document::parse(text.as_bytes());
            read.is_ok_and(|read| read.serial == serial && read.lineage == row.lineage)
        });
        // What was stored was read as a state before: it has a serial.
        let text = text.map_or_else(|| Document::parse(b"").map(|_| String::new()), Ok)?;
        let prepared = self.prepare(stack, &Bytes::from(text)).await?;
        Ok(Some(Former {
            row,
            newest: newest.version,
            prepared,
        }))
    }

    /// Makes a prepared state the newest; `None` if another one was written meanwhile.
    ///
    /// # Errors
    /// When the database fails, or somebody holds the state's lock.
    pub async fn roll_back(
        &self,
        tx: &mut Tx,
        stack: &StackId,
        former: &Former,
        now: UnixMillis,
    ) -> Result<Option<StateVersionRow>, StoreError> {
        if let Some(lock) = rows::lock(tx, stack).await? {
            return Err(StoreError::InUse {
                kind: "state of stack",
                id: stack.to_string(),
                by: format!("run `{}` holds its lock", lock.run),
            });
        }
        let newest = rows::newest(tx, stack).await?;
        if newest.is_none_or(|newest| newest.version != former.newest) {
            return Ok(None);
        }
        let row = former.prepared.row(&former.row, former.newest + 1, now);
        rows::insert(tx, stack, &row).await?;
        Ok(Some(row))
    }

    /// Removes the object of a roll-back that did not happen.
    pub async fn discard_former(&self, former: Former) {
        self.discard(former.prepared).await;
    }
}

/// The same JSON with another number as its own `serial`; everything else stays byte for byte, because numbers in it
/// may be longer than this program reads them.
fn with_serial(state: &[u8], serial: u64) -> Option<String> {
    let text = std::str::from_utf8(state).ok()?;
    let (mut depth, mut from, mut key) = (0_usize, None, None);
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        if let Some(start) = from {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => {
                    key = Some(&text[start..at]);
                    from = None;
                }
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => from = Some(at + 1),
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b':' if depth == 1 && key == Some("serial") => {
                let rest = &text[at + 1..];
                let number = rest.trim_start();
                let blank = rest.len() - number.len();
                let digits = number.bytes().take_while(u8::is_ascii_digit).count();
                let end = at + 1 + blank + digits;
                return (digits > 0)
                    .then(|| format!("{}{serial}{}", &text[..=at + blank], &text[end..]));
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_states_own_serial_changes() {
        for (state, expected) in [
            (
                r#"{"serial":3,"lineage":"l"}"#,
                r#"{"serial":9,"lineage":"l"}"#,
            ),
            (
                "{\n  \"version\": 4,\n  \"serial\": 12,\n  \"x\": 1.00000000000000000001\n}",
                "{\n  \"version\": 4,\n  \"serial\": 9,\n  \"x\": 1.00000000000000000001\n}",
            ),
            (
                r#"{"outputs":{"serial":{"serial":1}},"a":"\"serial\":7","serial":2}"#,
                r#"{"outputs":{"serial":{"serial":1}},"a":"\"serial\":7","serial":9}"#,
            ),
            (r#"["serial",{"serial":1}]"#, ""),
            (r#"{"serial":"3"}"#, ""),
            ("", ""),
        ] {
            let found = with_serial(state.as_bytes(), 9).unwrap_or_default();
            assert_eq!(found, expected, "{state}");
        }
    }
}
