//! Parsers of single variables; each collects its mistake instead of stopping.

use std::ops::{Deref, DerefMut};

use gantry_protocol::crypto::EdPublic;
use gantry_service::{Mistake, Source};

use super::{Config, variables as var};
use crate::container::{Network, NetworkChoice};
use crate::image::{Allowlist, Reference};
use crate::machine::Machine;

/// Reads variables and collects what is wrong with them: what every daemon has, and the launcher's own types.
pub(super) struct Reader<'a>(gantry_service::Reader<'a>);

impl<'a> Deref for Reader<'a> {
    type Target = gantry_service::Reader<'a>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Reader<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl<'a> Reader<'a> {
    pub(super) fn new(source: &'a dyn Source) -> Self {
        Self(gantry_service::Reader::new(source))
    }

    pub(super) fn finish<T>(self, value: T) -> Result<T, Vec<Mistake>> {
        self.0.finish(value)
    }

    pub(super) fn keys(&mut self, name: &str) -> Vec<EdPublic> {
        let Some(value) = self.value(name) else {
            self.wrong(
                name,
                "is not set; give the release key's public half (`gantry release keygen` prints it for an own build)",
            );
            return Vec::new();
        };
        let mut keys = Vec::new();
        for text in value.split(',').map(str::trim) {
            match text.parse() {
                Ok(key) => keys.push(key),
                Err(error) => self.wrong(name, error),
            }
        }
        keys
    }

    /// What runs are made for.
    pub(super) fn machine(&mut self) -> Option<Machine> {
        self.parsed(var::PLATFORM)
    }

    /// An image reference, as written.
    pub(super) fn reference(&mut self, name: &str) -> Option<String> {
        let text = self.value(name)?;
        if let Err(error) = Reference::parse(&text) {
            self.wrong(name, error);
        }
        Some(text)
    }

    /// Repositories in full, without tag or digest.
    pub(super) fn repositories(&mut self, name: &str) -> Vec<String> {
        let text = self.value(name).unwrap_or_default();
        let mut repositories = Vec::new();
        for entry in text.split(',').map(str::trim).filter(|e| !e.is_empty()) {
            match Reference::parse(entry) {
                Ok(reference) if reference.name() == entry => repositories.push(reference.name()),
                Ok(reference) => self.wrong(
                    name,
                    format_args!(
                        "`{entry}` is not a repository in full; write `{}`",
                        reference.name()
                    ),
                ),
                Err(error) => self.wrong(name, error),
            }
        }
        repositories
    }

    /// A network that the host's owner names, or one of our own for each run.
    pub(super) fn network(&mut self) -> NetworkChoice {
        let pool = self.parsed(var::NETWORK_POOL).unwrap_or_default();
        let Some(text) = self.value(var::NETWORK) else {
            return NetworkChoice::PerRun { pool };
        };
        match Network::parse(&text) {
            Ok(network) => NetworkChoice::Named(network),
            Err(error) => {
                self.wrong(var::NETWORK, error);
                NetworkChoice::PerRun { pool }
            }
        }
    }

    /// Mistakes that only two variables together can make.
    pub(super) fn check_together(&mut self, config: &Config) {
        let named = matches!(config.containers.network, NetworkChoice::Named(_));
        if config.containers.block_metadata && named {
            self.wrong(
                var::BLOCK_METADATA,
                format_args!("works with runs' own networks only; unset {}", var::NETWORK),
            );
        }
        if let NetworkChoice::PerRun { pool } = &config.containers.network
            && pool.slots() < config.capacity
        {
            let slots = pool.slots();
            self.wrong(
                var::NETWORK_POOL,
                format_args!(
                    "holds {slots} networks, and {} is {}",
                    var::CAPACITY,
                    config.capacity
                ),
            );
        }
        if config.standby > config.capacity {
            self.wrong(var::STANDBY, format_args!("is more than {}", var::CAPACITY));
        }
        if config.standby > 0 && config.images.default.is_none() {
            self.wrong(var::STANDBY, format_args!("needs {}", var::DEFAULT_IMAGE));
        }
    }

    /// The built-in list, another one, or (with `+` first) both.
    pub(super) fn registries(&mut self, name: &str) -> Allowlist {
        let Some(text) = self.value(name) else {
            return Allowlist::well_known();
        };
        let more = text
            .trim()
            .strip_prefix('+')
            .map(|rest| rest.trim_start_matches(','));
        let list = match more {
            Some(more) => Allowlist::well_known().with(more.split(',')),
            None => Allowlist::new(text.split(',')),
        };
        list.unwrap_or_else(|error| {
            self.wrong(name, error);
            Allowlist::well_known()
        })
    }
}
