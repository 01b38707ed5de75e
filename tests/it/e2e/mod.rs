//! Whole runs: real server, launchers, Docker, registry, Git and Terraform. One file per theme.

mod around;
mod bad_code;
mod bad_credentials;
mod bad_input;
mod breakout;
mod clone;
mod crash;
mod doctor;
mod ecr;
mod first_run;
mod full_disk;
mod handed;
mod host_options;
mod hostile;
mod isolation;
mod lease;
mod life;
mod logs;
mod network;
mod signatures;
mod standby;
mod plans;
mod policies;
mod providers;
mod resets;
mod runner_images;
mod tools;
mod timeouts;
mod runtimes;
mod scenario;
mod two_launchers;

use gantry_test_support::{Exit, LauncherBuilder, SHORT};

/// Code that needs no provider: one resource and one output.
const CODE: &str = r#"
variable "greeting" { default = "hello" }
resource "terraform_data" "it" { input = var.greeting }
output "said" { value = terraform_data.it.output }
"#;

/// Code whose apply waits until the test makes the file `go-apply` in the workspace, after it made
/// `in-apply`.
const WAITING_APPLY: &str = r#"
resource "terraform_data" "it" {
  input = "made"
  provisioner "local-exec" {
    command = "touch /mnt/workspace/in-apply; until [ -e /mnt/workspace/go-apply ]; do sleep 0.1; done"
  }
}
output "said" { value = terraform_data.it.output }
"#;

/// A hook that tells the test by the file `in-NAME`, and waits until it makes `go-NAME`.
fn waiting(name: &str) -> String {
    format!(
        "touch /mnt/workspace/in-{name}; until [ -e /mnt/workspace/go-{name} ]; do sleep 0.1; done"
    )
}

/// `EX_USAGE`: starting again changes nothing.
const BAD_CONFIG: Exit = Exit::Code(64);

/// A launcher that must not start: it ends as one whose configuration is wrong, with one error. Gives that line and
/// the whole log.
fn refuses_to_start(launcher: LauncherBuilder) -> (String, String) {
    let mut launcher = launcher.spawn();
    let ended = launcher.wait_exit(SHORT);
    let log = launcher.log();
    assert_eq!(ended, BAD_CONFIG, "{log}");
    let errors = log.lines().filter(|line| line.contains("\"ERROR\""));
    let errors: Vec<_> = errors.collect();
    assert_eq!(errors.len(), 1, "one line: {log}");
    (errors[0].to_owned(), log)
}
