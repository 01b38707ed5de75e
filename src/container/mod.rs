//! What a run's container is: mounts, user, limits, network, labels.
//!
//! Takes the host's own policy, the run's directories and the pulled image; gives a
//! [`ContainerSpec`](crate::engine::ContainerSpec). Never: anything from a run's payload. The functions here
//! have no parameter through which a payload could reach a host option; of what a run is they know its [`Class`],
//! which chooses between two lists that the host's owner wrote.

mod accounts;
mod extra;
mod network;
mod resolve;
mod spec;

pub use accounts::{Accounts, HOME, RUN_ID, accounts};
pub use extra::{MountRule, split};
pub use network::{InvalidNetwork, Network, NetworkChoice, NetworkPool};
pub use resolve::{Class, Closed, ExtraMounts, MountError};
pub use spec::{
    AccountFiles, CA_BUNDLE_TARGET, ExtraMount, HostPolicy, IO_TARGET, LABEL_CONTAINER,
    LABEL_LAUNCHER, RunMounts, SPOOL_TARGET, WORKER_TARGET, WORKSPACE_TARGET, canary_spec,
    check_extra_target, container_name, container_spec, protected_targets,
};
