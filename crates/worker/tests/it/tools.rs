//! Which tool is run: the image's or the host's, at exactly the version that was asked for.

use std::os::unix::fs::PermissionsExt as _;

use gantry_protocol::payload::Hooks;
use gantry_protocol::run::RunType;
use gantry_protocol::socket::{FailureKind, ToolFrom, WorkerEnd};

use crate::world::World;

/// A tool that says its version and what it is asked to do.
fn script(version: &str, name: &str) -> String {
    format!("case $1 in version) echo Terraform v{version};; *) echo \"{name} does $1\";; esac")
}

fn failed(end: &WorkerEnd) -> bool {
    let kind = FailureKind::ToolMissing;
    matches!(end, WorkerEnd::Failed { kind: found, .. } if *found == kind)
}

#[test]
fn the_images_tool_serves_only_its_own_version() {
    for (wanted, works) in [("1.9.8", true), ("1.9.9", false), ("1.9.8-rc1", false)] {
        let mut world = World::with_tool(RunType::Proposed, &script("1.9.8", "image"));
        world.order.tool_from = ToolFrom::Image {
            version: Some(wanted.into()),
        };
        let ended = world.run();
        assert_eq!(ended.logs.contains("image does init"), works, "{wanted}");
        assert_eq!(
            ended.logs.contains("Terraform v1.9.8 from the image"),
            works
        );
        if works {
            continue;
        }
        assert!(failed(ended.end()), "{:?}", ended.end());
        for part in [wanted, "1.9.8", "GANTRY_TOOL_KEYS"] {
            assert!(ended.message().contains(part), "{}", ended.message());
        }
    }
}

#[test]
fn the_hosts_tool_wins_also_in_hooks_and_over_their_path() {
    let mut world = World::with_tool(RunType::Proposed, &script("1.0.0", "image"));
    let host = world.at("tool/terraform");
    std::fs::create_dir_all(world.at("tool")).unwrap();
    std::fs::write(&host, format!("#!/bin/sh\n{}\n", script("1.9.8", "host"))).unwrap();
    std::fs::set_permissions(&host, std::fs::Permissions::from_mode(0o555)).unwrap();
    world.order.tool_from = ToolFrom::Host {
        version: "1.9.8".into(),
    };
    let bin = world.at("bin").display().to_string();
    world.order.hooks = Hooks {
        before_init: vec!["terraform hook".into(), format!("export PATH={bin}:$PATH")],
        ..Hooks::default()
    };
    let ended = world.run();
    for part in ["host does hook", "host does init", "host does plan"] {
        assert!(ended.logs.contains(part), "{part}: {}", ended.logs);
    }
    assert!(!ended.logs.contains("image does"), "{}", ended.logs);

    world.order.tool_from = ToolFrom::Host {
        version: "1.9.9".into(),
    };
    std::fs::remove_dir_all(world.at("spool")).unwrap();
    std::fs::create_dir(world.at("spool")).unwrap();
    let ended = world.run();
    assert!(failed(ended.end()), "{:?}", ended.end());
    assert!(ended.message().contains("mirror"), "{}", ended.message());
}

#[test]
fn providers_of_the_image_are_found_and_carried_to_the_apply() {
    let script = "case $1 in version) echo Terraform v1.0.0;; init) p=.terraform/providers/h/n/t/1.0.0; \
                  mkdir -p $p; ln -s $HOME/.terraform.d/plugins/package $p/linux_amd64;; \
                  plan) exit 1;; esac";
    for (run_type, carried) in [(RunType::Tracked, true), (RunType::Proposed, false)] {
        let world = World::with_tool(run_type, script);
        std::fs::create_dir_all(world.at("plugins/package")).unwrap();
        std::fs::write(world.at("plugins/package/terraform-provider-t"), "t").unwrap();
        let ended = world.run();
        let package = world.source(".terraform/providers/h/n/t/1.0.0/linux_amd64");
        assert!(
            package.join("terraform-provider-t").is_file(),
            "{}",
            ended.logs
        );
        assert_eq!(package.is_symlink(), !carried, "{run_type:?}");
        assert_eq!(ended.logs.contains("copied into the workspace"), carried);
    }
}
