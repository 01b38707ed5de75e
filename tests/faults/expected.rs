//! The table of `docs/CRASH-MATRIX.md`: the one place that says what has to become of a run.

use std::str::FromStr;

const PAGE: &str = include_str!("../../docs/CRASH-MATRIX.md");

/// What a run waits for when the fault comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Leased,
    Verifying,
    Pulling,
    Preparing,
    Initializing,
    Planning,
    Packing,
    Restoring,
    Applying,
    Reporting,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    LauncherKilled,
    LauncherStopped,
    DockerdLive,
    DockerdCold,
    ContainerKilled,
    ServerKilled,
    NetworkCut,
    Server500,
}

impl Phase {
    pub(crate) const ALL: [(Self, &'static str); 10] = [
        (Self::Leased, "leased"),
        (Self::Verifying, "verifying"),
        (Self::Pulling, "pulling"),
        (Self::Preparing, "preparing"),
        (Self::Initializing, "initializing"),
        (Self::Planning, "planning"),
        (Self::Packing, "packing"),
        (Self::Restoring, "restoring"),
        (Self::Applying, "applying"),
        (Self::Reporting, "reporting"),
    ];

    pub(crate) fn name(self) -> &'static str {
        name(&Self::ALL, self)
    }

    /// Whether its run waits for a person between plan and apply.
    pub(crate) fn waits_for_a_person(self) -> bool {
        matches!(self, Self::Packing | Self::Restoring)
    }
}

impl Fault {
    pub(crate) const ALL: [(Self, &'static str); 8] = [
        (Self::LauncherKilled, "launcher-killed"),
        (Self::LauncherStopped, "launcher-stopped"),
        (Self::DockerdLive, "dockerd-live"),
        (Self::DockerdCold, "dockerd-cold"),
        (Self::ContainerKilled, "container-killed"),
        (Self::ServerKilled, "server-killed"),
        (Self::NetworkCut, "network-cut"),
        (Self::Server500, "server-500"),
    ];

    pub(crate) fn name(self) -> &'static str {
        name(&Self::ALL, self)
    }
}

fn name<T: Copy + PartialEq>(all: &[(T, &'static str)], wanted: T) -> &'static str {
    let found = all.iter().find(|(one, _)| *one == wanted);
    found.map(|(_, name)| *name).unwrap()
}

/// What has to become of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Expected {
    /// Documented name of the final state.
    pub(crate) state: String,
    /// The attempt that brings it there.
    pub(crate) attempt: u64,
    /// How often the run enters `APPLYING`.
    pub(crate) applies: usize,
    /// Whether the state's lock is left behind, and told.
    pub(crate) lock: bool,
}

impl FromStr for Expected {
    type Err = String;

    fn from_str(cell: &str) -> Result<Self, String> {
        let bad = || format!("`{cell}` is no cell of the table");
        let mut words = cell.split_whitespace();
        let state = words.next().ok_or_else(bad)?.to_owned();
        let (attempt, applies) = words
            .next()
            .and_then(|counts| counts.split_once('/'))
            .ok_or_else(bad)?;
        let lock = match words.next() {
            None => false,
            Some("lock") => true,
            Some(_) => return Err(bad()),
        };
        Ok(Self {
            state,
            attempt: attempt.parse().map_err(|_| bad())?,
            applies: applies.parse().map_err(|_| bad())?,
            lock,
        })
    }
}

impl std::fmt::Display for Expected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}/{}", self.state, self.attempt, self.applies)?;
        f.write_str(if self.lock { " lock" } else { "" })
    }
}

/// One cell of the table; nothing is expected where the fault can't happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) phase: Phase,
    pub(crate) fault: Fault,
    pub(crate) expected: Option<Expected>,
}

impl Cell {
    pub(crate) fn name(&self) -> String {
        format!("{}/{}", self.phase.name(), self.fault.name())
    }
}

/// Every cell, row by row.
///
/// # Panics
/// When the page's table is not complete.
pub(crate) fn table() -> Vec<Cell> {
    let (_, rest) = PAGE.split_once("<!-- matrix -->").unwrap();
    let (table, _) = rest.split_once("<!-- /matrix -->").unwrap();
    let rows: Vec<Vec<&str>> = table.trim().lines().map(columns).collect();
    let names: Vec<_> = Fault::ALL.iter().map(|(_, name)| *name).collect();
    assert_eq!(
        rows[0][1..],
        names,
        "the faults of the page and of the code"
    );
    let row = |(row, (phase, name)): (&Vec<&str>, &(Phase, &str))| {
        assert_eq!(row[0], *name, "the phases of the page and of the code");
        let cells = row[1..].iter().zip(Fault::ALL);
        let cells = cells.map(|(cell, (fault, _))| Cell {
            phase: *phase,
            fault,
            expected: (!cell.starts_with("n/a")).then(|| cell.parse().unwrap()),
        });
        cells.collect::<Vec<_>>()
    };
    assert_eq!(rows.len(), Phase::ALL.len() + 2, "the rows of the page");
    rows[2..].iter().zip(&Phase::ALL).flat_map(row).collect()
}

fn columns(line: &str) -> Vec<&str> {
    let inner = line.trim().trim_start_matches('|').trim_end_matches('|');
    inner.split('|').map(str::trim).collect()
}
