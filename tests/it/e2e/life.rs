//! A launcher as its host sees it: service manager, metrics, room, spot notices, traces, several runs at once.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gantry_test_support::{Docker, Exit, LONG, Registry, SHORT, World, wait_for};
use serde_json::Value;

use super::{CODE, WAITING_APPLY, waiting};

/// Status and body of a GET over a unix socket.
fn get(socket: &Path, path: &str) -> Result<(u16, String), String> {
    let mut stream = UnixStream::connect(socket).map_err(|error| error.to_string())?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream
        .write_all(request.as_bytes())
        .map_err(|error| error.to_string())?;
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .map_err(|error| error.to_string())?;
    let status = answer
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    let (_, body) = answer.split_once("\r\n\r\n").ok_or("no body")?;
    Ok((status.ok_or("no status")?, body.to_owned()))
}

/// The only launcher's status and reason in the API.
fn status(world: &World) -> Result<(String, String), String> {
    let workers = world.api().workers()?;
    let text = |name: &str| workers[0][name].as_str().unwrap_or_default().to_owned();
    Ok((text("status"), text("statusReason")))
}

fn wait_status(world: &World, wanted: &str) -> String {
    wait_for(&format!("the launcher to be {wanted}"), LONG, || {
        let seen = status(world)?;
        if seen.0 == wanted {
            Ok(seen.1)
        } else {
            Err(format!("{seen:?}"))
        }
    })
}

#[test]
fn metrics_and_health_show_what_the_launcher_does() {
    let world = World::start();
    let repo = world.repo("code");
    repo.commit(&[("main.tf", CODE)]);
    let stack = world.stack("metrics", &repo).autodeploy().create();
    let socket = world.dir().join("health.sock");
    let launcher = world.launcher("a");
    let listen = format!("unix:{}", socket.display());
    let _launcher = launcher.env("GANTRY_HEALTH_LISTEN", &listen).start();
    wait_for("readiness", SHORT, || match get(&socket, "/readyz")? {
        (200, body) => Ok(body),
        other => Err(format!("{other:?}")),
    });
    stack.deploy().wait("FINISHED");
    let wanted = [
        "gantry_launcher_runs_total{outcome=\"succeeded\"} 1",
        "gantry_launcher_run_seconds_count 1",
        "gantry_launcher_stage_seconds_count{stage=\"image\"} 1",
        "gantry_launcher_stage_seconds_count{stage=\"workspace\"} 1",
        "gantry_launcher_current_runs 0",
        "gantry_launcher_capacity 1",
        "gantry_launcher_paused{reason=\"room\"} 0",
        "gantry_launcher_journal_entries 0",
    ];
    let text = wait_for("the run's counts", SHORT, || {
        let (status, text) = get(&socket, "/metrics")?;
        let missing = wanted
            .iter()
            .find(|line| !text.lines().any(|found| found == **line));
        match (status, missing) {
            (200, None) => Ok(text),
            (_, missing) => Err(format!("{status}, without {missing:?}:\n{text}")),
        }
    });
    let number = |name: &str| -> f64 {
        let line = text
            .lines()
            .find(|line| line.starts_with(name))
            .expect(name);
        line.rsplit(' ')
            .next()
            .and_then(|n| n.parse().ok())
            .expect(name)
    };
    assert!(
        number("gantry_launcher_log_shipped_bytes_total") > 100.0,
        "{text}"
    );
    assert!(number("process_resident_memory_bytes") > 1e6, "{text}");
    assert!(
        number("gantry_launcher_disk_free_bytes{place=\"data\"}") > 1e6,
        "{text}"
    );
    assert_eq!(get(&socket, "/healthz").expect("alive").0, 200);
    assert_eq!(wait_status(&world, "IDLE"), "");
}

