//! What of ours is left over and can go: containers, directories, images.
//!
//! Takes the journal's leases and what the engine and the disk hold, gives what was removed. Never: anything
//! that carries neither this launcher's label nor stands in its records, a container that a lease in the
//! journal has, a stranger before its time is over.

use std::collections::BTreeSet;
use std::time::Duration;

use gantry_protocol::ids::{Attempt, LauncherId, RunId};
use time::OffsetDateTime;
use tracing::{info, warn};

use crate::container::{LABEL_LAUNCHER, container_name};
use crate::engine::{Docker, EngineError, ErrorKind, Listed};
use crate::image::Ledger;
use crate::journal::{Entry, Journal, JournalError, Progress};
use crate::report::Chain;
use crate::workspace::DataDir;

/// A directory of a run that has no lease is left alone for so long: it may be about to be removed.
const DIR_AGE: Duration = Duration::from_secs(600);

/// The same for containers that image files are read through: they live for seconds.
const HELPER_AGE: Duration = Duration::from_secs(600);

/// Ended containers without a lease are kept this long, for who wants to look at them.
const ENDED_AGE: Duration = Duration::from_secs(24 * 3600);

/// Under pressure an image may go when no run has used it for so long: longer than any start takes.
const IMAGE_AGE_UNDER_PRESSURE: Duration = Duration::from_secs(30 * 60);

/// Where to look.
#[derive(Debug)]
pub struct Means<'a> {
    /// Docker.
    pub engine: &'a Docker,
    /// Run directories.
    pub data: &'a DataDir,
    /// Leases.
    pub journal: &'a Journal,
    /// Images.
    pub ledger: &'a Ledger,
    /// Whose label counts.
    pub launcher: LauncherId,
}

/// What is kept for how long.
#[derive(Debug, Clone, Copy)]
pub struct Keep {
    /// Images after their last run.
    pub images: Duration,
    /// Whether ended containers stay for inspection.
    pub ended_containers: bool,
    /// The longest that a container may run, its grace included.
    pub run: Duration,
}

/// How urgent it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pressure {
    /// Only what is old goes.
    None,
    /// What is unused goes: the disk is short.
    Short,
}

/// What was done.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Swept {
    /// Containers removed.
    pub containers: u64,
    /// Run directories removed.
    pub dirs: u64,
    /// Images removed.
    pub images: u64,
    /// Names of running containers that no lease has, and that are not yet due.
    pub strangers: Vec<String>,
}

/// Removes what can go. A failure in one place does not keep the others from being swept. `spared` knows
/// containers that have no lease and are in use all the same.
///
/// # Errors
/// When the journal can't be read: then nothing is known to be unused, and nothing is removed.
pub async fn sweep(
    means: &Means<'_>,
    keep: Keep,
    pressure: Pressure,
    spared: &(dyn Fn(&str) -> bool + Sync),
) -> Result<Swept, JournalError> {
    let mut swept = Swept::default();
    // First what there is, then what is in use: what begins in between is in neither.
    let containers = listed(means, LABEL_LAUNCHER).await;
    let dirs = means.data.list_runs().unwrap_or_default();
    let entries = means.journal.entries()?;
    strangers(means, keep, containers, &entries, spared, &mut swept).await;
    for helper in listed(means, &format!("{LABEL_LAUNCHER}.helper")).await {
        if age(helper.created) >= HELPER_AGE {
            swept.containers += remove(means, &helper).await;
        }
    }
    swept.dirs = orphans(means.data, &dirs, &entries);
    swept.images = images(means, keep, pressure, &entries).await;
    if let Err(error) = means.ledger.save() {
        warn!(error = %Chain(&error), "the list of pulled images could not be written");
    }
    Ok(swept)
}

async fn listed(means: &Means<'_>, label: &str) -> Vec<Listed> {
    let listed = means.engine.list(label, &means.launcher.to_string()).await;
    listed.unwrap_or_else(|error| {
        warn!(error = %Chain(&error), "containers can't be listed");
        Vec::new()
    })
}

