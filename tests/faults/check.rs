//! What has to hold when a run has ended.
//!
//! Takes what is seen, gives problems in words. Never: a problem that ends the look for others.

use std::fs;
use std::path::{Path, PathBuf};

use gantry_test_support::{Docker, Launcher, Run, SHORT, Seen, World, wait_for};

use crate::expected::{Cell, Expected, Fault};
use crate::scene::LINES;

/// What became of the run, in the words of the table.
pub(crate) fn found(seen: &Seen) -> Expected {
    Expected {
        state: seen.state.clone(),
        attempt: seen.attempt,
        applies: seen.times("APPLYING"),
        lock: seen.reasons().contains("left locked"),
    }
}

/// Whether people are told what happened.
pub(crate) fn notes(cell: &Cell, expected: &Expected, seen: &Seen) -> Vec<String> {
    let said = seen.reasons();
    let mut wanted = Vec::new();
    let attempts = if cell.phase.waits_for_a_person() {
        2
    } else {
        1
    };
    if expected.attempt > attempts {
        wanted.push("was not heard of in time");
    }
    if expected.state == "FAILED" {
        wanted.push("container");
        wanted.push(match cell.fault {
            Fault::DockerdCold => "from outside",
            _ => "code 137",
        });
    }
    let missing = wanted.into_iter().filter(|text| !said.contains(text));
    missing
        .map(|text| format!("no note says `{text}`: {}", said.trim()))
        .collect()
}

/// Whether every block of the log is there once, whole where its phase was left in order.
pub(crate) fn log(run: &Run<'_>, seen: &Seen) -> Vec<String> {
    let mut problems = Vec::new();
    let mut wanted = vec![
        ("INITIALIZING", "init"),
        ("PLANNING", "plan"),
        ("APPLYING", "apply"),
    ];
    wanted.retain(|(state, _)| seen.times(state) > 0);
    if seen.state == "FINISHED" {
        wanted.push(("APPLYING", "end"));
    }
    let whole = |logged: &[(String, Vec<u8>)]| -> Result<(), String> {
        for (state, name) in &wanted {
            let last = logged.iter().rfind(|(logged, _)| logged == state);
            let lines = last.map_or(Ok(0), |(_, bytes)| lines(bytes, name));
            match lines {
                Ok(LINES) => {}
                Ok(found) => return Err(format!("{state}: {found} of {LINES} lines of `{name}`")),
                Err(_) => {}
            }
        }
        Ok(())
    };
    // The last bytes may come after the state was left.
    let deadline = std::time::Instant::now() + SHORT;
    let logged = wait_for("the log", SHORT * 2, || {
        let logged = run.downloads()?;
        match whole(&logged) {
            Err(why) if std::time::Instant::now() < deadline => Err(why),
            _ => Ok(logged),
        }
    });
    problems.extend(whole(&logged).err());
    for (state, bytes) in &logged {
        for name in ["init", "plan", "apply", "end"] {
            let broken = lines(bytes, name).err();
            problems.extend(broken.map(|why| format!("{state}: {why}")));
        }
    }
    problems
}

/// How many lines of a block are there; they have to be its first ones, each once, in order.
fn lines(log: &[u8], name: &str) -> Result<usize, String> {
    let text = String::from_utf8_lossy(log);
    let prefix = format!("{name}-block ");
    let numbers = text.lines().filter_map(|line| line.strip_prefix(&prefix));
    let mut count = 0;
    for number in numbers {
        // The last line of a log that was cut may be cut too.
        if number.len() == 8 && number.parse() != Ok(count) {
            return Err(format!("after line {count} of `{name}` comes `{number}`"));
        }
        count += usize::from(number.len() == 8);
    }
    Ok(count)
}

/// What a launcher that was drained has left on its host.
pub(crate) fn leftovers(world: &World, launcher: &Launcher) -> Vec<String> {
    let id = launcher.id();
    let mut problems = Vec::new();
    for label in ["gantry.launcher", "gantry.launcher.helper"] {
        let filter = format!("label={label}={id}");
        let names = Docker.run(&["ps", "--all", "--filter", &filter, "--format", "{{.Names}}"]);
        problems.extend(
            names
                .lines()
                .map(|name| format!("container {name} is left")),
        );
    }
    let files = below(launcher.data_dir());
    let stray = files.iter().filter(|path| is_stray(path));
    problems.extend(stray.map(|path| format!("`{}` is left", path.display())));
    let gone = wait_ended(world);
    problems.extend(
        gone.into_iter()
            .map(|process| format!("process {process} is left")),
    );
    problems
}

fn is_stray(path: &Path) -> bool {
    let names: Vec<_> = path.components().rev().take(2).collect();
    let name = names[0].as_os_str().to_string_lossy();
    let parent = names[1].as_os_str();
    parent == "runs" || name.starts_with(".tmp") || name.contains(".partial")
}

fn below(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() && !path.is_symlink() {
            found.extend(below(&path));
        }
        found.push(path);
    }
    found
}

/// Processes that have the world's directory among their arguments, once they had time to end.
fn wait_ended(world: &World) -> Vec<String> {
    let deadline = std::time::Instant::now() + SHORT;
    wait_for("processes to end", SHORT * 2, || {
        let left = processes(world.dir());
        match left.is_empty() || std::time::Instant::now() >= deadline {
            true => Ok(left),
            false => Err(left.join("; ")),
        }
    })
}

fn processes(dir: &Path) -> Vec<String> {
    let dir = dir.to_str().unwrap();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.contains(dir) && !line.contains("gantry-server") {
            found.push(format!("{} ({line})", entry.file_name().to_string_lossy()));
        }
    }
    found
}