#[test]
fn without_room_no_run_is_taken_and_everybody_hears_why() {
    let world = World::start();
    let repo = world.repo("code");
    repo.commit(&[("main.tf", CODE)]);
    let stack = world.stack("room", &repo).autodeploy().create();
    let socket = world.dir().join("health.sock");
    let listen = format!("unix:{}", socket.display());
    // A pebibyte: no host has it.
    let launcher = world
        .launcher("a")
        .env("GANTRY_MIN_FREE_DISK_MB", "1073741824");
    let mut launcher = launcher.env("GANTRY_HEALTH_LISTEN", &listen).start();
    launcher.wait_logged("no run is taken until there is room again");
    let reason = wait_status(&world, "PAUSED");
    assert!(reason.contains("GANTRY_MIN_FREE_DISK_MB"), "{reason}");
    let (code, body) = get(&socket, "/readyz").expect("an answer");
    let body: Value = serde_json::from_str(&body).expect("JSON");
    let mut reasons = body["reasons"].as_array().expect("a list").iter();
    // Beside it may stand what is so only in the first moments, such as a server that has not answered yet.
    assert!(
        code == 503 && reasons.any(|one| one["reason"] == "room"),
        "{body}"
    );
    let (code, metrics) = get(&socket, "/metrics").expect("an answer");
    assert!(
        code == 200 && metrics.contains("paused{reason=\"room\"} 1"),
        "{metrics}"
    );
    let run = stack.deploy();
    launcher.drain();
    assert_eq!(run.look().attempt, 0, "it was never handed out");
    let _launcher = world.launcher("a").start();
    run.wait("FINISHED");
}

#[test]
fn the_service_manager_hears_of_readiness_life_and_the_end() {
    let world = World::start();
    let socket = world.dir().join("notify.sock");
    let manager = UnixDatagram::bind(&socket).expect("a socket");
    manager
        .set_read_timeout(Some(Duration::from_millis(100)))
        .expect("a time-out");
    let heard = Mutex::new(String::new());
    let wait = |text: &str, times: usize| {
        wait_for(&format!("{times} × {text}"), SHORT, || {
            let mut buffer = [0; 4096];
            let mut heard = heard.lock().expect("no panic holds it");
            while let Ok(length) = manager.recv(&mut buffer) {
                heard.push_str(&String::from_utf8_lossy(&buffer[..length]));
            }
            let found = heard.lines().filter(|line| line.starts_with(text)).count();
            if found >= times {
                Ok(())
            } else {
                Err(heard.clone())
            }
        });
    };
    let launcher = world
        .launcher("a")
        .env("NOTIFY_SOCKET", &socket.display().to_string());
    let mut launcher = launcher.env("WATCHDOG_USEC", "1000000").start();
    wait("READY=1", 1);
    wait("STATUS=0 of 1 runs", 1);
    wait("WATCHDOG=1", 3);
    let pool = serde_json::json!({ "pool": world.pool().id, "id": launcher.id() });
    let drain = "mutation($pool: ID!, $id: ID!) { workerDrainSet(workerPool: $pool, id: $id, drain: true) { status } }";
    let undrain = drain.replace("true", "false");
    world.api().ask(drain, pool.clone()).expect("drained");
    wait(
        "STATUS=0 of 1 runs; takes no new ones: a person drained it",
        1,
    );
    assert_eq!(wait_status(&world, "DRAINED"), "");
    world.api().ask(&undrain, pool).expect("undrained");
    wait_status(&world, "IDLE");
    launcher.drain();
    wait("STOPPING=1", 1);
    wait("EXTEND_TIMEOUT_USEC=", 1);
    let ready = heard
        .lock()
        .expect("no panic holds it")
        .matches("READY=1")
        .count();
    assert_eq!(ready, 1);
}

#[test]
fn three_runs_at_once_and_a_cycle_ends_the_process_when_they_are_done() {
    let world = World::start();
    let repo = world.repo("code");
    repo.commit(&[("main.tf", CODE)]);
    let mut launcher = world.launcher("a").env("GANTRY_CAPACITY", "3").start();
    let stacks = ["one", "two", "three"].map(|name| {
        let stack = world.stack(name, &repo).autodeploy();
        stack.option("--after-plan", &waiting("plan")).create()
    });
    let runs = stacks.each_ref().map(|stack| stack.deploy());
    let dirs = runs.each_ref().map(|run| launcher.run_dir(run.id(), 1));
    // Each waits in its plan until all are there.
    dirs.iter().for_each(|dir| dir.wait_file("in-plan"));
    wait_status(&world, "BUSY");
    let cycle = "mutation($id: ID!) { workerPoolCycle(id: $id) }";
    world
        .api()
        .ask(cycle, serde_json::json!({ "id": world.pool().id }))
        .expect("cycled");
    let reason = wait_status(&world, "PAUSED");
    assert!(reason.contains("start anew"), "{reason}");
    assert!(launcher.running(), "runs go on");
    dirs.iter().for_each(|dir| dir.put_file("go-plan"));
    runs.iter().for_each(|run| drop(run.wait("FINISHED")));
    assert_eq!(launcher.wait_exit(SHORT), Exit::Code(0));
}

