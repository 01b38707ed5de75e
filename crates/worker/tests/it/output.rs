//! Output on its way into the spool: order, volume, loss with a visible size.
//!
//! Takes tasks that print, checks the spool's bytes. Never: a look at the time it took.

use gantry_protocol::RunType;
use gantry_protocol::socket::spool::parse_segment_name;
use gantry_protocol::socket::{Fact, FromLauncher, Phase, WorkerEnd};

use crate::launcher::Reply;
use crate::world::World;

fn task(command: &str) -> World {
    let mut world = World::new(RunType::Task);
    world.order.skip_init = true;
    world.order.command = Some(command.into());
    world.reply(Phase::Perform, Reply::Grant)
}

fn length(facts: &[Fact]) -> u64 {
    let end = facts.iter().find_map(|fact| match fact {
        Fact::Left {
            section: 1, end, ..
        } => Some(*end),
        _ => None,
    });
    end.expect("section 1 was left")
}

#[test]
fn both_streams_keep_their_order() {
    let world = task("for i in 1 2 3; do echo out $i; echo err $i >&2; done; printf end");
    let ended = world.run();
    assert_eq!(ended.end(), &WorkerEnd::Succeeded);
    assert_eq!(
        world.log(1),
        b"out 1\nerr 1\nout 2\nerr 2\nout 3\nerr 3\nend"
    );
}

#[test]
fn commands_are_shown_before_they_run_where_that_is_asked_for() {
    let mut world = task("printf 'no line feed'; echo \"$A\" >&2");
    world.order.trace_commands = true;
    world.order.hooks.before_perform = vec!["echo one".into(), "export A='x y'\necho $A".into()];
    world.order.hooks.after_run = vec!["echo last".into()];
    assert_eq!(world.run().end(), &WorkerEnd::Succeeded);
    let log = String::from_utf8(world.log(1)).unwrap();
    assert_eq!(
        log.lines().collect::<Vec<_>>(),
        [
            "[gantry] + echo one",
            "one",
            "[gantry] + export A='x y'",
            "[gantry] + echo $A",
            "x y",
            "[gantry] + printf 'no line feed'; echo \"$A\" >&2",
            "no line feedx y",
            "[gantry] + echo last",
            "last",
        ]
    );
}

#[test]
fn the_tools_whole_command_is_shown() {
    let code = "output \"one\" { value = 1 }\n";
    let mut world = World::new(RunType::Proposed).code(code);
    world.order.trace_commands = true;
    assert_eq!(world.run().end(), &WorkerEnd::Succeeded);
    let log = String::from_utf8(world.log(2)).unwrap();
    let first = log.lines().next().unwrap();
    assert!(
        first.starts_with("[gantry] + /") && first.contains("/terraform plan "),
        "{first}"
    );
    assert!(
        first.contains("-input=false") && first.contains("-out="),
        "{first}"
    );
}

#[test]
fn fifty_megabytes_arrive_byte_for_byte() {
    let line = "0123456789".repeat(10);
    let world = task(&format!("yes {line} | head -c 50000000"));
    let ended = world.run();
    assert_eq!(ended.end(), &WorkerEnd::Succeeded);
    assert_eq!(length(&ended.facts), 50_000_000);
    let log = world.log(1);
    let pattern = format!("{line}\n");
    assert!(
        log.iter()
            .copied()
            .eq(pattern.bytes().cycle().take(50_000_000))
    );
    assert!(
        ended.launcher.get(|seen| seen.messages.len() < 5000),
        "bells are coalesced"
    );
}

#[test]
fn a_line_of_ten_megabytes_and_zero_bytes_are_nothing_special() {
    let world = task("head -c 10000000 /dev/zero; echo");
    let ended = world.run();
    assert_eq!(ended.end(), &WorkerEnd::Succeeded);
    let log = world.log(1);
    assert_eq!(log.len(), 10_000_001);
    assert!(log.iter().take(10_000_000).all(|byte| *byte == 0));
}

#[test]
fn over_budget_the_middle_is_missing_by_its_offsets() {
    let mut world = task("seq 1 2000000");
    world.order.spool_budget = 1 << 20;
    let ended = world.run();
    let whole: Vec<u8> = (1..=2_000_000)
        .flat_map(|n| format!("{n}\n").into_bytes())
        .collect();
    assert_eq!(length(&ended.facts), whole.len() as u64);
    let mut kept = 0;
    let mut first_and_last = (false, false);
    for entry in std::fs::read_dir(world.at("spool")).unwrap().flatten() {
        let Some((1, start)) = parse_segment_name(entry.file_name().to_str().unwrap()) else {
            continue;
        };
        let (start, bytes) = (
            usize::try_from(start).unwrap(),
            std::fs::read(entry.path()).unwrap(),
        );
        assert_eq!(&whole[start..start + bytes.len()], bytes);
        kept += bytes.len();
        first_and_last.0 |= start == 0;
        first_and_last.1 |= start + bytes.len() == whole.len();
    }
    assert!((700_000..=1 << 20).contains(&kept), "{kept} bytes kept");
    assert_eq!(first_and_last, (true, true));
}

#[test]
fn acknowledged_bytes_make_room() {
    let mut world = task("seq 1 100000; cat ../go; seq 1 100000");
    world.order.spool_budget = 600_000;
    nix::unistd::mkfifo(&world.at("workspace/go"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let running = world.start();
    running.wait_for_log(1, "\n100000\n");
    let half = world.log(1).len() as u64;
    running.launcher.say(FromLauncher::LogAck {
        section: 1,
        offset: half,
    });
    // Reconnecting shows that the acknowledgement was read: it came first on the old connection.
    running.launcher.vanish();
    running.launcher.bind();
    let hellos = |seen: &crate::launcher::Seen| {
        let hello = |m: &&_| matches!(m, gantry_protocol::socket::FromWorker::Hello { .. });
        seen.messages.iter().filter(hello).count()
    };
    running
        .launcher
        .wait("a second hello", |seen| hellos(seen) == 2);
    std::fs::write(world.at("workspace/go"), "").unwrap();
    let ended = running.wait();
    assert_eq!(length(&ended.facts), 2 * half);
    assert_eq!(
        world.log(1).len() as u64,
        2 * half,
        "nothing had to be dropped"
    );
}

#[test]
fn a_stray_that_holds_the_pipe_does_not_hold_the_run() {
    let world = task("(trap '' HUP TERM INT; sleep 1000) & echo started");
    let ended = world.run();
    assert_eq!(ended.end(), &WorkerEnd::Succeeded);
    assert_eq!(world.log(1), b"started\n");
}

#[test]
fn a_spool_that_takes_no_bytes_does_not_stop_the_tool() {
    let world =
        task("mv ../../spool ../../away; seq 1 300000; mv ../../away ../../spool; echo end");
    let ended = world.run();
    assert_eq!(ended.end(), &WorkerEnd::Succeeded);
    let numbers = (1..=300_000).map(|n| format!("{n}\n")).collect::<String>();
    let whole = format!("{numbers}end\n");
    assert_eq!(length(&ended.facts), whole.len() as u64);
    let kept = world.log(1);
    assert!(kept.len() < whole.len(), "something was lost");
    // Whatever could be stored again is at its place: it is the end.
    assert_eq!(kept, &whole.as_bytes()[whole.len() - kept.len()..]);
}
