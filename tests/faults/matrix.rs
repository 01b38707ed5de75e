//! Which cells are played when, and how many at a time.

use std::collections::VecDeque;
use std::sync::Mutex;

use gantry_test_support::{Docker, Dockerd, Registry, Restore};

use crate::cell::{self, Played};
use crate::expected::{self, Cell, Fault};
use crate::meeting::Meeting;

/// The most telling cells: one for every kind of promise.
const TELLING: [&str; 7] = [
    "leased/launcher-killed",
    "packing/launcher-killed",
    "restoring/server-killed",
    "verifying/server-500",
    "applying/container-killed",
    "applying/launcher-killed",
    "reporting/launcher-killed",
];

/// Plays the cells that are asked for.
pub(crate) fn play(full: bool, words: &[String], jobs: usize) -> Vec<Played> {
    let mut cells = expected::table();
    let named = |cell: &Cell| {
        words.is_empty() || words.iter().any(|word| cell.name().contains(word.as_str()))
    };
    let telling =
        |cell: &Cell| full || !words.is_empty() || TELLING.contains(&cell.name().as_str());
    cells.retain(|cell| cell.expected.is_some() && named(cell) && telling(cell));
    cells.retain(|cell| full || !cell::restarts_dockerd(cell.fault));
    if cells.is_empty() {
        return Vec::new();
    }
    let mut daemon = full.then(|| Dockerd::start(Restore::Live));
    let registry = Registry::shared();
    // Layers that the engine has are not fetched by every cell.
    let image = &registry.images().busybox.tag;
    Docker.run(&["pull", "--quiet", image]);
    let (grouped, single): (Vec<_>, Vec<_>) = cells
        .into_iter()
        .partition(|cell| cell::restarts_dockerd(cell.fault));
    let mut played = side_by_side(interleaved(single), jobs);
    for (fault, restore) in [
        (Fault::DockerdLive, Restore::Live),
        (Fault::DockerdCold, Restore::Cold),
    ] {
        let group: Vec<_> = grouped
            .iter()
            .filter(|cell| cell.fault == fault)
            .cloned()
            .collect();
        if let (Some(daemon), false) = (&mut daemon, group.is_empty()) {
            played.extend(together(group, daemon, restore));
        }
    }
    Docker.tries(&["image", "rm", image]);
    played.sort_by_key(|played| (played.cell.phase, played.cell.fault));
    played
}

/// Long cells between short ones, so that there is always something to do.
fn interleaved(cells: Vec<Cell>) -> VecDeque<Cell> {
    let long = |cell: &Cell| matches!(cell.fault, Fault::LauncherStopped | Fault::NetworkCut);
    let (long, short): (Vec<_>, Vec<_>) = cells.into_iter().partition(long);
    let (mut long, mut short) = (long.into_iter(), short.into_iter());
    let mut mixed = VecDeque::new();
    loop {
        let pair = (long.next(), short.next());
        if pair == (None, None) {
            return mixed;
        }
        mixed.extend(pair.0);
        mixed.extend(pair.1);
    }
}

fn side_by_side(cells: VecDeque<Cell>, jobs: usize) -> Vec<Played> {
    let (cells, played) = (Mutex::new(cells), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let Some(cell) = cells.lock().unwrap().pop_front() else {
                        return;
                    };
                    let done = guarded(&cell, || cell::play(&cell, None));
                    played.lock().unwrap().push(done);
                }
            });
        }
    });
    played.into_inner().unwrap()
}

/// All cells of a fault meet one restart of the daemon.
fn together(cells: Vec<Cell>, daemon: &mut Dockerd, restore: Restore) -> Vec<Played> {
    daemon.restart(restore);
    let meeting = Meeting::of(cells.len());
    std::thread::scope(|scope| {
        let playing: Vec<_> = cells
            .iter()
            .map(|cell| {
                let seat = meeting.seat();
                scope.spawn(move || guarded(cell, || cell::play(cell, Some(seat))))
            })
            .collect();
        meeting.gathered(0);
        daemon.restart(restore);
        meeting.over();
        playing
            .into_iter()
            .map(|cell| cell.join().unwrap())
            .collect()
    })
}

/// A cell that panics has failed; the others go on.
fn guarded(cell: &Cell, play: impl FnOnce() -> Played) -> Played {
    let began = std::time::Instant::now();
    let play = std::panic::AssertUnwindSafe(play);
    let played = std::panic::catch_unwind(play).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Played {
            cell: cell.clone(),
            found: None,
            problems: vec![text.unwrap_or_default()],
            took: began.elapsed(),
        }
    });
    crate::table::told(&played);
    played
}