/// What becomes of a container that no lease has.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Stays,
    Told,
    Goes,
}

fn fate(row: &Listed, age: Duration, keep: Keep) -> Fate {
    match row.running {
        true if age >= keep.run => Fate::Goes,
        true => Fate::Told,
        false if !keep.ended_containers && age >= ENDED_AGE => Fate::Goes,
        false => Fate::Stays,
    }
}

async fn strangers(
    means: &Means<'_>,
    keep: Keep,
    containers: Vec<Listed>,
    entries: &[Entry],
    spared: &(dyn Fn(&str) -> bool + Sync),
    swept: &mut Swept,
) {
    let leased: BTreeSet<String> = entries.iter().map(container_of).collect();
    for row in containers {
        if leased.contains(&row.name) || spared(&row.name) {
            continue;
        }
        match fate(&row, age(row.created), keep) {
            Fate::Stays => {}
            // Its lease may have ended while we looked.
            Fate::Told if means.engine.inspect(&row.id).await.is_err() => {}
            Fate::Told => swept.strangers.push(row.name),
            Fate::Goes => {
                warn!(container = %row.name, "belongs to no lease of this launcher, and its time is over; removing it");
                swept.containers += remove(means, &row).await;
            }
        }
    }
}

/// The name of a lease's container: that of the one that waited for it, or the lease's own.
pub fn container_of(entry: &Entry) -> String {
    let own = || container_name(entry.lease.run, entry.lease.attempt);
    entry.container.clone().unwrap_or_else(own)
}

async fn remove(means: &Means<'_>, row: &Listed) -> u64 {
    match means.engine.remove(&row.id).await {
        Ok(()) => 1,
        Err(error) => {
            warn!(container = %row.name, error = %Chain(&error), "could not be removed");
            0
        }
    }
}

fn orphans(data: &DataDir, names: &[String], entries: &[Entry]) -> u64 {
    let leased: BTreeSet<_> = entries
        .iter()
        .map(|entry| entry.lease)
        .map(|l| (l.run, l.attempt))
        .collect();
    let mut removed = 0;
    for (run, attempt) in names.iter().filter_map(|name| parse(name)) {
        let dirs = data.run(run, attempt);
        if leased.contains(&(run, attempt)) || data.age(&dirs) < DIR_AGE {
            continue;
        }
        let left = data.remove_run(&dirs);
        for leftover in &left {
            warn!(path = %leftover.path, reason = %leftover.reason, "of a run that is over; could not be removed");
        }
        if left.is_empty() {
            info!(%run, %attempt, "directory of a run that is over removed");
            removed += 1;
        }
    }
    removed
}

/// `<run>-<attempt>`; other names are not ours to judge.
fn parse(name: &str) -> Option<(RunId, Attempt)> {
    let (run, attempt) = name.rsplit_once('-')?;
    Some((run.parse().ok()?, Attempt(attempt.parse().ok()?)))
}

async fn images(means: &Means<'_>, keep: Keep, pressure: Pressure, entries: &[Entry]) -> u64 {
    let age = match pressure {
        Pressure::None => keep.images,
        Pressure::Short => keep.images.min(IMAGE_AGE_UNDER_PRESSURE),
    };
    let in_use: BTreeSet<&str> = entries.iter().filter_map(image).collect();
    let seconds = i64::try_from(age.as_secs()).unwrap_or(i64::MAX);
    let mut removed = 0;
    for image in means.ledger.unused_for(seconds) {
        if in_use.contains(image.as_str()) {
            continue;
        }
        // Until it is forgotten, too: a run that wants it pulls it and notes it again.
        let Some(_claim) = means.ledger.claim(&image, seconds) else {
            continue;
        };
        match means.engine.remove_image(&image).await {
            Ok(()) => {
                info!(%image, "image that no run has used for long removed");
                removed += 1;
                if let Err(error) = means.ledger.forget(&image) {
                    warn!(error = %Chain(&error), "the list of pulled images could not be written");
                }
            }
            // Somebody's container uses it.
            Err(error) if is_in_use(&error) => {}
            Err(error) => warn!(%image, error = %Chain(&error), "could not be removed"),
        }
    }
    removed
}

