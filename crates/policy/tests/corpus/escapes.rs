//! Commands that leave processes behind, in sessions of their own: nothing of them is there after the evaluation, however
//! that ended.

use std::time::{Duration, Instant};

use gantry_policy::{ExecLimits, Limits, Policy, PolicyKind, Sandbox, User};
use serde_json::json;

/// What the policy does once its command left something behind, and what then becomes of the evaluation.
const ENDS: [(&str, &str); 4] = [
    ("true", "an answer"),
    ("count(numbers.range(1, 1000000000)) > 3", "no memory left"),
    ("exec([\"sleep\", \"77\"])", "a command that is too slow"),
    (
        "walk(numbers.range(1, 40000), [_, x]); walk(numbers.range(1, 40000), [_, x])",
        "no time left",
    ),
];

const LIMITS: Limits = Limits {
    time: Duration::from_millis(500),
    memory: 512 << 20,
    exec: ExecLimits {
        calls: 3,
        each: Duration::from_secs(1),
        total: Duration::from_secs(2),
        output: 64 << 10,
        memory: 1 << 30,
    },
};

/// One line for each way in which something stayed.
pub(crate) async fn left_behind() -> Vec<String> {
    let user = User {
        uid: 1984,
        gid: 1984,
    };
    let sandbox = Sandbox::new(user, LIMITS).with_exec();
    let mut failures = Vec::new();
    for (number, (then, end)) in ENDS.iter().enumerate() {
        // An argument that nothing else on the host has; with it they are found again.
        let mark = format!("7{number}.{}", std::process::id());
        let script = format!(
            "setsid sleep {mark} >/dev/null 2>&1 </dev/null & \
             setsid sh -c 'setsid sleep {mark} >/dev/null 2>&1 </dev/null & exit' & \
             while [ $(pgrep -f 'sleep {mark}$' | wc -l) -lt 2 ]; do :; done; echo ready"
        );
        let text = format!(
            "package spacelift\ndeny[m] {{ r := exec([\"sh\", \"-c\", {}]); m := r.stdout; {then} }}\n",
            json!(script)
        );
        let policy = Policy::compile(PolicyKind::Initialization, end, &text).unwrap();
        let answer = sandbox.evaluate(&policy, &json!({})).await;
        if let Ok(answer) = &answer
            && answer.texts("deny") != ["ready\n"]
        {
            failures.push(format!(
                "after {end}: nothing was left behind to begin with"
            ));
        }
        if !gone(&mark) {
            failures.push(format!(
                "after {end}: a process of a command is still there"
            ));
        }
    }
    failures
}

/// Whether no process has this argument, soon: who was killed takes a moment to go.
fn gone(mark: &str) -> bool {
    let deadline = Instant::now() + Duration::from_secs(5);
    while Instant::now() < deadline {
        if !somebody_has(mark) {
            return true;
        }
        std::thread::yield_now();
    }
    false
}

fn somebody_has(mark: &str) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let mut lines = processes.filter_map(|one| std::fs::read(one.path().join("cmdline")).ok());
    lines.any(|line| {
        line.split(|byte| *byte == 0)
            .any(|part| part == mark.as_bytes())
    })
}
