//! From our plain types to the Engine API's, without I/O.
//!
//! Takes a [`ContainerSpec`], gives the body of the create call. Never: a `HostConfig` without the hardening
//! that the contract promises; it is written here, for every container, and nowhere else.

use std::collections::HashMap;

use bollard::auth::DockerCredentials;
use bollard::models::{
    ContainerCreateBody, HealthConfig, HostConfig, HostConfigCgroupnsModeEnum, HostConfigLogConfig,
    Mount as ApiMount, MountBindOptions, MountBindOptionsPropagationEnum, MountType,
};

use crate::engine::{Access, ContainerSpec, LogDriver, Mount, RegistryAuth, RootFs, Tmpfs};

/// Body of the create call for `spec`.
pub(super) fn create_body(spec: &ContainerSpec) -> ContainerCreateBody {
    ContainerCreateBody {
        hostname: Some(spec.hostname.clone()),
        user: Some(spec.user.clone()),
        attach_stdin: Some(false),
        attach_stdout: Some(false),
        attach_stderr: Some(false),
        tty: Some(false),
        open_stdin: Some(false),
        env: Some(spec.env.iter().map(|(k, v)| format!("{k}={v}")).collect()),
        cmd: Some(Vec::new()),
        // The image's own check would run a program of the image beside the worker.
        healthcheck: Some(HealthConfig {
            test: Some(vec!["NONE".to_owned()]),
            ..HealthConfig::default()
        }),
        image: Some(spec.image.clone()),
        working_dir: Some(spec.working_dir.clone()),
        entrypoint: Some(spec.entrypoint.clone()),
        labels: Some(spec.labels.clone().into_iter().collect()),
        stop_signal: Some("SIGTERM".to_owned()),
        stop_timeout: Some(spec.stop_timeout.as_secs().try_into().unwrap_or(i64::MAX)),
        host_config: Some(host_config(spec)),
        ..ContainerCreateBody::default()
    }
}

fn host_config(spec: &ContainerSpec) -> HostConfig {
    let memory = i64::try_from(spec.limits.memory).unwrap_or(i64::MAX);
    HostConfig {
        memory: Some(memory),
        // Equal to the memory limit means: no swap on top.
        memory_swap: Some(memory),
        nano_cpus: Some(i64::try_from(spec.limits.nano_cpus).unwrap_or(i64::MAX)),
        pids_limit: Some(i64::from(spec.limits.pids)),
        mounts: Some(spec.mounts.iter().map(mount).collect()),
        tmpfs: Some(spec.tmpfs.iter().map(tmpfs).collect()),
        network_mode: Some(spec.network.clone()),
        runtime: spec.runtime.clone(),
        readonly_rootfs: Some(spec.root == RootFs::ReadOnly),
        log_config: Some(log_config(spec.log)),
        cap_add: Some(Vec::new()),
        cap_drop: Some(vec!["ALL".to_owned()]),
        security_opt: Some(vec!["no-new-privileges".to_owned()]),
        privileged: Some(false),
        auto_remove: Some(false),
        ipc_mode: Some("private".to_owned()),
        cgroupns_mode: Some(HostConfigCgroupnsModeEnum::PRIVATE),
        ..HostConfig::default()
    }
}

fn mount(mount: &Mount) -> ApiMount {
    ApiMount {
        target: Some(mount.target.clone()),
        source: Some(mount.source.to_string_lossy().into_owned()),
        typ: Some(MountType::BIND),
        read_only: Some(mount.access == Access::ReadOnly),
        bind_options: Some(MountBindOptions {
            propagation: Some(MountBindOptionsPropagationEnum::RPRIVATE),
            ..MountBindOptions::default()
        }),
        ..ApiMount::default()
    }
}

fn tmpfs(tmpfs: &Tmpfs) -> (String, String) {
    let options = format!(
        "rw,nosuid,nodev,exec,size={},mode={:o},uid={},gid={}",
        tmpfs.size, tmpfs.mode, tmpfs.uid, tmpfs.gid
    );
    (tmpfs.target.clone(), options)
}

fn log_config(driver: LogDriver) -> HostConfigLogConfig {
    match driver {
        LogDriver::None => HostConfigLogConfig {
            typ: Some("none".to_owned()),
            config: None,
        },
        // Not `local`: podman's Docker API has none, and 20.10's loses newlines of long lines.
        LogDriver::SmallFile { max_bytes } => HostConfigLogConfig {
            typ: Some("json-file".to_owned()),
            config: Some(HashMap::from([
                ("max-size".to_owned(), max_bytes.to_string()),
                ("max-file".to_owned(), "1".to_owned()),
            ])),
        },
    }
}

/// Credentials as the engine takes them; `None` asks anonymously.
pub(super) fn credentials(auth: &RegistryAuth) -> Option<DockerCredentials> {
    match auth {
        RegistryAuth::Anonymous => None,
        RegistryAuth::Password {
            username,
            password,
            registry,
        } => Some(DockerCredentials {
            username: Some(username.clone()),
            password: Some(password.expose().to_owned()),
            serveraddress: Some(registry.clone()),
            ..DockerCredentials::default()
        }),
        RegistryAuth::IdentityToken { token, registry } => Some(DockerCredentials {
            identitytoken: Some(token.expose().to_owned()),
            serveraddress: Some(registry.clone()),
            ..DockerCredentials::default()
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;
    use crate::engine::{Limits, Platform};

    fn spec() -> ContainerSpec {
        ContainerSpec {
            name: "gantry-x-1".into(),
            image: "registry.example/a@sha256:00".into(),
            platform: Platform {
                os: "linux".into(),
                architecture: "amd64".into(),
            },
            entrypoint: vec!["/gantry/bin/worker".into(), "run".into()],
            working_dir: "/".into(),
            user: "1983:1983".into(),
            hostname: "run".into(),
            env: BTreeMap::from([("HOME".into(), "/home/spacelift".into())]),
            labels: BTreeMap::from([("gantry.launcher".into(), "L".into())]),
            mounts: vec![Mount {
                source: "/data/x".into(),
                target: "/mnt/workspace".into(),
                access: Access::ReadWrite,
            }],
            tmpfs: vec![Tmpfs {
                target: "/tmp".into(),
                size: 1024,
                mode: 0o1777,
                uid: 0,
                gid: 0,
            }],
            network: "bridge".into(),
            runtime: None,
            limits: Limits {
                memory: 1 << 30,
                nano_cpus: 2_000_000_000,
                pids: 512,
            },
            root: RootFs::ReadOnly,
            log: LogDriver::SmallFile { max_bytes: 65536 },
            stop_timeout: Duration::from_secs(600),
        }
    }

    #[test]
    fn the_create_body_is_hardened() {
        let body = serde_json::to_value(create_body(&spec())).expect("json");
        insta::assert_json_snapshot!(body);
    }

    #[test]
    fn a_writable_root_changes_nothing_else() {
        let mut open = spec();
        open.root = RootFs::Writable;
        let (open, closed) = (host_config(&open), host_config(&spec()));
        assert_eq!(open.readonly_rootfs, Some(false));
        assert_eq!(
            HostConfig {
                readonly_rootfs: Some(true),
                ..open
            },
            closed
        );
    }
}