/// Answers HTTP requests one by one until the test is over.
fn serve(answer: impl Fn(&str, &[u8]) -> (u16, String) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A client that goes away in the middle is its own affair.
            let _ = one_request(stream, &answer);
        }
    });
    format!("http://{address}")
}

fn one_request(
    mut stream: TcpStream,
    answer: &impl Fn(&str, &[u8]) -> (u16, String),
) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    let (head, mut body) = loop {
        let mut buffer = [0; 4096];
        let read = stream.read(&mut buffer)?;
        bytes.extend_from_slice(&buffer[..read]);
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            break (head, bytes.split_off(end + 4));
        }
        if read == 0 {
            return Ok(());
        }
    };
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse().ok())?
    });
    let length: usize = length.unwrap_or(0);
    let have = body.len();
    body.resize(length.max(have), 0);
    stream.read_exact(&mut body[have..])?;
    let (status, text) = answer(&head, &body);
    let length = text.len();
    write!(
        stream,
        "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{text}"
    )
}

#[test]
fn a_spot_notice_drains_stops_what_changes_nothing_and_lets_an_apply_go_on() {
    let world = World::start();
    let repo = world.repo("code");
    repo.commit(&[("main.tf", WAITING_APPLY)]);
    let notice = Arc::new(Mutex::new(None::<String>));
    let shown = Arc::clone(&notice);
    let service = serve(move |head, _| {
        let first = head.lines().next().unwrap_or_default();
        let token = head
            .to_ascii_lowercase()
            .contains("x-aws-ec2-metadata-token: a-token");
        match (first, token) {
            ("PUT /latest/api/token HTTP/1.1", _) => (200, "a-token".to_owned()),
            ("GET /latest/meta-data/spot/instance-action HTTP/1.1", true) => {
                match shown.lock().expect("no panic holds it").clone() {
                    Some(notice) => (200, notice),
                    None => (404, String::new()),
                }
            }
            _ => (401, String::new()),
        }
    });
    let launcher = world
        .launcher("a")
        .env("GANTRY_CAPACITY", "2")
        .env("GANTRY_SPOT_NOTICE", "true");
    let launcher = launcher.env("AWS_EC2_METADATA_SERVICE_ENDPOINT", &service);
    let mut launcher = launcher.start();
    let applies = world.stack("applies", &repo).autodeploy().create().deploy();
    let plans = world
        .stack("plans", &repo)
        .option("--after-plan", &waiting("plan"))
        .create()
        .deploy();
    let applying = launcher.run_dir(applies.id(), 1);
    applying.wait_file("in-apply");
    launcher.run_dir(plans.id(), 1).wait_file("in-plan");

    let at = time::OffsetDateTime::now_utc() + Duration::from_secs(34);
    let at = at
        .format(&time::format_description::well_known::Rfc3339)
        .expect("a time");
    *notice.lock().expect("no panic holds it") =
        Some(format!(r#"{{"action":"terminate","time":"{at}"}}"#));
    launcher.wait_logged("THIS SPOT INSTANCE IS TO BE INTERRUPTED");
    let reason = wait_status(&world, "PAUSED");
    assert!(reason.contains("terminate"), "{reason}");
    let stopped = plans.wait_end();
    assert!(
        stopped
            .reasons()
            .contains("takes the launcher's instance away"),
        "{stopped:#?}"
    );
    assert_eq!(applies.look().state, "APPLYING");
    applying.put_file("go-apply");
    applies.wait("FINISHED");
}

/// Fields of a protobuf message: number and bytes of those that have a length.
fn fields(mut bytes: &[u8]) -> Vec<(u64, &[u8])> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (first, rest) = bytes.split_first().expect("a whole number");
            *bytes = rest;
            value |= u64::from(first & 0x7f) << shift;
            if first & 0x80 == 0 {
                break;
            }
        }
        value
    }
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let length = match key & 7 {
            0 => {
                varint(&mut bytes);
                continue;
            }
            1 => 8,
            5 => 4,
            2 => usize::try_from(varint(&mut bytes)).expect("a length"),
            other => panic!("wire type {other}"),
        };
        let (value, rest) = bytes.split_at(length);
        bytes = rest;
        found.push((key >> 3, value));
    }
    found
}

fn below(bytes: &[u8], number: u64) -> Vec<&[u8]> {
    let fields = fields(bytes).into_iter();
    fields
        .filter(|(found, _)| *found == number)
        .map(|(_, value)| value)
        .collect()
}