fn image(entry: &Entry) -> Option<&str> {
    match &entry.progress {
        Progress::Started(started) => Some(&started.image),
        Progress::Accepted | Progress::Ended { .. } => None,
    }
}

fn is_in_use(error: &EngineError) -> bool {
    matches!(error.kind(), ErrorKind::Conflict { .. })
}

/// Time since a moment in Unix seconds; nothing for moments to come.
fn age(since: i64) -> Duration {
    let seconds = OffsetDateTime::now_utc()
        .unix_timestamp()
        .saturating_sub(since);
    Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Owner;
    use gantry_protocol::control::inbox::SealedRun;
    use gantry_protocol::control::run::Lease;
    use std::os::unix::fs::PermissionsExt;

    const RUN: &str = "01JB8M6Q7N4T0V2X5Y8Z9A1B2C";

    fn keep() -> Keep {
        Keep {
            images: Duration::from_secs(3600),
            ended_containers: false,
            run: Duration::from_secs(4800),
        }
    }

    fn entry(attempt: u32) -> Entry {
        let lease = Lease {
            run: RUN.parse().expect("an id"),
            attempt: Attempt(attempt),
        };
        let sealed = SealedRun {
            envelope: String::new(),
            sealed: String::new(),
        };
        Entry::accepted(lease, sealed, 0)
    }

    #[test]
    fn a_stranger_goes_when_its_time_is_over_and_not_before() {
        let row = |running| Listed {
            running,
            ..serde_row()
        };
        let hours = |n: u64| Duration::from_secs(n * 3600);
        let kept = Keep {
            ended_containers: true,
            ..keep()
        };
        let rows = [
            (row(true), hours(1), keep(), Fate::Told),
            (row(true), hours(2), keep(), Fate::Goes),
            (row(true), hours(2), kept, Fate::Goes),
            (row(false), hours(23), keep(), Fate::Stays),
            (row(false), hours(24), keep(), Fate::Goes),
            (row(false), hours(99), kept, Fate::Stays),
        ];
        for (row, age, keep, expected) in rows {
            assert_eq!(fate(&row, age, keep), expected, "{row:?} {age:?}");
        }
    }

    fn serde_row() -> Listed {
        Listed::for_tests("gantry-x")
    }

    #[test]
    fn only_directories_without_a_lease_go_and_only_old_ones() {
        let temp = tempfile::tempdir().expect("temp dir");
        std::fs::set_permissions(temp.path(), PermissionsExt::from_mode(0o755)).expect("mode");
        let data = DataDir::open(temp.path(), Owner::own()).expect("usable");
        let run: RunId = RUN.parse().expect("an id");
        let runs = temp.path().join("runs");
        for attempt in 1..=3 {
            data.create_run(run, Attempt(attempt)).expect("made");
        }
        std::fs::create_dir(runs.join("something-else")).expect("made");
        let long_ago = std::time::SystemTime::now() - DIR_AGE - Duration::from_secs(5);
        for name in [
            format!("{RUN}-1"),
            format!("{RUN}-2"),
            "something-else".into(),
        ] {
            let dir = std::fs::File::open(runs.join(name)).expect("opens");
            dir.set_modified(long_ago).expect("aged");
        }
        let names = data.list_runs().expect("list");
        assert_eq!(orphans(&data, &names, &[entry(1)]), 1);
        let mut left = data.list_runs().expect("list");
        left.sort();
        let expected = [
            format!("{RUN}-1"),
            format!("{RUN}-3"),
            "something-else".into(),
        ];
        assert_eq!(left, expected, "leased, young and foreign ones stay");
    }

    #[test]
    fn names_of_runs_are_told_from_others() {
        assert!(parse(&format!("{RUN}-12")).is_some());
        for other in [
            "",
            "x",
            RUN,
            "standby-1",
            &format!("{RUN}-"),
            &format!("{RUN}-x"),
        ] {
            assert!(parse(other).is_none(), "{other}");
        }
    }
}
