//! The launcher's own log on standard error, without secrets.
//!
//! Takes what to log and in which shape ([`install`]), and values as they become known ([`Secrets::hide`]).
//! Gives lines in which those values are asterisks, whatever event or error carried them. Never: a secret that is
//! known here in a line of the log, of a panic's either; anything on standard output.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _, Write};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tracing::error;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use zeroize::Zeroizing;

use crate::mask::Mask;

/// The values that no line shows. Cheap to clone.
#[derive(Clone, Default)]
pub struct Secrets {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    known: Mutex<Known>,
    /// Of all known values; swapped as a whole, so that a line waits for no compilation.
    mask: RwLock<Option<Mask>>,
}

/// Values by who hides them.
#[derive(Default)]
struct Known {
    next: u64,
    values: BTreeMap<u64, Vec<Zeroizing<Vec<u8>>>>,
    /// The newest value of things that change, by what they are for.
    newest: BTreeMap<String, Zeroizing<Vec<u8>>>,
}

/// Values are hidden as long as this lives.
#[must_use = "what is dropped is hidden no longer; see `Hidden::for_good`"]
pub struct Hidden {
    shared: Arc<Shared>,
    key: Option<u64>,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets")
    }
}

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hidden")
    }
}

impl Secrets {
    /// Hides `values` from now on, in every form that [`Mask`] knows.
    pub fn hide<V: AsRef<[u8]>>(&self, values: impl IntoIterator<Item = V>) -> Hidden {
        let values = values.into_iter();
        let values = values.map(|value| Zeroizing::new(value.as_ref().to_vec()));
        let mut known = self.shared.known();
        let key = known.next;
        known.next += 1;
        known.values.insert(key, values.collect());
        self.shared.compile(&known);
        Hidden {
            shared: Arc::clone(&self.shared),
            key: Some(key),
        }
    }

    /// Hides `value` until another one is hidden for the same `purpose`.
    pub fn hide_as(&self, purpose: &str, value: &[u8]) {
        let mut known = self.shared.known();
        if known
            .newest
            .get(purpose)
            .is_some_and(|old| ***old == *value)
        {
            return;
        }
        let value = Zeroizing::new(value.to_vec());
        known.newest.insert(purpose.to_owned(), value);
        self.shared.compile(&known);
    }

    /// Writes one line, whatever is logged otherwise: for records whose shape is documented.
    ///
    /// # Errors
    /// Standard error is closed.
    pub fn write_line(&self, line: &str) -> io::Result<()> {
        let mut line = self.mask(line.as_bytes());
        line.push(b'\n');
        io::stderr().lock().write_all(&line)
    }

    /// `text` without the values.
    pub fn mask(&self, text: &[u8]) -> Vec<u8> {
        let mask = self.shared.mask.read();
        let mask = mask.unwrap_or_else(PoisonError::into_inner).clone();
        mask.map_or_else(|| text.to_vec(), |mask| mask.whole(text))
    }
}

impl Hidden {
    /// Hides the values until the process ends.
    pub fn for_good(mut self) {
        self.key = None;
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            let mut known = self.shared.known();
            known.values.remove(&key);
            self.shared.compile(&known);
        }
    }
}

impl Shared {
    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn compile(&self, known: &Known) {
        let values = known.values.values().flatten().chain(known.newest.values());
        let mask = Mask::new(values.map(|value| value.as_slice()));
        *self.mask.write().unwrap_or_else(PoisonError::into_inner) = Some(mask);
    }
}

/// Logs to standard error from here on, panics included, and gives what hides values in it.
///
/// `filter` has directives such as `info,gantry_launcher::job=debug`; one that can't be read is `info`.
pub fn install(filter: &str, json: bool) -> Secrets {
    let secrets = Secrets::default();
    let filter =
        without_sdk(EnvFilter::try_new(named(filter)).unwrap_or_else(|_| EnvFilter::new("info")));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // Colours are for people, not for files and collectors.
        .with_ansi(io::stderr().is_terminal())
        .with_writer(Lines(secrets.clone()));
    if json {
        builder.json().flatten_event(true).init();
    } else {
        builder.init();
    }
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        let message = panic.payload_as_str().unwrap_or("no message");
        error!(
            place = place.as_deref(),
            "the launcher has a defect and panicked: {message}"
        );
    }));
    secrets
}

/// Crates of the AWS SDK: their finer levels print answers in full, tokens included, before anybody can hide them.
const SDK: [&str; 8] = [
    "aws_config",
    "aws_runtime",
    "aws_sdk_ecr",
    "aws_sdk_ecrpublic",
    "aws_sdk_sts",
    "aws_sigv4",
    "aws_smithy_http",
    "aws_smithy_runtime",
];

/// Directives without those about parts of the SDK, which would count more than [`without_sdk`].
fn named(filter: &str) -> String {
    let wanted = |directive: &&str| !directive.trim_start().starts_with("aws_");
    let kept: Vec<_> = filter.split(',').filter(wanted).collect();
    kept.join(",")
}

fn without_sdk(filter: EnvFilter) -> EnvFilter {
    SDK.iter().fold(filter, |filter, name| {
        let directive = format!("{name}=warn");
        filter.add_directive(directive.parse().expect("invariant: a crate and a level"))
    })
}

/// Makes the writer of one line.
struct Lines(Secrets);

struct Line<'a>(&'a Secrets);

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line(&self.0)
    }
}

impl Write for Line<'_> {
    /// An event comes in one piece, so no secret is cut by two calls.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        io::stderr().lock().write_all(&self.0.mask(line))?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(secrets: &Secrets, text: &str) -> String {
        String::from_utf8(secrets.mask(text.as_bytes())).unwrap()
    }

    #[test]
    fn values_are_hidden_as_long_as_someone_hides_them() {
        let secrets = Secrets::default();
        let line = "hunter2 aHVudGVyMnh5eg== correct\\\"horse";
        assert_eq!(shown(&secrets, line), line);
        secrets.hide(["hunter2xyz"]).for_good();
        let run = secrets.hide(["hunter2", "correct\"horse"]);
        assert_eq!(shown(&secrets, line), "***** ***** *****");
        drop(run);
        assert_eq!(
            shown(&secrets, line),
            "hunter2 ***** correct\\\"horse",
            "what another hides stays hidden"
        );
    }

    #[test]
    fn a_login_that_is_renewed_replaces_the_one_before() {
        let secrets = Secrets::default();
        for token in ["token-1", "token-2", "token-2"] {
            secrets.hide_as("registry.example", token.as_bytes());
        }
        secrets.hide_as("other.example", b"token-3");
        assert_eq!(
            shown(&secrets, "token-1 token-2 token-3"),
            "token-1 ***** *****"
        );
    }

    #[test]
    fn it_shows_none_of_them_itself() {
        let secrets = Secrets::default();
        let hidden = secrets.hide(["hunter2"]);
        assert!(!format!("{secrets:?}{hidden:?}").contains("hunter2"));
    }
}