#[test]
fn a_lease_is_a_trace_and_a_collector_that_refuses_disturbs_nothing() {
    let world = World::start();
    let repo = world.repo("code");
    repo.commit(&[("main.tf", CODE)]);
    let bodies = Arc::new(Mutex::new(Vec::new()));
    let taken = Arc::clone(&bodies);
    let collector = serve(move |head, body| {
        assert!(head.starts_with("POST /v1/traces "), "{head}");
        let mut taken = taken.lock().expect("no panic holds it");
        taken.push(body.to_vec());
        // The first is refused, for good.
        (if taken.len() == 1 { 400 } else { 200 }, String::new())
    });
    let launcher = world
        .launcher("a")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector);
    let mut launcher = launcher.start();
    let secret = "a-secret-that-no-trace-may-hold";
    let stack = world
        .stack("traced", &repo)
        .autodeploy()
        .secret("TF_VAR_greeting", secret)
        .create();
    let first = stack.deploy();
    first.wait("FINISHED");
    launcher.wait_logged("traces are lost");
    let run = stack.deploy();
    run.wait("FINISHED");
    let body = wait_for("the second trace", SHORT, || {
        let bodies = bodies.lock().expect("no panic holds it");
        let found = bodies
            .iter()
            .find(|body| body.windows(26).any(|part| part == run.id().as_bytes()));
        found
            .cloned()
            .ok_or_else(|| format!("{} bodies", bodies.len()))
    });
    let scopes = below(&body, 1)
        .into_iter()
        .flat_map(|resource| below(resource, 2));
    let spans: Vec<&[u8]> = scopes.flat_map(|scope| below(scope, 2)).collect();
    let name = |span: &[u8]| String::from_utf8_lossy(below(span, 5)[0]).into_owned();
    let root = spans
        .iter()
        .find(|span| name(span) == "lease")
        .expect("the lease's span");
    let mut stages = Vec::new();
    for span in spans.iter().filter(|span| name(span) != "lease") {
        assert_eq!(
            below(span, 4),
            below(root, 2),
            "{} is a child of the lease",
            name(span)
        );
        stages.push(name(span));
    }
    for stage in ["image", "worker", "journal", "workspace", "create", "start"] {
        assert!(
            stages.iter().any(|found| found == stage),
            "{stage} in {stages:?}"
        );
    }
    let text = String::from_utf8_lossy(&body).into_owned();
    assert!(
        text.contains("traced") && text.contains("succeeded"),
        "stack and outcome: {text}"
    );
    assert!(!text.contains(secret), "{text}");
}

#[test]
fn images_that_were_pulled_here_and_are_not_used_go_and_others_stay() {
    let world = World::start();
    let repo = world.repo("code");
    repo.commit(&[("main.tf", CODE)]);
    let tag = Registry::shared().variant(&format!("swept-{}", std::process::id()));
    let image = format!("{}/it/busybox:{tag}", world.registry());
    let stack = world.stack("swept", &repo).autodeploy().create();
    let launcher = world
        .launcher("a")
        .env("SPACELIFT_DEFAULT_RUNNER_IMAGE", &image);
    let mut launcher = launcher.start();
    let seen = {
        let run = stack.deploy();
        run.wait("FINISHED")
    };
    let present = || Docker.tries(&["image", "inspect", &seen.image]);
    assert!(present(), "{} was pulled", seen.image);
    launcher.drain();

    // Another launcher keeps what it did not pull, however short its patience.
    let mut other = world.launcher("b").env("GANTRY_IMAGE_KEEP", "1s").start();
    wait_status_of(&world, &other.id());
    other.drain();
    assert!(present(), "the other launcher did not pull it");

    let again = world.launcher("a").env("GANTRY_IMAGE_KEEP", "1s");
    let _again = again.env("SPACELIFT_DEFAULT_RUNNER_IMAGE", &image).start();
    wait_for("the image to go", SHORT, || match present() {
        true => Err("it is there".to_owned()),
        false => Ok(()),
    });
    stack.deploy().wait("FINISHED");
}

fn wait_status_of(world: &World, id: &str) {
    wait_for("the launcher to be idle", SHORT, || {
        let workers = world.api().workers()?;
        let found = workers.iter().find(|worker| worker["id"] == id);
        match found.map(|worker| &worker["status"]) {
            Some(status) if status == "IDLE" => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
}
